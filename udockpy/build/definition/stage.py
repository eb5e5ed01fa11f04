"""Builds one stage of a definition: bootstrap, files, %post, metadata, %test, in Singularity's
order.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from typing import NamedTuple

from udockpy.build import copying, rootfs
from udockpy.build.definition import agents, apps, grammar, metadata, rows, scripts
from udockpy.build.workshop import Guest
from udockpy.errors import reason_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from udockpy.build.definition.apps import App
    from udockpy.build.definition.grammar import Definition, Section, Stage
    from udockpy.build.definition.rows import Copy
    from udockpy.build.workshop import Workshop
    from udockpy.store.tree import Tree

SCRIPT = ".post.script"
CHOICES = ("all", "none", "setup", "files", "post", "environment", "labels", "test")
SH = ("/bin/sh", "-ex")


class Choices(NamedTuple):
    """What the user asked of a build."""

    sections: tuple[str, ...] = ("all",)
    test: bool = True
    binds: tuple[str, ...] = ()

    def want(self, section: str) -> bool:
        return "all" in self.sections or section in self.sections


def build(definition: Definition, trees: Sequence[Tree], choices: Choices, shop: Workshop) -> None:
    """Builds each stage into its own empty tree."""
    named: dict[str, Tree] = {}
    for stage, tree in zip(definition.stages, trees):
        _Stage(definition, stage, tree, choices, shop, named).build()
        if stage.key("stage"):
            named[stage.key("stage")] = tree


class _Stage(NamedTuple):
    """A stage under way."""

    definition: Definition
    stage: Stage
    tree: Tree
    choices: Choices
    shop: Workshop
    earlier: Mapping[str, Tree]

    def build(self) -> None:
        self._on_host("pre")
        name = self.definition.name
        beginning = agents.Beginning(self.stage, self.tree, self.shop, name)
        config = agents.begin(beginning)
        rootfs.put(self.tree, list(metadata.base(self.tree, config, self.shop.now)))
        found = apps.of(self.stage, name)
        rootfs.put(self.tree, apps.members(found, name, self.shop.now))
        self._app_files(found)
        self._files(from_stage=True)
        self._on_host("setup")
        self._files(from_stage=False)
        self._post(found)
        self._metadata()
        self._test()

    def _metadata(self) -> None:
        left_out = {name for name in ("environment", "labels") if not self.choices.want(name)}
        sections = tuple(s for s in self.stage.sections if s.name not in left_out)
        stage = self.stage._replace(sections=sections)
        text, name = self.definition.text, self.definition.name
        members = list(metadata.of_stage(self.tree, stage, text, self.shop.now, name))
        rootfs.put(self.tree, members)
        rootfs.remove(self.tree, metadata.WRITTEN_LABELS)

    # -- files

    def _app_files(self, found: list[App]) -> None:
        for app in found:
            for section in app.named("appfiles"):
                for copy in rows.copies(section, self.definition.name):
                    # What an app is given without a place goes below its own root.
                    target = copy.target or os.path.basename(copy.source.rstrip("/"))
                    self._copy(copy._replace(target=f"/{app.root}/{target}"), None)

    def _files(self, *, from_stage: bool) -> None:
        if not self.choices.want("files"):
            return
        for section in self.stage.named("files"):
            words = section.arguments.split()
            if bool(words) == from_stage:
                source = self.earlier[words[1]] if words else None
                for copy in rows.copies(section, self.definition.name):
                    self._copy(copy, source)

    def _copy(self, copy: Copy, source: Tree | None) -> None:
        """As `cp -r SOURCE TARGET`, from the host or from another stage."""
        found = _on_host(copy.source) if source is None else copying.matches(source, copy.source)
        if not found:
            where = "the host" if source is None else "the stage"
            raise self._bad(copy.line, f"{copy.source}: {where} has no such file")
        for path in found:
            target = self._place(path, copy.target)
            try:
                if source is None:
                    rootfs.put(self.tree, copying.moved(copying.of_host(path), target))
                else:
                    with copying.of_tree(source, path) as members:
                        rootfs.put(self.tree, copying.moved(members, target))
            except OSError as e:
                raise self._bad(copy.line, f"{path}: {reason_of(e)}") from e

    def _place(self, source: str, target: str) -> str:
        """Where a file goes: into `target` if that is a directory, or is written as one."""
        if not target:
            return os.path.abspath(source).strip("/")
        if target.endswith("/") or rootfs.is_directory(self.tree, target):
            return f"{target.strip('/')}/{os.path.basename(source.rstrip('/'))}".lstrip("/")
        return target.strip("/")

    # -- scripts

    def _on_host(self, name: str) -> None:
        sections = self.stage.named(name)
        if not sections or not self.choices.want("setup"):
            return
        environment = {
            "APPTAINER_ROOTFS": self.tree.rootfs,
            "SINGULARITY_ROOTFS": self.tree.rootfs,
        }
        with tempfile.NamedTemporaryFile("w", prefix=f"{name}.", suffix=".script") as file:
            file.write(rows.numbered(sections))
            file.flush()
            command = _command(sections, file.name)
            self._check(sections[0], self.shop.run_on_host(self.tree, command, environment))

    def _post(self, found: list[App]) -> None:
        if not self.choices.want("post"):
            return
        environment = tuple(
            f"{prefix}_{name}={path}"
            for prefix in ("APPTAINER", "SINGULARITY")
            for name, path in (
                ("ENVIRONMENT", f"/{scripts.WRITTEN}"),
                ("LABELS", f"/{metadata.WRITTEN_LABELS}"),
                ("ROOTFS", "/"),
            )
        )
        if sections := self.stage.named("post"):
            self._run_script(sections, environment)
        for app in found:
            if sections := app.named("appinstall"):
                own = [f"{key}={value}" for key, value in apps.variables(app).items()]
                self._run_script(sections, (*environment, *own), f"/{app.root}")

    def _run_script(
        self, sections: list[Section], environment: tuple[str, ...], workdir: str = "/"
    ) -> None:
        script = rootfs.file(SCRIPT, rows.numbered(sections), self.shop.now, mode=0o755)
        rootfs.put(self.tree, [script])
        # An app's section has the name of the app where others have arguments.
        scriptlets = sections if sections[0].name == "post" else []
        command = _command(scriptlets, f"/{SCRIPT}")
        guest = Guest(command, environment, self.choices.binds, workdir, scripts=True)
        self._check(sections[0], self.shop.run(self.tree, guest))
        rootfs.remove(self.tree, SCRIPT)

    def _test(self) -> None:
        sections = self.stage.named("test")
        if not sections or not self.choices.test or not self.choices.want("test"):
            return
        guest = Guest((f"/{scripts.TEST}",), binds=self.choices.binds, scripts=True)
        self._check(sections[0], self.shop.run(self.tree, guest))

    def _check(self, section: Section, status: int) -> None:
        if status:
            raise self._bad(section.line, f"%{section.name} failed with status {status}")

    def _bad(self, line: int, reason: str) -> Exception:
        return grammar.bad(self.definition.name, line, reason)


def _command(sections: list[Section], script: str) -> tuple[str, ...]:
    """How a script is started: `%post -c /bin/bash` has another shell."""
    arguments = shlex.split(sections[0].arguments) if sections else []
    if arguments[:1] == ["-c"]:
        return (*SH, "-c", f"{shlex.join(arguments[1:])} {shlex.quote(script)}")
    return (*SH, *arguments, script)


def _on_host(pattern: str) -> list[str]:
    import glob

    return sorted(glob.glob(pattern)) or ([pattern] if os.path.exists(pattern) else [])
