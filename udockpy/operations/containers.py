"""ps, rm, rename, clone and stop: what is done with containers as wholes."""

from __future__ import annotations

import signal
from typing import NamedTuple

from udockpy import home as homes
from udockpy.errors import BusyError, TargetError
from udockpy.store import claim, containers, images, running, targets
from udockpy.util import lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.home import Home
    from udockpy.store.containers import Container
    from udockpy.store.running import Running

SECONDS = 10.0  # for a guest to end when it is asked to


class Process(NamedTuple):
    """A guest that runs."""

    pid: int
    engine: str
    target: str
    name: str
    command: tuple[str, ...]


class Row(NamedTuple):
    """A container, running or not."""

    id: str
    name: str
    image: str
    pids: tuple[int, ...]
    protected: bool


def processes(environ: Mapping[str, str]) -> list[Process]:
    """The guests that run on this node."""
    home = homes.find(environ)
    guests = running.listing(home)
    called = {row.id: row.name for row in containers.listing(home)} if guests else {}
    return [
        Process(guest.pid, guest.engine, guest.target, called.get(guest.target, ""), guest.command)
        for guest in guests
    ]


def listing(environ: Mapping[str, str]) -> list[Row]:
    """All containers, and what runs in them on this node."""
    home = homes.find(environ)
    guests = running.listing(home)
    return [
        Row(
            found.id,
            found.name,
            found.image,
            tuple(guest.pid for guest in guests if guest.target == found.id),
            found.protected,
        )
        for found in containers.listing(home)
    ]


def find(home: Home, name: str, what: str) -> Container:
    """The container of that id or name; `what` is what cannot be done without."""
    container = containers.find(home, name)
    if container is None:
        raise TargetError(what, name, "no such container", hint="see udockpy ps -a")
    return container


def remove(name: str, environ: Mapping[str, str], *, force: bool) -> None:
    """Removes a container that nothing runs in; with force, what runs there is killed first."""
    home = homes.find(environ)
    container = find(home, name, "cannot remove")
    containers.refuse_protected(home, container)
    claim.refuse_elsewhere(container.folder, container.id)
    if force:
        _kill(_guests(home, container.id))
    refuse_running(home, container.id)
    discard(home, container)


def discard(home: Home, container: Container) -> None:
    """Removes a container."""
    with lock.shared(images.lock_file(home, "store")):
        containers.remove(home, container)


def rename(name: str, new: str, environ: Mapping[str, str]) -> None:
    """Gives a container another name."""
    home = homes.find(environ)
    containers.rename(home, find(home, name, "cannot rename"), new)


def clone(name: str, new: str | None, environ: Mapping[str, str]) -> Container:
    """Makes a container like another one, of the same image."""
    from udockpy.operations.create import container_of

    home = homes.find(environ)
    container = targets.refuse_layer(find(home, name, "cannot clone"))
    image = next(row.image for row in containers.listing(home) if row.id == container.id)
    return container_of(home, targets.of_container(container), new, image=image)


def stop(name: str, environ: Mapping[str, str], *, seconds: float = SECONDS) -> None:
    """Asks what runs in a container to end, by the signal that its image wants for that, and kills
    it when it does not.
    """
    home = homes.find(environ)
    container = find(home, name, "cannot stop")
    guests = _guests(home, container.id)
    number = _stop_signal(home, container)
    for guest in guests:
        running.end(guest, number)
    if not running.wait(guests, seconds):
        _kill(guests)


def refuse_running(home: Home, target: str, what: str = "cannot remove") -> None:
    """Something that runs keeps its root filesystem."""
    pids = [str(guest.pid) for guest in _guests(home, target)]
    if pids:
        raise BusyError(
            what,
            target,
            f"process {', '.join(pids)} runs in it",
            hint="stop it, or use -f" if what == "cannot remove" else "stop it first",
        )


def _guests(home: Home, target: str) -> list[Running]:
    return [guest for guest in running.listing(home) if guest.target == target]


def _kill(guests: list[Running]) -> None:
    for guest in guests:
        running.end(guest, signal.SIGKILL)
    running.wait(guests, SECONDS)


def _stop_signal(home: Home, container: Container) -> int:
    """SIGTERM, where the image names none, or none that there is."""
    from udockpy.operations import says

    said = says.of(home, targets.of_container(container)).stop_signal
    if said.isdigit() and 0 < int(said) < signal.NSIG:
        return int(said)
    name = said.upper() if said.upper().startswith("SIG") else f"SIG{said.upper()}"
    return getattr(signal, name, signal.SIGTERM)
