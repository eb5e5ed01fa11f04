"""Where something is built: a folder that is gone afterwards, or goes with the garbage when its
build was killed.
"""

from __future__ import annotations

import contextlib
import os

from udockpy import home as homes
from udockpy.store import images
from udockpy.util import lock, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from udockpy.home import Home


@contextlib.contextmanager
def opened(home: Home) -> Iterator[str]:
    """Yields an empty folder. Meanwhile nothing is taken for garbage."""
    with lock.shared(images.lock_file(home, "store")):
        folder = os.path.join(homes.make(home.builds), f".{os.urandom(6).hex()}")
        os.mkdir(folder, 0o700)
        try:
            yield folder
        finally:
            tree.remove(folder)
