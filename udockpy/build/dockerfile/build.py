"""Builds a Dockerfile: the stages that its last one, or the one asked for, needs."""

from __future__ import annotations

from typing import NamedTuple

from udockpy.build.dockerfile import grammar, instructions, mounts, words
from udockpy.build.dockerfile.lines import bad
from udockpy.build.dockerfile.stage import Stage, Surroundings
from udockpy.build.dockerfile.store import Base
from udockpy.errors import BuildError
from udockpy.oci import making
from udockpy.oci import platform as platforms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from udockpy.build.dockerfile.grammar import Dockerfile, Instruction
    from udockpy.build.dockerfile.ignore import Ignore
    from udockpy.build.dockerfile.store import Options, Store
    from udockpy.oci.platform import Platform

NOTHING = "scratch"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Result(NamedTuple):
    """What a build made."""

    stage: Stage
    failure: BuildError | None
    unused: tuple[str, ...]  # arguments that nobody asked for


def build(dockerfile: Dockerfile, ignore: Ignore, options: Options, store: Store) -> Result:
    """Builds the wanted stage. When an instruction fails the result is the stage so far."""
    return _Build(dockerfile, ignore, options, store).run()


class _Build:
    def __init__(
        self, dockerfile: Dockerfile, ignore: Ignore, options: Options, store: Store
    ) -> None:
        self.dockerfile = dockerfile
        self.options = options
        self.store = store
        self.current = 0  # the number of the stage that is being built
        self.built: dict[int, Stage] = {}
        self.images: dict[str, Base] = {}
        self.used: set[str] = set()
        self.platform = platforms.parse(options.platform) if options.platform else store.machine
        known = _platform_arguments(self.platform, store.machine)
        self.around = Surroundings(
            name=dockerfile.name,
            escape=dockerfile.escape,
            ignore=ignore,
            options=options,
            store=store,
            platform_arguments=known,
            global_arguments=self._global_arguments(known),
            used=self.used,
            other=self._other,
        )

    def run(self) -> Result:
        wanted = self._wanted()
        for number in sorted(self._needed(wanted)):
            self.current = number
            stage = self.built[number] = self._begin(number)
            try:
                self._perform(number, stage)
            except BuildError as e:
                return Result(stage, e, ())
        given = {name for name, _ in self.options.arguments}
        return Result(self.built[wanted], None, tuple(sorted(given - self.used)))

    def _perform(self, number: int, stage: Stage) -> None:
        found = self.dockerfile.stages[number]
        name = self.dockerfile.name
        for text in stage.settings.pop("OnBuild", None) or []:
            instructions.perform(stage, grammar.trigger(text, name, found.line))
        for instruction in found.instructions:
            instructions.perform(stage, instruction)

    def _begin(self, number: int) -> Stage:
        found = self.dockerfile.stages[number]
        base = self._expand(found.base, found.line)
        below = self._number(base, number)
        if below is not None:
            return Stage.on_top(self.built[below])
        platform = self._expand(found.platform, found.line) or self.options.platform
        if base == NOTHING:
            chosen = platforms.parse(platform) if platform else self.platform
            document = {**making.empty(chosen), "config": {"Env": [f"PATH={PATH}"]}}
            return Stage.of_base(Base(document), self.around)
        return Stage.of_base(self._image(base, platform), self.around)

    def _global_arguments(self, known: dict[str, str]) -> dict[str, str]:
        given = dict(self.options.arguments)
        found: dict[str, str] = {}
        for item in self.dockerfile.arguments:
            try:
                for word in words.split(item.text, self.dockerfile.escape):
                    name, equals, default = word.partition("=")
                    self.used.add(name)
                    if name in given:
                        found[name] = given[name]
                    elif equals:
                        variables = {**known, **found}
                        found[name] = words.expand(default, variables, self.dockerfile.escape)
            except ValueError as e:
                raise bad(self.dockerfile.name, item.line, f"ARG: {e}") from None
        return found

    def _expand(self, text: str, line: int) -> str:
        known = {**self.around.platform_arguments, **self.around.global_arguments}
        try:
            found = words.expand(text, known, self.dockerfile.escape)
        except ValueError as e:
            raise bad(self.dockerfile.name, line, f"FROM: {e}") from None
        if text and not found:
            raise bad(self.dockerfile.name, line, f"FROM: {text} is empty")
        return found

    # -- which stages

    def _wanted(self) -> int:
        stages = self.dockerfile.stages
        if not self.options.target:
            return len(stages) - 1
        number = self._number(self.options.target, len(stages))
        if number is None:
            known = ", ".join(stage.name for stage in stages if stage.name) or "none"
            raise BuildError(
                "cannot build", self.options.target, f"no stage has that name; there is {known}"
            )
        return number

    def _number(self, name: str, before: int) -> int | None:
        """The stage of that name or number, of those before `before`."""
        for number, stage in enumerate(self.dockerfile.stages[:before]):
            if name.lower() == stage.name or name == str(number):
                return number
        return None

    def _needed(self, wanted: int) -> set[int]:
        found: set[int] = set()
        todo = [wanted]
        while todo:
            number = todo.pop()
            if number in found:
                continue
            found.add(number)
            stage = self.dockerfile.stages[number]
            names = [self._expand(stage.base, stage.line), *_origins(stage.instructions)]
            numbers = (self._number(name, number) for name in names)
            todo += [other for other in numbers if other is not None]
        return found

    def _other(self, name: str) -> Stage | Base:
        number = self._number(name, self.current)
        return (
            self.built[number] if number is not None else self._image(name, self.options.platform)
        )

    def _image(self, name: str, platform: str) -> Base:
        key = f"{name} {platform}"
        if key not in self.images:
            self.images[key] = self.store.base(name, platform)
        return self.images[key]


def _origins(found: tuple[Instruction, ...]) -> list[str]:
    """The stages and images that instructions copy or mount from."""
    names = []
    for item in found:
        if item.keyword == "COPY" and item.flag("from"):
            names.append(item.flag("from"))
        for flag, value in item.flags:
            if flag == "mount":
                try:
                    names.append(mounts.parse(value).value("from"))
                except ValueError:
                    continue  # refused with its line when it is built
    return names


def _platform_arguments(target: Platform, build: Platform) -> dict[str, str]:
    found: dict[str, str] = {}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        found |= {
            f"{prefix}PLATFORM": str(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }
    return found
