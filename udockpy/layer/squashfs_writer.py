"""Writes members as a squashfs filesystem, through a program of the host that packs a tar
stream: mksquashfs from 4.5 on, or tar2sqfs. Owners, devices and attributes are the members' own.
"""

from __future__ import annotations

import itertools
import struct
import subprocess

from udockpy.errors import Error
from udockpy.layer.squashfs_reader import SquashfsReader
from udockpy.layer.tar_writer import write_tar
from udockpy.util.process import which

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from udockpy.layer.member import Member

SUPERBLOCK_TIME = 8  # byte
HINT = "install the package squashfs-tools (4.5 or newer), or squashfs-tools-ng"


def write_squashfs(members: Iterator[Member], path: str) -> None:
    """Makes the new file `path`. The root is the first member."""
    root = next(members)
    argv = _packer(path)
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            with process.stdin as pipe:
                write_tar(itertools.chain([root], members), pipe)
        except BrokenPipeError:
            pass  # what the program says tells more
        except BaseException:
            process.kill()
            raise
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.returncode:
        reason = said[-1] if said else f"it ended with status {process.returncode}"
        raise Error("cannot write the squashfs filesystem", path, f"{argv[0]}: {reason}")
    _mend_root(path, root)


def _packer(path: str) -> list[str]:
    """The command that reads a tar stream and makes the file."""
    program = which("mksquashfs")
    if program is not None and _version(program) >= (4, 5):
        options = ["-tar", "-noappend", "-quiet", "-no-progress", "-comp", "gzip"]
        # Inodes are left as they are, so that the root's can be mended.
        options += ["-noI"]
        return [program, "-", path, *options]
    program = which("tar2sqfs")
    if program is not None:
        return [program, "-q", "-f", "-c", "gzip", "-d", "mtime=0", path]
    raise Error("cannot write a squashfs filesystem", path, "no program for it", hint=HINT)


def _mend_root(path: str, root: Member) -> None:
    """mksquashfs invents the root directory, which in a tar stream has no name: it gets the user's
    owner and the present time, as does the superblock.
    """
    with open(path, "r+b") as file:
        reader = SquashfsReader(file, path)
        inode = reader.root_header()
        if inode is None or not {root.uid, root.gid} <= set(reader.ids):
            return  # tar2sqfs compresses them, and takes what the stream says
        owner = reader.ids.index(root.uid), reader.ids.index(root.gid)
        seconds = root.mtime_ns // 10**9
        file.seek(inode + 2)  # behind the type
        file.write(struct.pack("<3HI", root.mode, *owner, seconds))
        file.seek(SUPERBLOCK_TIME)
        file.write(struct.pack("<I", seconds))


def _version(program: str) -> tuple[int, ...]:
    import re

    said = subprocess.run([program, "-version"], capture_output=True, check=False).stdout
    found = re.search(rb"version (\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0,)
