"""What an image made by Singularity or Apptainer says of itself: the files in its /.singularity.d,
and those of its applications.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from udockpy.util.beneath import Root, components

FOLDER = "/.singularity.d"
APPS = "/scif/apps"
FILES = {
    "deffile": "Singularity",
    "runscript": "runscript",
    "startscript": "startscript",
    "test": "test",
    "helpfile": "runscript.help",
}
# The scripts of an environment that are the image's own, and not the same in all
ENVIRONMENT = ("-environment.sh", "-docker2singularity.sh")
APP_FILES = {
    "runscript": "runscript",
    "startscript": "startscript",
    "test": "test",
    "helpfile": "runscript.help",
}


class Metadata(NamedTuple):
    """Texts are empty where the image has no such file."""

    labels: dict[str, str]
    texts: dict[str, str]  # by the keys of FILES
    environment: dict[str, str]  # the text of each script, by its path
    apps: dict[str, Metadata]  # whose own are none

    def document(self) -> dict[str, Any]:
        """For JSON: what is there, as `apptainer inspect --json --all` has it."""
        made: dict[str, Any] = {"labels": self.labels}
        made.update({key: text for key, text in self.texts.items() if text})
        if self.environment:
            made["environment"] = self.environment
        if self.apps:
            made["apps"] = {name: app.document() for name, app in self.apps.items()}
        return made


def read(rootfs: str) -> Metadata:
    """Reads them in a guest's root filesystem."""
    with Root(rootfs) as root:
        apps = {name: _read(root, f"{APPS}/{name}/scif", APP_FILES) for name in _list(root, APPS)}
        return _read(root, FOLDER, FILES)._replace(apps=apps)


def _read(root: Root, folder: str, files: dict[str, str]) -> Metadata:
    scripts = [name for name in _list(root, f"{folder}/env") if name.endswith(ENVIRONMENT)]
    paths = [f"{folder}/env/{name}" for name in scripts]
    return Metadata(
        labels=_labels(_text(root, f"{folder}/labels.json")),
        texts={key: _text(root, f"{folder}/{name}") for key, name in files.items()},
        environment={path: text for path in paths if (text := _text(root, path))},
        apps={},
    )


def _labels(text: str) -> dict[str, str]:
    import json

    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(key): str(value) for key, value in found.items()}


def _text(root: Root, path: str) -> str:
    try:
        return root.read(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _list(root: Root, path: str) -> list[str]:
    try:
        fd = root.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return sorted(name for name in os.listdir(fd) if components(name) == [name])
    finally:
        os.close(fd)
