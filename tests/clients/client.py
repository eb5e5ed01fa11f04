"""What the fixture `client` is."""

from __future__ import annotations

import subprocess
from typing import Callable

# NAME WORDS...: the program of that name, run to its end
Client = Callable[..., "subprocess.CompletedProcess[bytes]"]
