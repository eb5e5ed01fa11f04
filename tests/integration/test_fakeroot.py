"""fakeroot: what Debian's fakeroot answers is what ours must, in every engine that can."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import Udockpy
from support.product import ENGINE_REFUSED, text
from support.world import missing

ENGINES = ("trap", "ptrace", "preload")
LOOK = 'stat -c "%n %F %u:%g %a %t,%T" *'

# Each happens in a directory of its own, and is looked at in the end. What the two do not agree in
# is in docs/how-to/build-packages.md.
SCRIPTS = {
    "ids": "id -u; id -g; id -un; id -G",
    "chown": "touch a b; chown 5:6 a; chown 7 b; chown :8 b;"
    " ln -s a l; chown -h 3:4 l; chown 1:1 l",
    "chmod": "touch a; chown 5 a; chmod 4755 a; mkdir d; chmod 1777 d; touch m; chmod 0 m; cat m",
    "words": "touch a; chmod u+s,g-r,o= a; mkdir d; chmod g+s d; mkdir e; chmod a-rwx e; ls e",
    "umask": "umask 077; mkdir d; umask 0; mkdir e",
    "nodes": "mknod n c 1 3; mknod -m 600 b b 8 17; mkfifo p; chown 9:10 n p;"
    " ls -ln n b | cut -c1-30",
    "names": "touch a; chown 5:6 a; mv a b; ln b c; mkdir d; mv c d/e; stat -c '%u %h' d/e",
    "removal": "touch a; chown 5 a; rm a; mkdir b; mkdir d; chown 6 d; rmdir d; mkdir e",
    "rename": "touch a b; chown 5 a; chown 6 b; mv a b; mv -T b b; mkdir c; chown 7 c; mv b c",
    "copies": "touch a; chown 5:6 a; chmod 640 a; touch -d @1 a; cp -p a b; cp -a a d; mkdir t;"
    " cp -a a b t; chmod 2755 t; cp -a t u",
    "install": "echo x >s; install -o 3 -g 4 -m 2751 s t; rm s; install -d -o 1 -g 2 -m 3770 d",
    "tar": "mkdir t; cd t; echo >a; mknod n c 1 3; chown 5:6 a; chmod 2750 a; ln a h; mkdir d;"
    " tar --numeric-owner -cf ../x .; tar -tvf ../x | cut -c1-16 | sort; cd ..; mkdir u;"
    " tar -C u -xpf x; rm x; cd u; stat -c '%n %F %u:%g %a %t,%T' *; cd ..",
    "cpio": "mkdir t; echo >t/a; chown 5:6 t/a; mknod t/n b 7 1; chmod 4711 t/a; chown 0:0 t;"
    " find t | cpio -o --quiet >x; mv t u; cpio -i --quiet <x; rm x; stat -c '%n %u:%g %a' t/*",
    "find": "touch a b; chown 5:5 a; chown 0:0 b; find . -user 5; find . -type f -user 0;"
    " test -O b; echo $?; test -O a; echo $?",
    "many": "for i in 1 2 3 4 5 6 7 8 9; do mkdir d$i; echo >d$i/f; chown $i:$i d$i/f; done;"
    " chown -R 1 d3; chmod -R go= d4; rm -r d5; cp -a d6 d0;"
    " find . -printf '%p %U:%G %m\\n' | sort",
    "shell": "(exit 7); echo $?; sh -c 'kill -9 $$'; echo $?; echo $0",
    "variables": 'test -n "$FAKEROOTKEY"; echo $? $FAKED_MODE',
}
ALL = "".join(
    f"echo '== {name}'; mkdir {name}; cd {name} && (chown 0:0 .; {script}; {LOOK}) 2>&1; cd ..\n"
    for name, script in SCRIPTS.items()
)


class Fakeroots:
    """Debian's fakeroot, and ours."""

    def __init__(self, udockpy: Udockpy) -> None:
        real = shutil.which("fakeroot", path="/usr/bin")
        if real is None:
            missing("/usr/bin/fakeroot: not found (apt-get install fakeroot)")
        self.real = [real]
        self.udockpy = udockpy

    def ours(self, engine: str) -> list[str]:
        """The words of ours, unless this node rules the engine out."""
        words = [sys.executable, "-m", "udockpy", "fakeroot", "--engine", engine]
        tried = self.run(words, "true")
        if tried.returncode == ENGINE_REFUSED:
            missing(tried.stderr.decode())
        return words

    def run(
        self,
        fakeroot: list[str],
        *words: str | Path,
        cwd: Path | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*fakeroot, *map(os.fspath, words)],
            cwd=cwd or self.udockpy.cwd,
            env={**self.udockpy.environ, "SHELL": "/bin/sh", "SOURCE_DATE_EPOCH": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def output(self, fakeroot: list[str], *words: str | Path, cwd: Path | None = None) -> str:
        done = self.run(fakeroot, *words, cwd=cwd)
        assert (done.returncode, done.stderr) == (0, b""), text(done)
        return done.stdout.decode()


@pytest.fixture
def fakeroots(udockpy: Udockpy) -> Fakeroots:
    return Fakeroots(udockpy)


def parts(transcript: str) -> dict[str, str]:
    """What each script printed, by its name."""
    return dict(part.split("\n", 1) for part in transcript.split("== ")[1:])


@pytest.mark.parametrize(
    ("engine", "options"), [*((engine, ()) for engine in ENGINES), ("trap", ("-u",))]
)
def test_the_answers_are_fakeroots(
    fakeroots: Fakeroots, tmp_path: Path, engine: str, options: tuple[str, ...]
) -> None:
    transcripts = []
    for name, fakeroot in (("real", fakeroots.real), ("ours", fakeroots.ours(engine))):
        (tmp_path / name).mkdir()
        done = fakeroots.run(fakeroot, *options, "sh", "-c", ALL, cwd=tmp_path / name)
        assert (done.returncode, done.stderr) == (0, b""), text(done)
        transcripts.append(parts(done.stdout.decode()))
    real, ours = transcripts
    assert set(real) == set(SCRIPTS)
    assert ours == real


MAKE = (
    "touch a b gone; chown 5:6 a; chmod 4755 a; mknod n c 1 3; mknod k b 200 70000; mkdir d;"
    " chmod 0 d; chown 1:1 b; chmod 600 b; ln -s x l; chown -h 3:4 l; mkfifo p; chown 9 p;"
    " chown 7 gone; rm gone"
)


def without_links(line: str) -> str:
    """A line but for the count of links, which nobody reads."""
    return re.sub("nlink=[0-9]+,", "", line)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_memory_is_saved_and_loaded(fakeroots: Fakeroots, tmp_path: Path, engine: str) -> None:
    ours = fakeroots.ours(engine)
    for first, second in ((ours, fakeroots.real), (fakeroots.real, ours)):
        folder = tmp_path / "files"
        folder.mkdir()
        memory = tmp_path / "memory"
        fakeroots.output(first, "-s", memory, "sh", "-c", MAKE, cwd=folder)
        saved = sorted(memory.read_text().splitlines())
        assert len(saved) == 7
        shown = fakeroots.output(second, "-i", memory, "-s", memory, "sh", "-c", LOOK, cwd=folder)
        assert shown.splitlines() == [
            "a regular empty file 5:6 4755 0,0",
            "b regular empty file 1:1 600 0,0",
            "d directory 0:0 0 0,0",
            "k block special file 0:0 644 c8,11170",
            "l symbolic link 3:4 777 0,0",
            "n character special file 0:0 644 1,3",
            "p fifo 9:0 644 0,0",
        ]
        again = sorted(memory.read_text().splitlines())
        assert [without_links(line) for line in again] == [without_links(line) for line in saved]
        shutil.rmtree(folder)


def test_a_loaded_owner_is_not_inherited(fakeroots: Fakeroots, tmp_path: Path) -> None:
    """The file format knows no birth times: removal must be seen, for inode numbers are reused."""
    ours = fakeroots.ours("trap")
    fakeroots.output(ours, "-s", "m", "sh", "-c", "mkdir d; cd d; touch a b; chown 5:6 a b")
    script = "cd d; rm a; touch c; mv c b; touch e f g; stat -c %u:%g *"
    assert fakeroots.output(ours, "-i", "m", "sh", "-c", script).split() == ["0:0"] * 4


def test_nothing_to_load_is_no_error(fakeroots: Fakeroots) -> None:
    done = fakeroots.run(fakeroots.ours("trap"), "-i", "none", "echo", "here")
    assert (done.returncode, done.stdout) == (0, b"here\n")
    assert b"none is not there" in done.stderr


def test_what_is_no_memory_is_refused(fakeroots: Fakeroots) -> None:
    (fakeroots.udockpy.cwd / "bad").write_text("dev=1,ino=2\n")
    done = fakeroots.run(fakeroots.ours("trap"), "-i", "bad", "true")
    assert done.returncode == 125
    assert b"line 1" in done.stderr


def test_a_memory_goes_into_a_pipe(fakeroots: Fakeroots) -> None:
    words = "touch a; chown 5:6 a"
    saved = fakeroots.output(fakeroots.ours("trap"), "-s", "/dev/stdout", "sh", "-c", words)
    assert ",mode=100644,uid=5,gid=6," in saved


@pytest.mark.parametrize(
    "options",
    [("-l", "libfakeroot.so"), ("--lib=x", "-f", "faked"), ("-b", "100", "--"), ("--fd-base", "9")],
)
def test_options_that_mean_nothing_here_are_accepted(
    fakeroots: Fakeroots, options: tuple[str, ...]
) -> None:
    assert fakeroots.output(fakeroots.ours("trap"), *options, "id", "-u") == "0\n"


def test_the_program_named_fakeroot_is_the_verb(fakeroots: Fakeroots) -> None:
    program = [sys.executable, "-c", "from udockpy.cli import fakeroot; fakeroot()"]
    assert fakeroots.output(program, "-u", "--", "sh", "-c", "id -u; exit 0") == "0\n"
    assert fakeroots.output(program, "-v").startswith("fakeroot version 1.")
    assert fakeroots.run(program, "sh", "-c", "exit 3").returncode == 3


@pytest.mark.parametrize("words", [("--no-such-option",), ("-i",)])
def test_other_options_are_refused(fakeroots: Fakeroots, words: Sequence[str]) -> None:
    assert fakeroots.run(fakeroots.ours("trap"), *words).returncode != 0


def test_it_does_not_nest(fakeroots: Fakeroots) -> None:
    ours = fakeroots.ours("trap")
    for inner in (ours, fakeroots.real):
        done = fakeroots.run(ours, *inner, "true")
        assert done.returncode != 0
        assert b"FAKEROOTKEY" in done.stderr


def test_statuses_are_the_commands(fakeroots: Fakeroots) -> None:
    ours = fakeroots.ours("trap")
    assert fakeroots.run(ours, "sh", "-c", "exit 7").returncode == 7
    assert fakeroots.run(ours, "sh", "-c", "kill -9 $$").returncode == 137
    assert fakeroots.run(ours, "no-such-program").returncode == 127


def test_nothing_stays_and_no_home_is_needed(fakeroots: Fakeroots, tmp_path: Path) -> None:
    """Build machines have none."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    udockpy = fakeroots.udockpy
    ours = fakeroots.ours("trap")
    udockpy.environ["TMPDIR"] = os.fspath(temporary)
    udockpy.environ["HOME"] = udockpy.environ["UDOCKPY_HOME"] = "/nonexistent"
    assert fakeroots.output(ours, "sh", "-c", "touch a; chown 5 a; stat -c %u a") == "5\n"
    assert list(temporary.iterdir()) == []


def test_files_of_others_are_root_and_cannot_be_changed(fakeroots: Fakeroots) -> None:
    script = "stat -c %u:%g /proc/1 /etc/passwd; echo >>/etc/passwd"
    done = fakeroots.run(fakeroots.ours("trap"), "sh", "-c", script)
    assert done.stdout == b"0:0\n0:0\n"
    assert b"Permission denied" in done.stderr


CONTROL = """Source: small
Section: misc
Priority: optional
Maintainer: Nobody <nobody@example.org>
Standards-Version: 4.6.2
Rules-Requires-Root: binary-targets

Package: small
Architecture: all
Description: a package
 with owners.
"""
CHANGELOG = """small (1) unstable; urgency=low

  * One.

 -- Nobody <nobody@example.org>  Thu, 01 Jan 1970 00:00:01 +0000
"""
RULES = """#!/usr/bin/make -f
d = debian/small
clean:
\trm -rf $d debian/files debian/*.substvars
build build-indep build-arch binary-arch:
binary-indep:
\t$(MAKE) -f upstream.mk install DESTDIR=$d
\tinstall -d $d/DEBIAN
\tdpkg-gencontrol -P$d
\tdpkg-deb --build $d ..
binary: binary-indep
.PHONY: clean build build-indep build-arch binary-arch binary-indep binary
"""
UPSTREAM = """install:
\tinstall -d -m 755 $(DESTDIR)/usr/bin $(DESTDIR)/var/small
\tinstall -m 4755 upstream.mk $(DESTDIR)/usr/bin/small
\tinstall -o 0 -g 42 -m 2750 upstream.mk $(DESTDIR)/usr/bin/shadowed
\tmknod $(DESTDIR)/var/small/null c 1 3
\tchown 33:33 $(DESTDIR)/var/small
\tchmod 1770 $(DESTDIR)/var/small
"""


def build_package(fakeroots: Fakeroots, folder: Path, gain_root: str) -> list[str]:
    """The members of the package that dpkg-buildpackage makes."""
    debian = folder / "small-1" / "debian"
    debian.mkdir(parents=True)
    (debian / "control").write_text(CONTROL)
    (debian / "changelog").write_text(CHANGELOG)
    (debian / "rules").write_text(RULES)
    (debian / "rules").chmod(0o755)
    (debian.parent / "upstream.mk").write_text(UPSTREAM)
    words = ["dpkg-buildpackage", "-b", "-uc", "-us", "-d", f"-r{gain_root}"]
    done = fakeroots.run(words, cwd=debian.parent)
    assert done.returncode == 0, text(done)
    listing = fakeroots.run(["dpkg-deb", "--contents", folder / "small_1_all.deb"])
    return [" ".join(line.split()) for line in listing.stdout.decode().splitlines()]


def test_a_debian_package_is_the_same(fakeroots: Fakeroots, tmp_path: Path) -> None:
    if shutil.which("dpkg-buildpackage") is None:
        missing("dpkg-buildpackage: not found (apt-get install dpkg-dev)")
    made = [
        build_package(fakeroots, tmp_path / name, " ".join(words))
        for name, words in (("real", fakeroots.real), ("ours", fakeroots.ours("trap")))
    ]
    assert made[0] == made[1]
    assert any("root/www-data" in line or "www-data/www-data" in line for line in made[1]), made


@pytest.mark.long
@pytest.mark.network
def test_whole_systems_are_made(fakeroots: Fakeroots) -> None:
    """The tools that make them take their root for the real one, chroot(2) and all."""
    from udockpy.operations.bootstrap import apt_mirror

    ours = fakeroots.ours("trap")
    fakeroots.udockpy.environ["TMPDIR"] = os.fspath(fakeroots.udockpy.cwd)
    mirror = apt_mirror("bookworm", os.environ)
    for script in (
        f"mmdebstrap --quiet --mode=root --variant=minbase bookworm made.tar {mirror}",
        f"debootstrap --variant=minbase bookworm made {mirror} && tar -C made -cf made.tar .",
    ):
        done = fakeroots.run(ours, "sh", "-c", script, timeout=900)
        assert done.returncode == 0, text(done)
        with tarfile.open(fakeroots.udockpy.cwd / "made.tar") as archive:
            shadow, expiry = (
                archive.getmember(f"./{name}") for name in ("etc/shadow", "usr/bin/expiry")
            )
            null = archive.getmember("./dev/null")
        assert (shadow.uid, shadow.gid, shadow.mode) == (0, 42, 0o640)
        assert (expiry.gid, expiry.mode) == (42, 0o2755)
        assert (null.type, null.devmajor, null.devminor) == (tarfile.CHRTYPE, 1, 3)
