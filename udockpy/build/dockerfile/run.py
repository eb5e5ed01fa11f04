"""RUN, and what it mounts."""

from __future__ import annotations

import json
import posixpath

from udockpy.build import rootfs
from udockpy.build.dockerfile import files, mounts, settings
from udockpy.build.dockerfile.lines import bad
from udockpy.build.dockerfile.stage import key_of, tree_of
from udockpy.build.workshop import Guest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.build.dockerfile.files import Source
    from udockpy.build.dockerfile.grammar import Instruction
    from udockpy.build.dockerfile.mounts import Mount
    from udockpy.build.dockerfile.stage import Stage
    from udockpy.store.tree import Tree

SCRIPT = ".run.script"
# Arguments that need no ARG, and are of no consequence for what is made
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


def run(stage: Stage, instruction: Instruction) -> None:
    """Runs a command as pretended root, or as the user that USER says."""
    if instruction.flag("network") not in ("", "default", "host"):
        raise ValueError("--network=none is not supported")
    if instruction.flag("security") not in ("", "sandbox"):
        raise ValueError("--security=insecure is not supported")
    flags = [stage.expand(value) for name, value in instruction.flags if name == "mount"]
    mounted = [mounts.parse(flag) for flag in flags]
    command, script = _command(stage, instruction)
    given = dict(stage.around.options.arguments)
    proxies = {name: value for name, value in given.items() if name.lower() in PROXIES}
    stage.around.used.update(proxies)
    user = stage.settings.get("User") or ""
    arguments = {k: v for k, v in stage.arguments.items() if k not in proxies}
    origins = [_origin(stage, mount) for mount in mounted]
    about = ["RUN", command, script, user, arguments, flags, origins]

    def start(tree: Tree) -> None:
        binds, secrets = _mounted(stage, mounted)
        known = {**proxies, **stage.known(), **secrets}
        guest = Guest(
            tuple(command),
            tuple(f"{name}={value}" for name, value in known.items()),
            tuple(binds),
            stage.settings.get("WorkingDir") or "/",
            user,
        )
        if script:
            rootfs.put(tree, [rootfs.file(SCRIPT, script, stage.store.now, mode=0o755)])
        status = stage.store.run(tree, guest)
        rootfs.remove(tree, SCRIPT)
        if status:
            raise bad(stage.around.name, instruction.line, f"RUN failed with status {status}")

    stage.changes(instruction, json.dumps(about), start)


def _command(stage: Stage, instruction: Instruction) -> tuple[list[str], str]:
    """What to start; and the script to be put into the image, where a here-document is one."""
    command = settings.command_words(stage.settings, instruction)
    if not instruction.heredocs or instruction.exec_form() is not None:
        return command, ""
    first = instruction.heredocs[0]
    if instruction.text != first.mark:
        # The shell itself reads the documents, and puts variables in.
        parts = [f"{heredoc.content}{heredoc.name}" for heredoc in instruction.heredocs]
        return [*command[:-1], "\n".join([command[-1], *parts]) + "\n"], ""
    if first.content.startswith("#!"):
        return [f"/{SCRIPT}"], first.content
    return [*command[:-1], first.content], ""


def _origin(stage: Stage, mount: Mount) -> str:
    """What a mount shows, for the cache of builds."""
    if mount.kind != "bind":
        return ""
    if mount.value("from"):
        return key_of(stage.around.other(mount.value("from")))
    return files.fingerprint(_sources(stage, mount))


def _mounted(stage: Stage, mounted: list[Mount]) -> tuple[list[str], dict[str, str]]:
    """The binds that show mounts, and the variables that secrets are."""
    binds, variables = [], {}
    for mount in mounted:
        target = mount.value("target")
        if mount.kind == "secret":
            name = mount.value("id") or posixpath.basename(target)
            source = _secret(stage, mount, name)
            if source and mount.value("env"):
                with open(source, encoding="utf-8", errors="surrogateescape") as file:
                    variables[mount.value("env")] = file.read()
            if not source or (mount.value("env") and not target):
                continue
            target = target or f"/run/secrets/{name}"
        else:
            source = _folder(stage, mount)
        mode = "rw" if mount.is_writable else "ro"
        binds.append(f"{source}:{stage.path(target)}:{mode}")
    return binds, variables


def _folder(stage: Stage, mount: Mount) -> str:
    if mount.kind == "tmpfs":
        return stage.store.new_folder()
    if mount.kind == "cache":
        return stage.store.cache_folder(mount.value("id") or mount.value("target"))
    found = _sources(stage, mount)
    if not found:
        raise ValueError(f"{mount.source}: there is no such file to be mounted")
    # A copy: what the command writes to it is nobody's.
    copy = stage.store.new_tree()
    files.put(found, files.Place(copy, "/mounted", None, None, stage.store.now), unpack=False)
    return f"{copy.rootfs}/mounted"


def _sources(stage: Stage, mount: Mount) -> list[Source]:
    if not mount.value("from"):
        return files.of_context(stage.around.options.context, stage.around.ignore, mount.source)
    tree = tree_of(stage.around.other(mount.value("from")))
    return files.of_tree(tree, mount.source) if tree else []


def _secret(stage: Stage, mount: Mount, name: str) -> str:
    source = dict(stage.around.options.secrets).get(name, "")
    if not source and mount.is_set("required"):
        raise ValueError(f"the secret {name} was not given: --secret id={name},src=FILE")
    return source
