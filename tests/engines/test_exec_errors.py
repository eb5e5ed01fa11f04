"""What cannot be run says so: what, on what, why, what to do; with the statuses of docker and
podman."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.product import FAILED, NOT_EXECUTABLE, NOT_FOUND, Product, text
from support.world import PROGRAMS, World

pytestmark = pytest.mark.reference


def refused(
    product: Product,
    sandbox: Path,
    *command: str,
    status: int,
    names: str | Path,
    what: str = "cannot run",
) -> None:
    """The command fails with this status and a message that names the culprit, whatever the
    engine."""
    done = product.run(sandbox, *command)
    message = done.stderr.decode(errors="replace")
    assert done.returncode == status, text(done)
    assert done.stdout == b""
    first, _, rest = message.partition("\n")
    assert first.startswith(f"udockpy: {what}: {names}: "), message
    assert rest.startswith("hint: "), message
    assert "Traceback" not in message
    assert len(message) < 1000


def make(path: Path, content: str | bytes, mode: int = 0o755) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)


def test_not_found(engine: Product, small: Path) -> None:
    refused(engine, small, "/bin/missing", status=NOT_FOUND, names="/bin/missing")
    refused(engine, small, "no-such-command", status=NOT_FOUND, names="no-such-command")
    refused(engine, small, "/bin/sh/x", status=NOT_FOUND, names="/bin/sh/x")


def test_searched_in_the_guests_path(engine: Product, small: Path) -> None:
    done = engine.run(small, "echo", "found")
    assert (done.returncode, done.stdout) == (0, b"found\n"), text(done)
    done = engine.run(small, "sh", "-c", "missing-command")
    assert done.returncode == 127


def test_not_executable(engine: Product, sandbox: Path) -> None:
    make(sandbox / "plain", "text\n", 0o644)
    refused(engine, sandbox, "/plain", status=NOT_EXECUTABLE, names="/plain")
    refused(engine, sandbox, "/etc", status=NOT_EXECUTABLE, names="/etc")


def test_no_program_at_all(engine: Product, sandbox: Path) -> None:
    make(sandbox / "garbage", b"\x7fELF garbage")
    refused(engine, sandbox, "/garbage", status=NOT_EXECUTABLE, names="/garbage")
    make(sandbox / "empty", b"")
    refused(engine, sandbox, "/empty", status=NOT_EXECUTABLE, names="/empty")


def test_missing_interpreter(engine: Product, sandbox: Path, world: World) -> None:
    make(sandbox / "script", "#!/usr/bin/missing-interpreter\n")
    done = engine.run(sandbox, "/script")
    assert done.returncode == NOT_FOUND, text(done)
    assert b"/usr/bin/missing-interpreter" in done.stderr
    # A dynamic program of glibc in a guest that has only musl.
    done = engine.run(sandbox, "/opt/udockpy/torture", "--exit", "0")
    assert done.returncode == NOT_FOUND, text(done)
    assert b"ld-linux" in done.stderr


def test_script_without_shebang(engine: Product, sandbox: Path) -> None:
    make(sandbox / "script", "echo ran by a shell\n")
    refused(engine, sandbox, "/script", status=NOT_EXECUTABLE, names="/script")
    done = engine.shell(sandbox, "/script")
    assert done.stdout == b"ran by a shell\n", text(done)


def test_another_architecture(engine: Product, sandbox: Path) -> None:
    program = bytearray((sandbox / "opt/udockpy/torture-static").read_bytes())
    program[18:20] = (243).to_bytes(2, "little")  # EM_RISCV
    make(sandbox / "foreign", bytes(program))
    done = engine.run(sandbox, "/foreign", "--exit", "0")
    assert done.returncode in (123, NOT_EXECUTABLE), text(done)
    assert done.stderr.startswith(b"udockpy: ")
    assert b"/foreign" in done.stderr
    assert b"riscv" in done.stderr.lower() or b"architecture" in done.stderr.lower()


def test_links_that_lead_nowhere(engine: Product, sandbox: Path) -> None:
    (sandbox / "dangling").symlink_to("/nowhere")
    refused(engine, sandbox, "/dangling", status=NOT_FOUND, names="/dangling")
    (sandbox / "loop").symlink_to("loop")
    refused(engine, sandbox, "/loop", status=NOT_EXECUTABLE, names="/loop")


def test_a_bad_sandbox(engine: Product, scratch: Path) -> None:
    def bad(sandbox: Path) -> None:
        what = "cannot use as a sandbox"
        refused(engine, sandbox, "/bin/sh", status=FAILED, names=sandbox, what=what)

    bad(scratch / "missing")
    (scratch / "file").write_text("")
    bad(scratch / "file")
    (scratch / "empty").mkdir()
    done = engine.run(scratch / "empty", "/bin/sh")
    assert done.returncode in (FAILED, NOT_FOUND), text(done)
    assert done.stderr.startswith(b"udockpy: ")
    (scratch / "closed").mkdir(mode=0)
    bad(scratch / "closed")


def test_an_unknown_user(engine: Product, small: Path) -> None:
    for word in ("nobody-of-this-name", "0:nogroup-of-this-name", "-1", "99999999999", ""):
        done = engine.run(small, "/bin/id", options=["--user", word])
        assert done.returncode == FAILED, text(done)
        assert done.stderr.startswith(b"udockpy: "), text(done)


@pytest.mark.parametrize(
    "options", [["--engine", "nonsense"], ["--nonsense"], ["--env-file", "/nonexistent"]]
)
def test_bad_options(engine: Product, small: Path, options: list[str]) -> None:
    done = engine.run(small, "/bin/true", options=options)
    assert done.returncode == FAILED, text(done)
    assert b"Traceback" not in done.stderr


def test_a_vfork_child_needs_little_stack(engine: Product, world: World) -> None:
    """A signal frame with all of AVX-512 in it takes 3 KiB; musl's posix_spawn gives 5."""
    done = engine.run(world.guest("static"), f"{PROGRAMS}/smallstack-static", "4096")
    assert done.stdout.startswith(b"ok "), text(done)
