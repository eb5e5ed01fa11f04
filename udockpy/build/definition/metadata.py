"""What a definition leaves in the image beside its files: environment, scripts, labels, help, and
itself.
"""

from __future__ import annotations

import json
import os
import time

from udockpy.build import rootfs
from udockpy.build.definition import rows, scripts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from udockpy.build.definition.grammar import Section, Stage
    from udockpy.layer.member import Member
    from udockpy.oci.image import ImageConfig
    from udockpy.store.tree import Tree

SCHEMA = "org.label-schema"
PROGRAMS = {
    "runscript": scripts.RUNSCRIPT,
    "startscript": scripts.STARTSCRIPT,
    "test": scripts.TEST,
}


def base(tree: Tree, config: ImageConfig | None, now: int) -> Iterator[Member]:
    """What every image has; what the one that it began from had stays as it was."""
    for name in scripts.DIRECTORIES:
        if rootfs.mode_of(tree, name) is None:
            mode = 0o1777 if name.endswith("tmp") else 0o555 if name in ("proc", "sys") else 0o755
            yield rootfs.directory(name, now, mode=mode)
    for name, text in scripts.BASE.items():
        if rootfs.mode_of(tree, name) is None:
            yield rootfs.file(name, text, now, mode=0o755)
    for name, target in scripts.LINKS.items():
        if rootfs.mode_of(tree, name) is None:
            yield rootfs.link(name, target, now)
    if config is not None:
        yield rootfs.file(scripts.OF_DOCKER, scripts.exported(config.env), now, mode=0o755)
        text = scripts.of_image(config.entrypoint, config.cmd)
        yield rootfs.file(scripts.RUNSCRIPT, text, now, mode=0o755)
        yield _labels(dict(config.labels), now)
    elif rootfs.mode_of(tree, scripts.RUNSCRIPT) is None:
        yield rootfs.file(scripts.RUNSCRIPT, scripts.NOTHING_TO_RUN, now, mode=0o755)
    if rootfs.mode_of(tree, scripts.STARTSCRIPT) is None:
        yield rootfs.file(scripts.STARTSCRIPT, scripts.NOTHING_TO_START, now, mode=0o755)


def of_stage(tree: Tree, stage: Stage, text: str, now: int, name: str) -> Iterator[Member]:
    """What the sections of a stage say; `text` is the whole definition, called `name`."""
    if sections := stage.named("environment"):
        known = rootfs.read(tree, scripts.ENVIRONMENT)
        yield rootfs.file(scripts.ENVIRONMENT, known + _joined(sections), now, mode=0o755)
    for section, path in PROGRAMS.items():
        if sections := stage.named(section):
            yield rootfs.file(path, rows.program(sections), now, mode=0o755)
    if sections := stage.named("help"):
        yield rootfs.file(scripts.HELP, _joined(sections), now)
    yield _labels(_labels_of(tree, stage, now, name), now)
    yield from _history(tree, now)
    yield rootfs.file(scripts.DEFINITION, text, now)


def labels(tree: Tree) -> dict[str, str]:
    """The labels that a tree has."""
    try:
        found = json.loads(rootfs.read(tree, scripts.LABELS) or "{}")
    except (ValueError, RecursionError):
        return {}
    known = found if isinstance(found, dict) else {}
    return {key: value for key, value in known.items() if isinstance(value, str)}


def document(tree: Tree) -> bytes:
    """What `inspect` shows of an image, as Singularity keeps it in a file's JSON object."""
    attributes = {
        "labels": labels(tree),
        "deffile": rootfs.read(tree, scripts.DEFINITION),
        "runscript": rootfs.read(tree, scripts.RUNSCRIPT),
        "startscript": rootfs.read(tree, scripts.STARTSCRIPT),
        "test": rootfs.read(tree, scripts.TEST),
        "helpfile": rootfs.read(tree, scripts.HELP),
    }
    known = {key: value for key, value in attributes.items() if value}
    return json.dumps({"data": {"attributes": known}, "type": "container"}).encode()


def _labels_of(tree: Tree, stage: Stage, now: int, name: str) -> dict[str, str]:
    made = {
        **labels(tree),
        f"{SCHEMA}.schema-version": "1.0",
        f"{SCHEMA}.build-arch": os.uname().machine.replace("x86_64", "amd64"),
        f"{SCHEMA}.build-date": time.strftime("%A_%d_%B_%Y_%H:%M:%S_UTC", time.gmtime(now)),
        f"{SCHEMA}.usage.singularity.deffile.bootstrap": stage.key("bootstrap"),
    }
    if stage.key("from"):
        made[f"{SCHEMA}.usage.singularity.deffile.from"] = stage.key("from")
    for section in stage.named("labels"):
        made |= rows.labels(section, name)
    return made | rows.written_labels(rootfs.read(tree, WRITTEN_LABELS))


WRITTEN_LABELS = ".build.labels"  # by %post, through $APPTAINER_LABELS


def _history(tree: Tree, now: int) -> Iterator[Member]:
    """The definitions of the images below."""
    below = rootfs.read(tree, scripts.DEFINITION)
    if not below:
        return
    number = 0
    while rootfs.mode_of(tree, f"{scripts.HISTORY}/Singularity{number}") is not None:
        number += 1
    yield rootfs.file(f"{scripts.HISTORY}/Singularity{number}", below, now)


def _labels(found: dict[str, str], now: int) -> Member:
    return rootfs.file(scripts.LABELS, json.dumps(found, indent="\t", sort_keys=True) + "\n", now)


def _joined(sections: list[Section]) -> str:
    return "".join(section.text for section in sections)
