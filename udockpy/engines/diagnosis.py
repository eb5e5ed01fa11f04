"""Who forbids an engine, and the line that would allow it. Pure: a probe's answer and the signs of
the node are values.

The probe knows what was refused; who refused it shows in the signs, or is a guess that says so.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.engines.interface import Probe
    from udockpy.engines.signs import Signs

SYSCTL, FILTER, APPARMOR, MODULE = "sysctl", "seccomp filter", "AppArmor", "security module"
KERNEL, CHROOT, CONTAINER, YAMA = "kernel", "chroot", "container", "Yama"
NOEXEC, INSTALLATION, SUBIDS, TOOL = (
    "noexec mount",
    "installation",
    "subordinate ids",
    "set-id tool",
)
NO_NEW_PRIVS, UNKNOWN = "no_new_privs", "unknown"
PROC = "read-only /proc"

# Steps of the probes (engines/*/), by what they need.
CREATE = frozenset({"user-namespace"})
MAP = frozenset({"setgroups", "uid-map", "gid-map", "namespaces"})
MOUNT = frozenset(
    {"propagation", "newroot", "overlay", "read-only", "bind", "proc", "pivot-root", "hostname"}
)
SECCOMP = frozenset({"seccomp"})
TRACE = frozenset({"trace", "redirect"})
CODE = frozenset({"mprotect"})
CALLS = frozenset({"statx"})  # what every translating engine calls


class Cause(NamedTuple):
    """Why something is not there. When it is not `certain`, `because` says what it is concluded
    from.
    """

    who: str
    what: str
    allow: tuple[str, ...] = ()  # what an administrator would do: lines to type, or words
    certain: bool = True
    because: str = ""

    def describe(self) -> str:
        if self.certain:
            return f"{self.who}: {self.what}"
        return f"probably {self.who}: {self.what} ({self.because})"


def diagnose(probe: Probe, signs: Signs) -> Cause | None:
    """Who is behind a no; None for a yes."""
    if probe.works:
        return None
    if probe.missing:
        return _installation(probe, signs)
    for steps, ask in (
        (CREATE, _namespace),
        (MAP | MOUNT, _rights),
        (SECCOMP, _filters),
        (TRACE, _tracing),
        (CODE, _own_code),
        (CALLS, _calls),
    ):
        if probe.step in steps:
            return ask(probe, signs)
    what = f"its probe failed at {probe.step} ({probe.reason})"
    return _guess(UNKNOWN, what, (), "nothing this node shows explains it")


def diagnose_subuids(signs: Signs) -> Cause:
    """Why subordinate ids could not be mapped, though user namespaces work."""
    for names, there in (("subuid", signs.subuids), ("subgid", signs.subgids)):
        if not there:
            line = (
                f"usermod --add-{names}s 100000-165535 {signs.user}"
                "   # a range that /etc/" + names + " gives to nobody else"
            )
            return Cause(SUBIDS, f"/etc/{names} has no range for {signs.user}", (line,))
    for name, tool in signs.tools.items():
        if not tool.path:
            return Cause(TOOL, f"{name} is not installed", ("apt-get install uidmap",))
        if not tool.privileged:
            allow = (f"chown root: {tool.path} && chmod u+s {tool.path}",)
            return Cause(TOOL, f"{tool.path} is not set-user-id root", allow)
        if tool.nosuid:
            allow = (f"mount -o remount,suid {tool.nosuid}",)
            return Cause(TOOL, f"{tool.path} is on a nosuid mount, {tool.nosuid}", allow)
    if signs.no_new_privs:
        allow = ("start the session without it: NoNewPrivileges=no in the service, or no filter",)
        return Cause(NO_NEW_PRIVS, "set-id programs gain nothing in this session", allow)
    what = "newuidmap or newgidmap refused"
    return _guess(SUBIDS, what, (), "ranges and tools are there: compare them with `newuidmap`")


def _installation(probe: Probe, signs: Signs) -> Cause:
    if signs.libexec_noexec:
        where = signs.libexec_noexec
        allow = (f"mount -o remount,exec {where}   # or install udockpy elsewhere",)
        return Cause(NOEXEC, f"udockpy's helpers are on a noexec mount, {where}", allow)
    allow = ("reinstall udockpy, or build its helpers: make -C engines install",)
    return Cause(INSTALLATION, probe.reason, allow)


def _namespace(probe: Probe, signs: Signs) -> Cause:
    """Making a user namespace was refused."""
    if not signs.user_namespaces:
        return Cause(KERNEL, "it has no user namespaces", ("boot a kernel with CONFIG_USER_NS=y",))
    # Before the filter: Debian's kernels ask this one before they look at unshare's arguments.
    if signs.sysctls.get("kernel.unprivileged_userns_clone") == "0":
        return _zero("kernel.unprivileged_userns_clone")
    if signs.meets_filter("unshare"):
        return _filter("unshare(2)", signs)
    if probe.error == "ENOSPC":
        return _limit("user.max_user_namespaces", "15000", signs)
    if probe.error == "EUSERS":
        allow = ("run udockpy one container further out",)
        return Cause(CONTAINER, "user namespaces are nested 32 deep", allow)
    if signs.chroot:
        allow = ("enter the tree with pivot_root (systemd-nspawn, bwrap) instead of chroot",)
        what = "no user namespace can be made in a chroot"
        return _guess(CHROOT, what, allow, "nothing is mounted at / here")
    return _apparmor(signs) or _somebody(probe, signs, "user namespaces")


def _rights(probe: Probe, signs: Signs) -> Cause:
    """The namespace was made, but nothing can be done with it."""
    if probe.step in MAP and probe.error == "EROFS":
        allow = ("mount -o remount,rw /proc   # in the container that this session is in",)
        return Cause(PROC, "user ids are mapped by writing to /proc, which is read-only", allow)
    if probe.step in MOUNT and signs.meets_filter("mount"):
        return _filter("mount(2)", signs)
    if probe.error == "ENOSPC" and probe.step == "namespaces":
        for name in ("user.max_mnt_namespaces", "user.max_pid_namespaces"):
            if signs.sysctls.get(name) == "0":
                return _limit(name, "15000", signs)
        return _limit("user.max_mnt_namespaces", "15000", signs)
    return _apparmor(signs) or _somebody(probe, signs, "what is done inside a user namespace")


def _filters(probe: Probe, signs: Signs) -> Cause:
    """A seccomp filter was refused."""
    if signs.filtered and signs.meets_filter("prctl"):
        return _filter("seccomp(2)", signs)
    known = "kernel.seccomp.actions_avail" in signs.sysctls
    if signs.meets_filter("prctl") and not known and not signs.filtered:
        allow = ("boot a kernel with CONFIG_SECCOMP_FILTER=y",)
        because = "there is no kernel.seccomp.actions_avail, which kernels with filters have"
        return _guess(KERNEL, "it has no seccomp filters", allow, because)
    return _somebody(probe, signs, "seccomp filters")


def _tracing(probe: Probe, signs: Signs) -> Cause:
    """ptrace was refused."""
    scope = signs.sysctls.get("kernel.yama.ptrace_scope", "0")
    if signs.meets_filter("ptrace"):
        return _filter("ptrace(2)", signs)
    if scope == "2":
        allow = ("sysctl -w kernel.yama.ptrace_scope=1",)
        return Cause(YAMA, "kernel.yama.ptrace_scope is 2", allow)
    if scope == "3":
        allow = (
            "set kernel.yama.ptrace_scope=1 in /etc/sysctl.d/ and reboot: 3 cannot be lowered",
        )
        return Cause(YAMA, "kernel.yama.ptrace_scope is 3", allow)
    return _somebody(probe, signs, "ptrace")


def _own_code(probe: Probe, signs: Signs) -> Cause:
    """Making written memory executable was refused."""
    return _somebody(probe, signs, "code that a program writes itself")


def _calls(probe: Probe, signs: Signs) -> Cause:
    """A system call of Linux 4.11 was refused."""
    if signs.filtered:
        because = "a seccomp filter is in force here"
        return _filter("statx(2)", signs)._replace(certain=False, because=because)
    if probe.error == "ENOSYS":
        return Cause(KERNEL, "it is older than Linux 4.11", ("boot a newer kernel",))
    return _somebody(probe, signs, "statx(2)")


def _limit(name: str, value: str, signs: Signs) -> Cause:
    comment = "in the container" if signs.nested else "and in a file of /etc/sysctl.d/"
    allow = (f"sysctl -w {name}={value}   # {comment}",)
    if signs.sysctls.get(name) == "0":
        where = " in the user namespace you are in" if signs.nested else ""
        return Cause(SYSCTL, f"{name} is 0{where}", allow)
    if signs.nested:
        what = f"{name} of a user namespace around this one is used up"
        return _guess(CONTAINER, what, allow, "this is not the first user namespace")
    because = f"it is {signs.sysctls.get(name, 'not readable')} here"
    return _guess(SYSCTL, f"{name} is used up", allow, because)


def _zero(name: str) -> Cause:
    return Cause(
        SYSCTL, f"{name} is 0", (f"sysctl -w {name}=1   # and in a file of /etc/sysctl.d/",)
    )


def _filter(call: str, signs: Signs) -> Cause:
    allow = {
        "docker": "docker run --security-opt seccomp=unconfined ...",
        "podman": "podman run --security-opt seccomp=unconfined ...",
        "systemd-nspawn": "systemd-nspawn --system-call-filter=... (see its manual)",
    }.get(
        signs.container,
        "allow it in what set the filter: RestrictNamespaces= and SystemCallFilter= of a systemd"
        " service, the seccomp profile of a container or batch system",
    )
    return Cause(FILTER, f"a filter set by what started this session refuses {call}", (allow,))


def _apparmor(signs: Signs) -> Cause | None:
    name = "kernel.apparmor_restrict_unprivileged_userns"
    if signs.sysctls.get(name, "0") == "0":
        return None
    allow = (f"sysctl -w {name}=0   # or an AppArmor profile with `userns,` for udockpy-userns",)
    return Cause(APPARMOR, f"{name} is {signs.sysctls[name]}", allow)


def _somebody(probe: Probe, signs: Signs, what: str) -> Cause:
    """Nobody said it was him."""
    refused = f"it refuses {what} with {probe.error}"
    profile = signs.label.partition(" ")[0]
    if "selinux" in signs.modules and probe.error == "EACCES":
        allow = ("ausearch -m avc -ts recent   # names the rule",)
        return _guess(
            MODULE, f"SELinux: {refused}", allow, "it is active, and EACCES is its answer"
        )
    if profile not in ("", "unconfined") and "selinux" not in signs.modules:
        allow = (f"aa-complain {profile}   # or allow it in that profile",)
        return _guess(APPARMOR, refused, allow, f"this session runs under its profile {profile}")
    if signs.filtered:
        return _filter(what, signs)._replace(
            certain=False, because="a seccomp filter is in force here"
        )
    if signs.modules:
        because = f"no sysctl or filter does; active are {', '.join(signs.modules)}"
        return _guess(MODULE, refused, (), because)
    return _guess(UNKNOWN, refused, (), "no sysctl, filter or security module shows here")


def _guess(who: str, what: str, allow: tuple[str, ...], because: str) -> Cause:
    return Cause(who, what, allow, certain=False, because=because)
