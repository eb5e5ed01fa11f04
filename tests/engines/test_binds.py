"""Binds: host files and directories that a guest is given."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from support.product import FAILED, Product, text
from support.world import World


@pytest.fixture
def given(scratch: Path) -> Path:
    """A directory of the host's."""
    path = scratch / "given"
    (path / "sub").mkdir(parents=True)
    (path / "file").write_text("given\n")
    (path / "sub" / "deep").write_text("deep\n")
    (path / "link").symlink_to("sub/deep")
    (path / "up").symlink_to("../given/file")
    return path


def bind(*words: str) -> list[str]:
    return [option for word in words for option in ("--bind", word)]


@pytest.mark.reference
def test_directory_read_and_written(engine: Product, small: Path, given: Path) -> None:
    script = (
        "cat /mnt/file /mnt/link; echo new >/mnt/new; mkdir /mnt/dir; "
        "mv /mnt/new /mnt/dir/moved; pwd; ls /mnt"
    )
    done = engine.shell(small, script, options=[*bind(f"{given}:/mnt"), "--workdir", "/mnt/sub"])
    assert (done.stdout, done.stderr) == (b"given\ndeep\n/mnt/sub\ndir\nfile\nlink\nsub\nup\n", b"")
    assert (given / "dir" / "moved").read_text() == "new\n"


@pytest.mark.reference
def test_the_same_path_when_none_is_said(engine: Product, small: Path, given: Path) -> None:
    done = engine.shell(
        small, f"cat {given}/file; cd {given}/sub; pwd; cat ../file", options=bind(str(given))
    )
    assert done.stdout.decode() == f"given\n{given}/sub\ngiven\n", text(done)


@pytest.mark.reference
def test_read_only(engine: Product, small: Path, given: Path) -> None:
    script = """
        cat /mnt/file
        for try in 'echo x >/mnt/file' 'echo x >/mnt/new' 'mkdir /mnt/dir' 'rm /mnt/file' \
            'mv /mnt/file /mnt/x' 'ln /mnt/file /mnt/hard' 'ln -s x /mnt/soft' \
            'chmod 600 /mnt/file' 'touch /mnt/file' 'rmdir /mnt/sub'
        do sh -c "$try" 2>&1 | grep -c 'Read-only'; done
        cp /mnt/file /opt/udockpy/work/copy-$$ && rm /opt/udockpy/work/copy-$$ && echo copied
    """
    done = engine.shell(small, script, options=bind(f"{given}:/mnt:ro"))
    assert done.stdout.decode().split() == ["given", *["1"] * 10, "copied"], text(done)
    assert sorted(os.listdir(given)) == ["file", "link", "sub", "up"]
    assert (given / "file").read_text() == "given\n"


def test_read_only_for_a_pretended_root_too(engine: Product, small: Path, given: Path) -> None:
    script = (
        "echo x >/mnt/file; chown 5:5 /mnt/file; chmod 4755 /mnt/file; rm -f /mnt/file; "
        "cat /mnt/file; stat -c %u /mnt/file"
    )
    done = engine.shell(small, script, options=[*bind(f"{given}:/mnt:ro"), "--root"])
    assert done.stdout.decode().splitlines()[0] == "given"
    assert (given / "file").read_text() == "given\n"


@pytest.mark.reference
def test_single_file_over_a_file(engine: Product, small: Path, given: Path) -> None:
    done = engine.shell(
        small,
        "cat /etc/passwd; echo more >>/etc/passwd; ls /etc | grep -c passwd",
        options=bind(f"{given}/file:/etc/passwd"),
    )
    assert done.stdout == b"given\n1\n", text(done)
    assert (given / "file").read_text() == "given\nmore\n"
    assert "root:" in (small / "etc" / "passwd").read_text()


@pytest.mark.reference
def test_targets_that_the_image_has_not(engine: Product, sandbox: Path, given: Path) -> None:
    before = sorted(path.name for path in sandbox.iterdir())
    done = engine.shell(
        sandbox,
        "cat /not/there/yet/file /nor/this; ls /not/there",
        options=bind(f"{given}:/not/there/yet", f"{given}/file:/nor/this"),
    )
    assert done.stdout == b"given\ngiven\nyet\n", text(done)
    after = sorted(path.name for path in sandbox.iterdir())
    assert [
        name for name in after if name not in before and any((sandbox / name).rglob("file"))
    ] == []


def test_what_is_bound_is_listed(engine: Product, small: Path, given: Path) -> None:
    """Also where the image has no such name, once, and only where it was bound."""
    options = bind(f"{given}:/new", f"{given}/file:/etc/new file", f"{given}:/mnt")
    script = """
        for i in / /etc /mnt; do ls $i | grep -cx -e new -e 'new file' -e mnt; done
        find / /etc -xdev -maxdepth 1 -name 'new*'; cd /; echo n*; cd mnt/..; ls -d new
    """
    done = engine.shell(small, script, options=options)
    found = done.stdout.decode().split("\n")
    assert found[:3] == ["2", "1", "0"], text(done)
    assert sorted(found[3:5]) == ["/etc/new file", "/new"], text(done)
    assert found[5:] == ["new", "new", ""], text(done)


@pytest.mark.reference
def test_targets_are_where_the_images_links_lead(
    engine: Product, sandbox: Path, given: Path
) -> None:
    (sandbox / "usr" / "deep").mkdir(parents=True)
    (sandbox / "deep").symlink_to("usr/deep")
    options = bind(f"{given}:/deep/er/here")
    done = engine.shell(
        sandbox, "cat /deep/er/here/file /usr/deep/er/here/file; ls /usr/deep/er", options=options
    )
    assert done.stdout == b"given\ngiven\nhere\n", text(done)
    assert list((sandbox / "usr" / "deep").iterdir()) == []


@pytest.mark.reference
def test_a_source_behind_a_link(engine: Product, small: Path, given: Path) -> None:
    alias = given.parent / "alias"
    alias.symlink_to(given)
    script = f"mkdir {alias}/made; touch {alias}/made/x; cd {alias}/sub; pwd; ls ../made"
    done = engine.shell(small, script, options=bind(str(alias)))
    assert done.stdout.decode() == f"{alias}/sub\nx\n", text(done)


def test_a_file_that_the_image_has_not_costs_a_root_no_directory(
    engine: Product, sandbox: Path, given: Path
) -> None:
    """It is shown, and the directory it is in stays the guest's to change."""
    assert not (sandbox / "etc" / "hosts").exists()
    script = """
        cat /etc/hosts >/dev/null && cat /etc/../etc/given; cd /etc && cat given ./given
        stat -c %s given; echo x 2>/dev/null >>given; echo x 2>/dev/null >>fixed || echo refused
        echo new >file && mv file other && ln other hard && mkdir dir && cat hard
        ls -d other dir
    """
    files = (f"{given}/file:/etc/given", f"{given}/link:/etc/fixed:ro")
    done = engine.shell(sandbox, script, options=["--root", *bind(*files)])
    expected = ["given"] * 3 + ["6", "refused", "new", "dir", "other"]
    assert done.stdout.decode().split() == expected, text(done)
    assert (given / "file").read_text() == "given\nx\n"
    assert (given / "sub" / "deep").read_text() == "deep\n"
    assert not (sandbox / "etc" / "given").exists()


@pytest.mark.reference
def test_later_binds_cover_earlier_ones(engine: Product, small: Path, given: Path) -> None:
    (given / "other").mkdir()
    (given / "other" / "file").write_text("other\n")
    done = engine.shell(
        small,
        "cat /mnt/file /mnt/sub/file /mnt/sub/deep; ls /mnt/sub",
        options=bind(f"{given}:/mnt", f"{given}/other:/mnt/sub"),
    )
    assert done.stdout == b"given\nother\nfile\n", text(done)
    done = engine.shell(
        small, "cat /mnt/file", options=bind(f"{given}:/mnt", f"{given}/other:/mnt")
    )
    assert done.stdout == b"other\n", text(done)


@pytest.mark.reference
def test_dotdot_of_a_bind_is_its_place_in_the_guest(
    engine: Product, small: Path, given: Path
) -> None:
    script = (
        "cat /mnt/../etc/os-release | head -n 1; cat /mnt/up; cd /mnt/sub; cd -P ../..; "
        "pwd; ls /mnt/../mnt/sub"
    )
    done = engine.shell(small, script, options=bind(f"{given}:/mnt"))
    # The link leads to ../given/file, which this guest has not got.
    assert done.stdout.decode().split("\n")[1:] == ["/", "deep", ""], text(done)
    assert b"up" in done.stderr


@pytest.mark.reference
def test_links_between_guest_and_bind(engine: Product, sandbox: Path, given: Path) -> None:
    (given / "absolute").symlink_to("/etc/os-release")
    (sandbox / "into").symlink_to("/mnt/sub/deep")
    done = engine.shell(
        sandbox,
        "head -n 1 /mnt/absolute; cat /into; realpath /into; readlink -f /mnt/link",
        options=bind(f"{given}:/mnt"),
    )
    assert done.stdout == b"ID=udockpy-musl\ndeep\n/mnt/sub/deep\n/mnt/sub/deep\n", text(done)


@pytest.mark.reference
def test_a_bind_over_a_symlink_covers_what_it_names(
    engine: Product, sandbox: Path, given: Path
) -> None:
    (sandbox / "real").mkdir()
    (sandbox / "alias").symlink_to("real")
    done = engine.shell(sandbox, "cat /alias/file", options=bind(f"{given}:/alias"))
    assert done.stdout == b"given\n", text(done)


@pytest.mark.reference
def test_crossing_a_bind_is_another_file_system(engine: Product, small: Path, given: Path) -> None:
    """rename(2) and link(2) between guest and bind fail as across mounts, and mv copes."""
    script = (
        "cd /opt/udockpy/work; echo x >f$$; ln f$$ /mnt/hard 2>/dev/null; "
        "mv f$$ /mnt/moved; cat /mnt/moved; ls f$$ 2>&1 | grep -c 'No such'"
    )
    done = engine.shell(small, script, options=bind(f"{given}:/mnt"))
    assert done.stdout == b"x\n1\n", text(done)
    assert (given / "moved").read_text() == "x\n"


@pytest.mark.reference
def test_sockets_through_a_bind(engine: Product, with_perl: Path, given: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    os.chdir(given)
    try:
        server.bind("s")
    finally:
        os.chdir("/")
    server.listen(1)
    script = (
        "use Socket; socket(S,AF_UNIX,SOCK_STREAM,0); "
        "connect(S,pack_sockaddr_un('/mnt/s')) or die $!; syswrite S,'hi'"
    )
    guest = engine.start(
        with_perl,
        "/usr/bin/perl",
        "-e",
        script,
        options=bind(f"{given}:/mnt"),
        stderr=subprocess.PIPE,
    )
    server.settimeout(30)
    connection, _ = server.accept()
    assert connection.recv(10) == b"hi"
    assert guest.communicate(timeout=20)[1] == b""
    assert guest.returncode == 0
    connection.close()
    server.close()


@pytest.fixture
def with_perl(world: World) -> Path:
    """A guest with a language in it: perl is part of every Debian."""
    return world.guest("bookworm")


@pytest.mark.reference
@pytest.mark.parametrize(
    "word",
    [
        "/nonexistent/source:/mnt",
        "",
        ":",
        ":/mnt",
        "/etc:mnt",
        "/etc:/mnt:sideways",
        "/etc:/a:ro:more",
        "/etc:/../..",
    ],
)
def test_bad_binds_are_refused_clearly(engine: Product, small: Path, word: str) -> None:
    done = engine.shell(small, "echo ran", options=["--bind", word])
    assert done.returncode == FAILED, text(done)
    assert done.stdout == b""
    message = done.stderr.decode()
    assert message.startswith("udockpy: ")
    assert "\nhint: " in message
    assert "Traceback" not in message


@pytest.mark.reference
def test_a_file_bound_over_a_directory_is_refused(
    engine: Product, small: Path, given: Path
) -> None:
    done = engine.shell(small, "cat /etc", options=bind(f"{given}/file:/etc"))
    assert done.returncode == FAILED, text(done)
    assert done.stderr.startswith(b"udockpy: ")


def test_standard_binds(engine: Product, small: Path, scratch: Path) -> None:
    """A user's home, directory and /tmp are shown to his guests; a pretended root's are not."""
    home = scratch / "my home"
    home.mkdir()
    (home / "mine").write_text("mine\n")
    settings = {"HOME": str(home), "UDOCKPY_BIND_HOME": "yes", "UDOCKPY_BIND_CWD": "yes"}
    environ = engine.environment(**settings)
    done = engine.shell(small, 'cat "$HOME/mine"; pwd', environ=environ, cwd=str(home))
    assert done.stdout.decode() == f"mine\n{home}\n", text(done)
    done = engine.shell(
        small, f'pwd; cat "{home}/mine"', environ=environ, cwd=str(home), options=["--root"]
    )
    assert done.stdout == b"/\n"


@pytest.mark.reference
def test_name_resolution_is_the_hosts(engine: Product, small: Path) -> None:
    done = engine.run(small, "/bin/cat", "/etc/resolv.conf", "/etc/hosts")
    expected = Path("/etc/resolv.conf").read_bytes() + Path("/etc/hosts").read_bytes()
    assert done.stdout == expected, text(done)
