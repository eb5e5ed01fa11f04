"""Which engine runs a guest, on invented hosts, and what it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udockpy import native
from udockpy.container.guest import Program
from udockpy.container.plan import Bind, Identity, Plan
from udockpy.engines import BY_NAME, ENGINES
from udockpy.engines.interface import Host, Probe
from udockpy.engines.select import select
from udockpy.errors import EngineError, HelperError, UsageError

WORKS = Probe(works=True)
DENIED = Probe(works=False, step="user-namespace", error="EPERM", reason="Operation not permitted")
NO_FILTER = Probe(works=False, step="seccomp", error="EINVAL", reason="Invalid argument")
GONE = Probe(works=False, step="helper", reason="no such file", missing=True)
HOST = Host("x86_64", dict.fromkeys((*ENGINES, *BY_NAME), WORKS))
USER = Plan(
    "/rootfs", ("id",), Identity(1001, 1001, (1001,)), (("A", "b"),), fakedb="/f", cache="/c"
)
ROOT = USER._replace(identity=Identity(0, 0, (0,), pretend=True))
NATIVE = Program("/bin/id", "x86_64")


def with_probes(**probes: Probe) -> Host:
    """A host that allows everything but what is said."""
    return HOST._replace(probes={**HOST.probes, **probes})


def test_the_kernels_view_is_preferred() -> None:
    choice = select(USER, HOST, NATIVE, "auto")
    assert choice.describe() == "engine userns (the first that auto tries)"


def test_a_node_without_user_namespaces_gets_trap_and_is_told_why() -> None:
    choice = select(ROOT, with_probes(userns=DENIED), NATIVE, "auto")
    assert choice.name == "trap"
    assert (
        "userns: user namespaces do not work here (user-namespace: Operation not permitted"
        in choice.describe()
    )


def test_a_node_without_filters_too_gets_ptrace() -> None:
    host = with_probes(userns=DENIED, trap=NO_FILTER)
    choice = select(ROOT, host, NATIVE, "auto")
    assert choice.name == "ptrace"
    assert "trap: unprivileged seccomp filters do not work here" in choice.describe()


def test_without_ptrace_the_administrator_is_named() -> None:
    host = with_probes(ptrace=DENIED._replace(step="trace"))
    with pytest.raises(EngineError, match="traced processes do not work here") as caught:
        select(USER, host, NATIVE, "ptrace")
    assert "kernel.yama.ptrace_scope" in caught.value.hint


def test_the_wanted_engine_is_taken() -> None:
    assert select(USER, HOST, NATIVE, "trap").describe() == "engine trap (asked for)"


def test_a_wanted_engine_that_cannot_work_is_an_error_and_no_other_is_taken() -> None:
    with pytest.raises(EngineError, match="userns: user namespaces do not work here") as caught:
        select(USER, with_probes(userns=DENIED), NATIVE, "userns")
    assert caught.value.exit_code == 123
    assert "--engine auto" in caught.value.hint


def test_an_engine_that_does_not_exist_is_a_mistake_that_names_those_that_do() -> None:
    with pytest.raises(UsageError, match="docker: not one of auto, userns, trap"):
        select(USER, HOST, NATIVE, "docker")


def test_an_i386_guest_runs_under_userns_and_ptrace() -> None:
    program = Program("/bin/id", "i386")
    assert select(USER, HOST, program, "auto").name == "userns"
    assert select(USER, with_probes(userns=DENIED), program, "auto").name == "ptrace"
    assert select(ROOT, HOST, program, "auto").name == "ptrace"
    for name in ("trap", "preload"):
        with pytest.raises(EngineError, match="program for i386"):
            select(USER, HOST, program, name)
    with pytest.raises(EngineError, match="no pretence"):
        select(ROOT, HOST, program, "userns")


def test_ptrace_passes_i386_guests_over_where_the_other_helper_does_not_run() -> None:
    host = with_probes(ptrace=Probe(works=True, lacks=("i386",)))
    with pytest.raises(EngineError, match="which udockpy-ptrace-i386 cannot run here") as caught:
        select(USER, host, Program("/bin/id", "i386"), "ptrace")
    assert "-m32" in caught.value.hint
    assert select(USER, host, Program("/bin/id", "x86_64"), "ptrace").name == "ptrace"


def test_a_foreign_guest_runs_nowhere_but_with_an_emulator() -> None:
    program = Program("/bin/id", "aarch64")
    with pytest.raises(EngineError, match=r"userns: .*aarch64.*; trap: .*aarch64") as caught:
        select(USER, HOST, program, "auto")
    assert caught.value.exit_code == 123
    assert select(USER, HOST._replace(foreign=("aarch64",)), program, "auto").name == "userns"


def test_an_unknown_program_is_the_engines_affair() -> None:
    assert select(USER, HOST, Program(), "auto").name == "userns"


def test_pretence_under_userns_needs_filters_or_subuids() -> None:
    host = with_probes(trap=NO_FILTER)
    with pytest.raises(EngineError, match="needs what trap needs"):
        select(ROOT, host, NATIVE, "userns")
    assert select(ROOT._replace(map_subuids=True), host, NATIVE, "auto").name == "userns"
    assert select(USER, host, NATIVE, "auto").name == "userns"


def test_the_hosts_own_root_needs_translation() -> None:
    assert select(ROOT._replace(rootfs="/"), HOST, NATIVE, "auto").name == "trap"


def test_namespaces_need_userns() -> None:
    plan = USER._replace(namespaces=("pid", "net"))
    assert select(plan, HOST, NATIVE, "auto").name == "userns"
    with pytest.raises(EngineError, match="its own pid and net namespace"):
        select(plan, with_probes(userns=DENIED), NATIVE, "auto")


def test_helpers_that_are_gone_are_no_fault_of_the_node() -> None:
    with pytest.raises(HelperError) as caught:
        select(USER, HOST._replace(probes=dict.fromkeys(ENGINES, GONE)), NATIVE, "auto")
    assert caught.value.exit_code == 125


@pytest.fixture(autouse=True)
def libexec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Helpers that exist, so that a launch can name them."""
    for name in ("udockpy-userns", "udockpy-trap", "udockpy-ptrace"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(native, "LIBEXEC", os.fspath(tmp_path))
    return tmp_path


def words(engine: str, plan: Plan) -> str:
    launch = ENGINES[engine].launch(plan)
    assert launch.environ == plan.environment
    return " ".join(launch.argv).replace(f"{native.LIBEXEC}/", "")


def test_the_words_of_trap() -> None:
    binds = (Bind("/a", "/b"), Bind("/c", "/d", True))
    assert words("trap", USER._replace(binds=binds, chdir="/b")) == (
        "udockpy-trap --rootfs /rootfs --bind /a /b --ro-bind /c /d --chdir /b --cache /c"
        " --uid 1001 --gid 1001 -- id"
    )
    assert words("trap", ROOT._replace(read_only=True)) == (
        "udockpy-trap --ro-rootfs /rootfs --chdir / --cache /c --uid 0 --gid 0 --groups 0"
        " --pretend --fakedb /f -- id"
    )


def test_the_words_of_ptrace_are_those_of_trap() -> None:
    for plan in (USER, ROOT):
        assert words("ptrace", plan) == words("trap", plan).replace("trap", "ptrace", 1)


def test_the_words_of_userns() -> None:
    plan = USER._replace(namespaces=("pid", "uts"), hostname="node")
    assert words("userns", plan) == (
        "udockpy-userns --rootfs /rootfs --chdir / --uid 1001 --gid 1001"
        " --unshare-pid --unshare-uts --hostname node -- id"
    )


def test_userns_pretends_with_traps_help() -> None:
    assert words("userns", ROOT) == (
        "udockpy-userns --rootfs /rootfs --chdir / --uid 0 --gid 0 --groups 0"
        " --pretend --fakedb /f --identity-helper udockpy-trap -- id"
    )


def test_mapped_subuids_need_no_pretence() -> None:
    assert words("userns", ROOT._replace(map_subuids=True)) == (
        "udockpy-userns --rootfs /rootfs --chdir / --uid 0 --gid 0 --groups 0"
        " --map-subuids --pretend -- id"
    )


def test_a_helper_that_cannot_be_executed_is_an_error(libexec: Path) -> None:
    (libexec / "udockpy-trap").chmod(0o644)
    with pytest.raises(HelperError, match="udockpy-trap: not executable"):
        ENGINES["trap"].launch(USER)
    (libexec / "udockpy-trap").unlink()
    with pytest.raises(HelperError, match="udockpy-trap: no such file"):
        ENGINES["trap"].launch(USER)


def test_the_reference_tracer_is_taken_by_name_alone() -> None:
    assert select(USER, HOST, NATIVE, "ptrace-py").describe() == "engine ptrace-py (asked for)"
    nothing = HOST._replace(probes={**HOST.probes, **dict.fromkeys(ENGINES, DENIED)})
    with pytest.raises(EngineError) as caught:
        select(USER, nothing, NATIVE, "auto")
    assert "ptrace-py" not in str(caught.value)
    with pytest.raises(EngineError, match="ptrace-py: it pretends no identity"):
        select(ROOT, HOST, NATIVE, "ptrace-py")


def test_without_python_ptrace_the_user_is_told_how_to_install_it() -> None:
    absent = Probe(works=False, step="ptrace", reason="python-ptrace is not installed")
    with pytest.raises(EngineError, match="python-ptrace is not installed") as caught:
        select(USER, with_probes(**{"ptrace-py": absent}), NATIVE, "ptrace-py")
    assert "pip install 'udockpy[trace]'" in caught.value.hint


def test_the_words_of_ptrace_py() -> None:
    command = pytest.importorskip("udockpy.tracer.command")
    launch = BY_NAME["ptrace-py"].launch(USER._replace(binds=(Bind("/a", "/b", True),)))
    assert launch.environ == ()
    words = launch.argv[launch.argv.index("--rootfs") :]
    assert command.parse(list(words)) == (
        b"/rootfs",
        False,
        ((b"/a", b"/b", True),),
        b"/",
        None,
        b"",
        {b"A": b"b"},
        [b"id"],
    )
