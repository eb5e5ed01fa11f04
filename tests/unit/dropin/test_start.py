"""What the drop-in apptainer imports: callers start it for each of their jobs."""

from __future__ import annotations

import subprocess
import sys


def test_a_run_of_a_file_imports_nothing_of_registries() -> None:
    script = """
import sys
from udockpy.dropin.apptainer import action, command, options
slow = {"urllib3", "ssl", "click", "tarfile", "json", "concurrent", "csv", "tempfile", "hashlib"}
print(sorted(set(sys.modules) & slow))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
