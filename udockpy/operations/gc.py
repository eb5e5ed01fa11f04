"""gc: free what nothing needs any more."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.errors import BusyError
from udockpy.store import garbage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.store.garbage import Garbage


def gc(environ: Mapping[str, str], *, caches: bool, dry: bool) -> list[Garbage]:
    """Removes, unless it is `dry`, what nothing needs; with `caches` all that could be made again,
    too. Returns what it was.
    """
    home = homes.find(environ)
    found = garbage.collect(home, caches=caches, dry=dry)
    if found is None:
        reason = "another process is adding to it"
        raise BusyError("cannot clean the state directory", home.path, reason, hint="try again")
    return found
