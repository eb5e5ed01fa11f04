"""Apps in a definition (SCIF, scientific filesystem): directories of their own below /scif. Pure.

Source: the layout that sci-f.github.io describes, and Singularity's images have.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from udockpy.build import rootfs
from udockpy.build.definition import grammar, rows, scripts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from udockpy.build.definition.grammar import Section, Stage
    from udockpy.layer.member import Member

# The file of each section that is a text, below /scif/apps/NAME/scif; True for a program
TEXTS = {
    "appenv": ("env/90-environment.sh", False),
    "apphelp": ("runscript.help", False),
    "apprun": ("runscript", True),
    "appstart": ("startscript", True),
    "apptest": ("test", True),
}


class App(NamedTuple):
    """One app, and its sections."""

    name: str
    sections: tuple[Section, ...]

    @property
    def root(self) -> str:
        return f"scif/apps/{self.name}"

    def named(self, section: str) -> list[Section]:
        return [found for found in self.sections if found.name == section]


def of(stage: Stage, name: str) -> list[App]:
    """The apps of a stage, in the order in which the definition `name` has them first."""
    found: dict[str, list[Section]] = {}
    for section in stage.sections:
        if grammar.APP_SECTION.fullmatch(section.name):
            app = section.arguments
            if "/" in app or app.startswith("."):
                raise grammar.bad(name, section.line, f'"{app}" cannot be the name of an app')
            found.setdefault(app, []).append(section)
    return [App(app, tuple(sections)) for app, sections in found.items()]


def variables(app: App) -> dict[str, str]:
    """What an app finds in its environment."""
    data = f"/scif/data/{app.name}"
    return {
        "SCIF_APPNAME": app.name,
        "SCIF_APPROOT": f"/{app.root}",
        "SCIF_APPDATA": data,
        "SCIF_APPINPUT": f"{data}/input",
        "SCIF_APPOUTPUT": f"{data}/output",
        "SCIF_APPBIN": f"/{app.root}/bin",
        "SCIF_APPLIB": f"/{app.root}/lib",
        "SCIF_APPMETA": f"/{app.root}/scif",
    }


def members(apps: list[App], name: str, now: int) -> Iterator[Member]:
    """Everything of the apps but what they install."""
    for app in apps:
        for part in ("", "/bin", "/lib", "/scif", "/scif/env"):
            yield rootfs.directory(f"{app.root}{part}", now)
        for part in ("", "/input", "/output"):
            yield rootfs.directory(f"scif/data/{app.name}{part}", now)
        yield rootfs.file(f"{app.root}/scif/env/01-base.sh", _base(app), now)
        for section, (path, runs) in TEXTS.items():
            if found := app.named(section):
                text = rows.program(found) if runs else "".join(part.text for part in found)
                mode = 0o755 if runs else 0o644
                yield rootfs.file(f"{app.root}/scif/{path}", text, now, mode=mode)
        if labelled := app.named("applabels"):
            labels = {k: v for part in labelled for k, v in rows.labels(part, name).items()}
            text = json.dumps(labels, indent="\t") + "\n"
            yield rootfs.file(f"{app.root}/scif/labels.json", text, now)
    if apps:
        yield rootfs.file(scripts.APPS, _all(apps), now)


def _base(app: App) -> str:
    lines = [f'export {key}="{value}"' for key, value in variables(app).items()]
    lines += [f'export PATH="/{app.root}/bin:$PATH"']
    lines += [f'export LD_LIBRARY_PATH="/{app.root}/lib${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"']
    return "".join(f"{line}\n" for line in ("#!/bin/sh", *lines))


def _all(apps: list[App]) -> str:
    """Where every app finds the others."""
    lines = ["#!/bin/sh", 'export SCIF_DATA="/scif/data"', 'export SCIF_APPS="/scif/apps"']
    for app in apps:
        for key, value in variables(app).items():
            lines.append(f'export {key}_{app.name.replace("-", "_")}="{value}"')
    return "".join(f"{line}\n" for line in lines)
