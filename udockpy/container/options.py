"""What the user asked of a run, as the command line says it."""

from __future__ import annotations

from typing import NamedTuple


class RunOptions(NamedTuple):
    """The words of run, exec and shell."""

    target: str
    command: tuple[str, ...] = ()
    engine: str | None = None
    bind: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()
    workdir: str | None = None
    entrypoint: str | None = None  # None: the image's; empty: none
    user: str | None = None
    image_user: bool = False
    root: bool = False
    read_only: bool = False
    platform: str | None = None
    hostname: str | None = None
    pid: bool = False
    ipc: bool = False
    net: bool = False
    name: str | None = None
    rm: bool = False
    dry_run: bool = False
    explain: bool = False
    json: bool = False
    verbose: bool = False
