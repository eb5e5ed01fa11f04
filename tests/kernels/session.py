"""What happens inside the virtual machine, as root, with nothing but Python's own library: puts the
system into each setting in turn, and reports what the product does there. It judges nothing.

The report is one JSON object a line, on the third disk.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ENGINES = ("userns", "trap", "ptrace", "preload")
GUESTS = ("musl", "bookworm")
SMALL = "musl"  # the guest where minutes count, for virtualisation may be missing
PROGRAMS = "/opt/udockpy"
WORLD, PRODUCT = Path("/world"), Path("/run/product")
HOME = Path("/home/user")
REPORT = "/dev/vdc"
SECONDS = 400
END = "end"


class Setting(NamedTuple):
    """A way that an administrator may have set up the machine."""

    sysctls: tuple[tuple[str, str], ...] = ()
    nfs: str = ""  # the version of NFS that the home is on
    forbids: tuple[tuple[str, str], ...] = ()  # engine, and who doctor must blame
    guests: tuple[str, ...] = (SMALL,)
    torture: tuple[str, ...] = ()  # as whom to run the torture programs, ...
    engines: tuple[str, ...] = ENGINES  # ... and by which engines


# Yama's 3 cannot be lowered, so it is the last.
SETTINGS = {
    "as installed": Setting(guests=GUESTS, torture=("root", "user")),
    "unprivileged_userns_clone=0": Setting(
        (("kernel/unprivileged_userns_clone", "0"),), forbids=(("userns", "sysctl"),)
    ),
    "max_user_namespaces=0": Setting(
        (("user/max_user_namespaces", "0"),), forbids=(("userns", "sysctl"),)
    ),
    "home on NFS v3": Setting(nfs="3", torture=("user",), engines=("trap",)),
    "home on NFS v4.2": Setting(nfs="4.2", torture=("root",), engines=("trap",)),
    "yama 0": Setting((("kernel/yama/ptrace_scope", "0"),)),
    "yama 1": Setting((("kernel/yama/ptrace_scope", "1"),)),
    "yama 2": Setting((("kernel/yama/ptrace_scope", "2"),), forbids=(("ptrace", "Yama"),)),
    "yama 3": Setting((("kernel/yama/ptrace_scope", "3"),), forbids=(("ptrace", "Yama"),)),
}
# A pretended root: changes owners and modes, and starts programs of its own.
SCRIPT = (
    "cd /tmp && rm -f made && echo x >made && chown 5:6 made && chmod 4751 made"
    " && stat -c '%u:%g %a' made && id -u && cat made | wc -l"
)
PACKAGE = f"bash {PROGRAMS}/makedeb.sh && userdel somebody"
# As tests/world/prepare.py's.
ORACLE = """
for name in proc sys dev; do mount --rbind /$name "$1/$name"; done
shift; exec chroot "$@"
"""


class Machine:
    """The running system, its ordinary user, and the report."""

    def __init__(self) -> None:
        self.user = next(one for one in pwd.getpwall() if one.pw_dir == os.fspath(HOME))
        self.report = Path(REPORT).open("r+b", buffering=0)  # noqa: SIM115 - until the end

    def say(self, kind: str, **what: object) -> None:
        self.report.write(json.dumps({"kind": kind, **what}).encode() + b"\n")
        os.fsync(self.report.fileno())
        print(kind, {name: value for name, value in what.items() if name != "output"}, flush=True)

    def run(
        self, words: Sequence[str], *, as_user: bool = False, strict: bool = False
    ) -> dict[str, object]:
        """A command's end: its status (None: it took too long), output and time."""
        who = (
            dict(user=self.user.pw_uid, group=self.user.pw_gid, extra_groups=[]) if as_user else {}
        )
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        if as_user:
            environ.update(HOME=os.fspath(HOME), PYTHONPATH=os.fspath(PRODUCT))
        start = time.monotonic()
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environ,
                cwd="/",
                timeout=SECONDS,
                **who,  # type: ignore[call-overload]
            )
            status, output = done.returncode, done.stdout
        except subprocess.TimeoutExpired as e:
            status, output = None, e.stdout or b""
        if strict and status != 0:
            raise SystemExit(f"session: {' '.join(words)}: {status}: {output!r}")
        text = output.decode(errors="replace")
        return {"status": status, "output": text, "seconds": time.monotonic() - start}

    def product(self, *words: str) -> dict[str, object]:
        return self.run([sys.executable, "-m", "udockpy", *words], as_user=True)

    def root(self, script: str) -> None:
        """Something that has to work."""
        self.run(["sh", "-ec", script], strict=True)


def apply(machine: Machine, setting: Setting) -> Path:
    """Puts the system into the setting; the directory where its guests are."""
    for name, value in setting.sysctls:
        Path("/proc/sys", name).write_text(value)
    if not setting.nfs:
        return WORLD / "guests"
    machine.root(f"mount -t nfs -o vers={setting.nfs},{nfs_options(setting.nfs)} {HOME}")
    copy = f"cd {HOME} && rm -rf guests && mkdir guests && cp -a {WORLD}/guests/{SMALL} guests"
    machine.run(["sh", "-ec", copy], as_user=True, strict=True)
    return HOME / "guests"


def nfs_options(version: str) -> str:
    return "nolock 127.0.0.1:/export" if version == "3" else "hard 127.0.0.1:/"


def undo(machine: Machine, setting: Setting, before: dict[str, str]) -> None:
    for name, _ in setting.sysctls:
        if name != "kernel/yama/ptrace_scope":
            Path("/proc/sys", name).write_text(before[name])
    if setting.nfs:
        # A file that was removed while it was open goes when its last user has gone.
        machine.root(f"cd /; umount -l {HOME}")


def serve_nfs(machine: Machine) -> None:
    """Where a home can be. Root is nobody there, which is what servers make of him unasked."""
    machine.root(
        f"""
        modprobe nfsd; modprobe nfs; modprobe nfsv3; modprobe nfsv4
        mkdir -p /export /var/lib/nfs/rpc_pipefs
        chown {machine.user.pw_uid}:{machine.user.pw_gid} /export
        echo '/export 127.0.0.1(rw,async,no_subtree_check,insecure,fsid=0)' >/etc/exports
        mount -t nfsd nfsd /proc/fs/nfsd
        mount -t rpc_pipefs none /var/lib/nfs/rpc_pipefs
        rpcbind; exportfs -ra; rpc.nfsd -V 3 -V 4 2; rpc.mountd; sleep 1
        """
    )


def torture_words(who: str) -> list[str]:
    return [f"{PROGRAMS}/torture-musl", f"{PROGRAMS}/work", who]


def oracle(machine: Machine, tree: Path, who: str) -> dict[str, object]:
    """The torture program under a real root's chroot."""
    ids = (0, 0) if who == "root" else (machine.user.pw_uid, machine.user.pw_gid)
    words = ["unshare", "--mount", "sh", "-ec", ORACLE, "oracle", os.fspath(tree)]
    words += [f"--userspec={ids[0]}:{ids[1]}", f"--groups={ids[1]}", os.fspath(tree)]
    words += ["env", "-i", "PATH=/usr/bin:/bin", "LC_ALL=C", *torture_words(who)]
    return machine.run(words)


def working(doctor: dict[str, object]) -> list[str]:
    """The engines that doctor says work."""
    found = json.loads(str(doctor["output"]))
    return [engine["name"] for engine in found["engines"] if engine["works"]]


def runs(engine: str, guest: str, tree: Path) -> Iterator[tuple[str, list[str]]]:
    """The runs of one engine in one guest, by name."""
    words = ["run", "--engine", engine, "--root", os.fspath(tree)]
    yield "script", [*words, "sh", "-c", SCRIPT]
    if guest == "bookworm":
        yield "package", [*words, "sh", "-c", PACKAGE]


def examine(machine: Machine, name: str, setting: Setting, guests: Path) -> None:
    doctor = machine.product("doctor", "--json")
    machine.say("doctor", setting=name, **doctor)
    auto = machine.product("run", "--verbose", "--root", os.fspath(guests / "musl"), "id", "-u")
    machine.say("auto", setting=name, **auto)
    for engine in working(doctor):
        for guest in setting.guests:
            for run, words in runs(engine, guest, guests / guest):
                about = {"setting": name, "engine": engine, "guest": guest, "run": run}
                machine.say("run", **about, **machine.product(*words))
        for who in setting.torture if engine in setting.engines else ():
            words = ["run", "--engine", engine, *(["--root"] if who == "root" else [])]
            words += [os.fspath(guests / SMALL), *torture_words(who)]
            about = {"setting": name, "engine": engine, "who": who}
            machine.say("torture", **about, **machine.product(*words))


def oracles(machine: Machine, name: str, setting: Setting, guests: Path) -> None:
    """What the kernel does there without us. On NFS root is nobody, so there the user asks."""
    tree = guests / SMALL if setting.nfs else WORLD / "trees" / SMALL
    for who in ("user",) if setting.nfs else setting.torture:
        machine.say("oracle", setting=name, who=who, **oracle(machine, tree, who))


def main() -> None:
    machine = Machine()
    machine.say("kernel", release=os.uname().release)
    shutil.copyfile(PRODUCT / "makedeb.sh", WORLD / f"guests/bookworm{PROGRAMS}/makedeb.sh")
    serve_nfs(machine)
    for name, setting in SETTINGS.items():
        before = {path: Path("/proc/sys", path).read_text() for path, _ in setting.sysctls}
        guests = apply(machine, setting)
        oracles(machine, name, setting, guests)
        examine(machine, name, setting, guests)
        undo(machine, setting, before)
    machine.say(END)


if __name__ == "__main__":
    main()
