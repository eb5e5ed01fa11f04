"""Boots a kernel of tests/world/kernels.py and reads what session.py reports."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from support.world import TREE

import udockpy

SECONDS = 3000
REPORT_SIZE = 64 << 20
ACCELERATOR = "UDOCKPY_TEST_ACCELERATOR"  # kvm: where it works for other people's kernels
FILES = (TREE / "tests/kernels/session.py", TREE / "tests/guests/makedeb.sh")


def product_disk(path: Path) -> None:
    """The package as it is imported here, and what runs it, as a tar file."""
    with tarfile.open(path, "w") as tar:
        tar.add(Path(udockpy.__file__).parent, "udockpy")
        for file in FILES:
            tar.add(file, file.name)
    # A disk is whole sectors.
    size = path.stat().st_size
    os.truncate(path, size + -size % 512)


def boot(kernels: Path, name: str, place: Path) -> list[dict[str, Any]]:
    """The report of one boot. Without its end the machine died: the console is in `place`."""
    product, report = place / "product.tar", place / "report"
    product_disk(product)
    with report.open("wb") as file:
        file.truncate(REPORT_SIZE)
    disks = [
        (kernels / "system.ext4", "snapshot=on"),
        (product, "readonly=on"),
        (report, "cache=writeback"),
    ]
    words = ["qemu-system-x86_64", "-machine", "q35", "-cpu", "max", "-m", "3000", "-smp", "2"]
    words += ["-accel", os.environ.get(ACCELERATOR, "tcg,thread=multi"), "-nographic", "-no-reboot"]
    words += ["-net", "none", "-monitor", "none", "-serial", f"file:{place / 'console'}"]
    for path, options in disks:
        words += ["-drive", f"file={path},format=raw,if=virtio,{options}"]
    words += ["-kernel", str(kernels / name / "vmlinuz"), "-initrd", str(kernels / name / "initrd")]
    words += ["-append", "console=ttyS0 panic=-1 quiet no_timer_check"]
    subprocess.run(words, stdin=subprocess.DEVNULL, check=True, timeout=SECONDS)
    lines = report.read_bytes().rstrip(b"\0").splitlines()
    return [json.loads(line) for line in lines]


def there() -> bool:
    """Whether machines can be started here."""
    return shutil.which("qemu-system-x86_64") is not None
