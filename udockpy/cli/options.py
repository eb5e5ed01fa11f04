"""The options of run, exec and shell: one table, read by click (help, completion, errors) and by
the quick parser.
"""

from __future__ import annotations

from typing import NamedTuple

from udockpy.engines import BY_NAME, ENGINES

FLAG, VALUE, LIST = "flag", "value", "list"
ENGINE_NAMES = ", ".join(("auto", *ENGINES, *BY_NAME))


class Option(NamedTuple):
    """One option: the field of RunOptions it sets, its spellings, and what it means."""

    field: str
    kind: str
    flags: tuple[str, ...]
    help: str
    metavar: str = ""
    verbs: tuple[str, ...] = ("run", "exec", "shell")


RUN_OPTIONS = (
    Option(
        "bind",
        LIST,
        ("-v", "-B", "--bind"),
        "show the host's SRC to the guest at DST",
        "SRC[:DST[:ro|rw]],...",
    ),
    Option("env", LIST, ("-e", "--env"), "set a variable, or pass on the host's", "NAME[=VALUE]"),
    Option("env_file", LIST, ("--env-file",), "read variables from a file, one a line", "FILE"),
    Option("workdir", VALUE, ("-w", "--workdir"), "start in this directory of the guest", "DIR"),
    Option(
        "entrypoint",
        VALUE,
        ("--entrypoint",),
        "run this program of the guest instead of the image's",
        "PROGRAM",
        ("run",),
    ),
    Option(
        "user",
        VALUE,
        ("-u", "--user"),
        "be this user of the guest (pretended)",
        "NAME|UID[:GROUP|GID]",
    ),
    Option("image_user", FLAG, ("--image-user",), "be the user that the image names (pretended)"),
    Option("root", FLAG, ("--root",), "be root (pretended)"),
    Option("read_only", FLAG, ("--read-only",), "keep the guest from changing its root filesystem"),
    Option(
        "platform",
        VALUE,
        ("--platform",),
        "run the image of another platform than this node's",
        "OS/ARCH",
        ("run", "shell"),
    ),
    Option("engine", VALUE, ("--engine",), f"how to run the guest: {ENGINE_NAMES}", "ENGINE"),
    Option("pid", FLAG, ("--pid",), "let the guest see its own processes only (userns)"),
    Option("ipc", FLAG, ("--ipc",), "give the guest its own System V IPC (userns)"),
    Option("net", FLAG, ("--net",), "give the guest an empty network (userns)"),
    Option("hostname", VALUE, ("--hostname",), "give the guest its own host name (userns)", "NAME"),
    Option("name", VALUE, ("--name",), "name the new container of an image", "NAME", ("run",)),
    Option("rm", FLAG, ("--rm",), "remove the new container of an image afterwards", "", ("run",)),
    Option("dry_run", FLAG, ("--dry-run",), "print what would be executed, and do nothing"),
    Option(
        "explain", FLAG, ("--explain",), "print which engine would be taken, and why; run nothing"
    ),
    Option("json", FLAG, ("--json",), "with --dry-run or --explain: print JSON"),
    Option("verbose", FLAG, ("--verbose",), "say which engine runs the guest, and why"),
)


# Of trace, whose -e says which calls.
TRACED = ("bind", "env", "env_file", "workdir", "read_only")


def of(verb: str) -> list[Option]:
    """The options of one verb."""
    if verb == "trace":
        options = [option for option in RUN_OPTIONS if option.field in TRACED]
        return [
            option._replace(flags=tuple(flag for flag in option.flags if flag != "-e"))
            for option in options
        ]
    return [option for option in RUN_OPTIONS if verb in option.verbs]
