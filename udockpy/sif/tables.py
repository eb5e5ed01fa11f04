"""How SIF files are listed: as Apptainer does, for scripts read it."""

from __future__ import annotations

import datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.sif.image import Descriptor, Image

RULE = "-" * 78


def objects(image: Image) -> list[str]:
    """A table of the objects."""
    head = f"{'ID':<4} |{'GROUP':<7} |{'LINK':<7} |SIF POSITION (start-end)  |TYPE"
    return [RULE, head, RULE, *map(_object, image.objects)]


def _object(entry: Descriptor) -> str:
    group = str(entry.group or "NONE")
    link = f"{entry.link}{'   (G)' if entry.of_group else ''}" if entry.link else "NONE"
    place = f"{entry.offset}-{entry.offset + entry.size}"
    return f"{entry.id:<4} |{group:<7} |{link:<7} |{place:<26}|{entry.describe()}"


def header(image: Image) -> list[str]:
    """What the file says of itself as a whole."""
    rows = {
        "Launch Script": image.launch.strip(),
        "Version": "01",
        "Primary Architecture": image.architecture,
        "ID": image.id,
        "Created At": _time(image.created),
        "Modified At": _time(image.modified),
        "Descriptors Free": str(image.free),
        "Descriptors Total": str(image.total),
    }
    return [f"{name + ':':<22}{value}" for name, value in rows.items()]


def _time(seconds: int) -> str:
    start = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return f"{start + datetime.timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S +0000 UTC}"
