"""inspect, run-help and apps: what images say of themselves."""

from __future__ import annotations

import json

from udockpy import home as homes
from udockpy.dropin.apptainer import images
from udockpy.dropin.flags import VALUE, Flag, parse
from udockpy.errors import Error, UsageError
from udockpy.operations.inspect import described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from udockpy.container.metadata import Metadata
    from udockpy.dropin.flags import Given

# The parts of what is shown, in their order, and the key of each in JSON
PARTS = {
    "--helpfile": "helpfile",
    "--deffile": "deffile",
    "--runscript": "runscript",
    "--startscript": "startscript",
    "--test": "test",
    "--environment": "environment",
    "--labels": "labels",
}
TABLE = (
    Flag(("--labels", "-l")),
    Flag(("--deffile", "-d")),
    Flag(("--runscript", "-r")),
    Flag(("--startscript", "-s")),
    Flag(("--test", "-t")),
    Flag(("--environment", "-e")),
    Flag(("--helpfile", "-H")),
    Flag(("--json", "-j")),
    Flag(("--all",)),
    Flag(("--list-apps",)),
    Flag(("--app",), VALUE),
)


def inspect(words: list[str], environ: Mapping[str, str]) -> int:
    """What the flags ask for, as text or JSON."""
    given = parse(words, TABLE, mixed=True)
    found = _metadata(_only(given), environ)
    app = given.value("--app")
    about = found
    if app:
        if app not in found.apps:
            raise Error(f"no app {app} in container")
        about = found.apps[app]
    parts = {key for flag, key in PARTS.items() if given.on(flag)}
    if given.on("--all"):
        parts = set(PARTS.values())
    if given.on("--list-apps"):
        return _print_apps(found, as_json=given.on("--json"))
    attributes = _attributes(about, parts or {"labels"})
    if given.on("--json") or given.on("--all"):
        _print_json({"apps": {app: attributes}} if app else attributes)
    else:
        print("\n".join(_lines(attributes)))
    return 0


def run_help(words: list[str], environ: Mapping[str, str]) -> int:
    """The text of %help."""
    given = parse(words, (Flag(("--app",), VALUE),), mixed=True)
    found = _metadata(_only(given), environ)
    app = given.value("--app")
    about = found.apps.get(app) if app else found
    text = about.texts["helpfile"].strip() if about is not None else ""
    print(text or "No help sections were defined for this image")
    return 0


def apps(words: list[str], environ: Mapping[str, str]) -> int:
    """The names of the applications, as Singularity 2 had it."""
    found = _metadata(_only(parse(words, (), mixed=True)), environ)
    return _print_apps(found, as_json=False)


def _only(given: Given) -> str:
    if len(given.words) != 1:
        raise UsageError(f"accepts 1 arg(s), received {len(given.words)}")
    return given.words[0]


def _metadata(image: str, environ: Mapping[str, str]) -> Metadata:
    home = homes.find(environ)
    return described(home, images.target(home, image, environ, insecure=False))


def _attributes(about: Metadata, parts: set[str]) -> dict[str, Any]:
    """What is there of the parts; labels are there, if there are none."""
    known: dict[str, Any] = {key: text.strip("\n") for key, text in about.texts.items() if text}
    known["labels"] = about.labels
    if about.environment:
        known["environment"] = {path: text.strip("\n") for path, text in about.environment.items()}
    return {key: known[key] for key in PARTS.values() if key in parts and key in known}


def _lines(attributes: dict[str, Any]) -> Iterator[str]:
    for key, value in attributes.items():
        if key == "labels":
            yield from (f"{name}: {text}" for name, text in sorted(value.items()))
        elif key == "environment":
            for path, text in value.items():
                yield from (f"=== {path} ===", text, "")
        else:
            yield value


def _print_apps(found: Metadata, *, as_json: bool) -> int:
    if as_json:
        _print_json({"apps": {name: {} for name in found.apps}})
    else:
        print("\n".join(found.apps))
    return 0


def _print_json(attributes: dict[str, Any]) -> None:
    document = {"data": {"attributes": attributes}, "type": "container"}
    print(json.dumps(document, indent="\t", ensure_ascii=False))
