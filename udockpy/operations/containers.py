"""ps and rm: list running guests and containers, remove containers."""

from __future__ import annotations

from udockpy import home as homes
from udockpy.errors import BusyError, TargetError
from udockpy.store import containers, images, running
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.containers import Description
    from udockpy.store.running import Running


def processes(environ: Mapping[str, str]) -> list[Running]:
    """The guests that run on this node."""
    return running.listing(homes.find(environ))


def listing(environ: Mapping[str, str]) -> list[Description]:
    """All containers, running or not."""
    return containers.listing(homes.find(environ))


def remove(name: str, environ: Mapping[str, str], *, force: bool) -> None:
    """Removes a container that nothing runs in, or, with force, any."""
    home = homes.find(environ)
    container = containers.find(home, name)
    if container is None:
        raise TargetError("cannot remove", name, "no such container", hint="see udockpy ps -a")
    containers.refuse_protected(home, container)
    if not force:
        refuse_running(home, container.id)
    with lock.shared(images.lock_file(home, "store")):
        containers.remove(home, container)


def refuse_running(home: Home, target: str, what: str = "cannot remove") -> None:
    """Something that runs keeps its root filesystem."""
    pids = [str(guest.pid) for guest in running.listing(home) if guest.target == target]
    if pids:
        raise BusyError(
            what,
            target,
            f"process {', '.join(pids)} runs in it",
            hint="stop it, or use -f" if what == "cannot remove" else "stop it",
        )
