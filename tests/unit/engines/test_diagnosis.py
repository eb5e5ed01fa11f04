"""Who is blamed for what a probe met, on invented nodes."""

from __future__ import annotations

from typing import Any

import pytest

from udockpy.engines import diagnosis
from udockpy.engines.diagnosis import Cause, diagnose, diagnose_subuids
from udockpy.engines.interface import Probe
from udockpy.engines.signs import KNOCKS, Signs, Tool

QUIET = {call: answer for call, (_, answer) in KNOCKS.items()}
TOOLS = {name: Tool(f"/usr/bin/{name}", privileged=True) for name in ("newuidmap", "newgidmap")}
OPEN = Signs(
    sysctls={"user.max_user_namespaces": "1000", "kernel.seccomp.actions_avail": "kill trap"},
    answers=QUIET,
    subuids=True,
    subgids=True,
    user="ann",
    tools=TOOLS,
)


def no(step: str, error: str = "EPERM") -> Probe:
    return Probe(works=False, step=step, error=error, reason="in words")


def blame(probe: Probe, **signs: Any) -> Cause:
    cause = diagnose(probe, OPEN._replace(**signs))
    assert cause is not None
    return cause


def filtering(call: str, error: str = "EPERM") -> dict[str, Any]:
    return {"answers": {**QUIET, call: error}, "filtered": True}


def test_a_yes_needs_no_cause() -> None:
    assert diagnose(Probe(works=True), OPEN) is None


CERTAIN = [
    (no("user-namespace", "EINVAL"), {"user_namespaces": False}, "kernel", "CONFIG_USER_NS=y"),
    (no("user-namespace"), filtering("unshare"), "seccomp filter", "RestrictNamespaces="),
    (
        no("user-namespace"),
        {**filtering("unshare"), "container": "docker"},
        "seccomp filter",
        "docker run --security-opt",
    ),
    (
        no("user-namespace", "ENOSPC"),
        {"sysctls": {"user.max_user_namespaces": "0"}},
        "sysctl",
        "sysctl -w user.max_user_namespaces=",
    ),
    (
        no("user-namespace"),
        {**filtering("unshare"), "sysctls": {"kernel.unprivileged_userns_clone": "0"}},
        "sysctl",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (no("user-namespace", "EUSERS"), {}, "container", "further out"),
    (no("setgroups", "EROFS"), {}, "read-only /proc", "remount,rw /proc"),
    (no("statx", "ENOSYS"), {}, "kernel", "newer kernel"),
    (
        no("user-namespace"),
        {"sysctls": {"kernel.unprivileged_userns_clone": "0"}},
        "sysctl",
        "sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        no("uid-map"),
        {"sysctls": {"kernel.apparmor_restrict_unprivileged_userns": "1"}},
        "AppArmor",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (no("propagation"), filtering("mount"), "seccomp filter", "SystemCallFilter="),
    (
        no("namespaces", "ENOSPC"),
        {"sysctls": {"user.max_mnt_namespaces": "0"}},
        "sysctl",
        "sysctl -w user.max_mnt_namespaces=",
    ),
    (no("seccomp", "EINVAL"), filtering("prctl", "EINVAL"), "seccomp filter", "seccomp profile"),
    (no("trace"), filtering("ptrace"), "seccomp filter", "seccomp profile"),
    (
        no("trace"),
        {"sysctls": {"kernel.yama.ptrace_scope": "2"}},
        "Yama",
        "sysctl -w kernel.yama.ptrace_scope=1",
    ),
    (no("trace"), {"sysctls": {"kernel.yama.ptrace_scope": "3"}}, "Yama", "reboot"),
    (
        Probe(works=False, missing=True, reason="mounted noexec"),
        {"libexec_noexec": "/home"},
        "noexec mount",
        "mount -o remount,exec /home",
    ),
    (Probe(works=False, missing=True, reason="no such file"), {}, "installation", "reinstall"),
]


@pytest.mark.parametrize(("probe", "signs", "who", "line"), CERTAIN)
def test_what_shows_is_said(probe: Probe, signs: dict[str, Any], who: str, line: str) -> None:
    cause = blame(probe, **signs)
    assert (cause.who, cause.certain) == (who, True)
    assert line in "\n".join(cause.allow)
    assert cause.describe().startswith(f"{who}: ")


GUESSES = [
    (no("user-namespace", "ENOSPC"), {}, "sysctl", "it is 1000 here"),
    (no("user-namespace", "ENOSPC"), {"nested": True}, "container", "first user namespace"),
    (no("user-namespace"), {"chroot": True}, "chroot", "nothing is mounted at /"),
    (no("user-namespace"), {"filtered": True}, "seccomp filter", "in force here"),
    (no("user-namespace"), {"label": "lxc-1 (enforce)"}, "AppArmor", "profile lxc-1"),
    (no("user-namespace", "EACCES"), {"modules": ("selinux",)}, "security module", "EACCES"),
    (no("propagation"), {"modules": ("landlock",)}, "security module", "landlock"),
    (
        no("seccomp", "EINVAL"),
        {"sysctls": {}, **filtering("prctl", "EINVAL"), "filtered": False},
        "kernel",
        "actions_avail",
    ),
    (no("trace"), {}, "unknown", "no sysctl"),
    (no("statx", "ENOSYS"), {"filtered": True}, "seccomp filter", "in force here"),
    (no("statx", "EPERM"), {}, "unknown", "no sysctl"),
    (no("mprotect", "EACCES"), {"modules": ("selinux",)}, "security module", "EACCES"),
    (no("a step of tomorrow"), {}, "unknown", "explains"),
]


@pytest.mark.parametrize(("probe", "signs", "who", "because"), GUESSES)
def test_what_does_not_show_is_a_guess_that_gives_its_grounds(
    probe: Probe, signs: dict[str, Any], who: str, because: str
) -> None:
    cause = blame(probe, **signs)
    assert (cause.who, cause.certain) == (who, False)
    assert because in cause.because
    assert cause.describe().startswith(f"probably {who}: ")
    assert cause.because in cause.describe()


SUBUIDS = [
    ({"subuids": False}, "subordinate ids", "usermod --add-subuids 100000-165535 ann"),
    ({"subgids": False}, "subordinate ids", "usermod --add-subgids"),
    ({"tools": {**TOOLS, "newuidmap": Tool("")}}, "set-id tool", "install uidmap"),
    ({"tools": {**TOOLS, "newgidmap": Tool("/b/newgidmap")}}, "set-id tool", "u+s /b/newgidmap"),
    (
        {"tools": {"newuidmap": Tool("/b/newuidmap", privileged=True, nosuid="/b")}},
        "set-id tool",
        "mount -o remount,suid /b",
    ),
    ({"no_new_privs": True}, "no_new_privs", "NoNewPrivileges=no"),
]


@pytest.mark.parametrize(("signs", "who", "line"), SUBUIDS)
def test_why_subordinate_ids_are_not_there(signs: dict[str, Any], who: str, line: str) -> None:
    cause = diagnose_subuids(OPEN._replace(**signs))
    assert (cause.who, cause.certain) == (who, True)
    assert line in cause.allow[0]
    assert not diagnose_subuids(OPEN).certain


def test_the_steps_that_helpers_name_are_known() -> None:
    """Each step at which engines/userns says that the node refused."""
    import re
    from pathlib import Path

    source = Path(__file__).resolve().parents[3] / "engines/userns/failure.c"
    steps = set(re.findall(r'\[STEP_\w+\] = \{ "([\w-]+)", ".*", true \}', source.read_text()))
    assert steps
    assert steps <= diagnosis.CREATE | diagnosis.MAP | diagnosis.MOUNT
