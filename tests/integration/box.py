"""A small guest of busybox, made in a moment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from support.world import missing

BUSYBOX = "/bin/busybox"
APPLETS = (
    "cat chmod chown cp echo env false id kill ls mkdir mknod pwd rm sh sleep stat touch true wc"
)
ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var/www:/bin/sh\n"


def make_box(root: Path) -> Path:
    if not os.access(BUSYBOX, os.X_OK):
        missing(f"{BUSYBOX}: not found (apt-get install busybox-static)")
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "root", "var/www"):
        (root / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    for name in APPLETS.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text(ACCOUNTS)
    (root / "etc/group").write_text("root:x:0:\nwww:x:33:\n")
    (root / "etc/issue").write_text("guest\n")
    return root
