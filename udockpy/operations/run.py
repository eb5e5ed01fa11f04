"""run, exec and shell: start a guest."""

from __future__ import annotations

import contextlib
import os
from typing import Any, NamedTuple

from udockpy import home as homes
from udockpy.engines.execute import execute, execute_and_wait
from udockpy.errors import EngineError, StateError, UsageError
from udockpy.layer import room
from udockpy.operations import says, wanted
from udockpy.operations.prepare import Prepared, prepare
from udockpy.store import claim, running, targets
from udockpy.util.process import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from udockpy.container.elf import Facts
    from udockpy.container.options import RunOptions
    from udockpy.engines.interface import Launch
    from udockpy.engines.select import Choice
    from udockpy.home import Home
    from udockpy.store.containers import Container
    from udockpy.store.targets import Target


class Dry(NamedTuple):
    """What --dry-run shows."""

    prepared: Prepared

    def words(self) -> str:
        import shlex

        return shlex.join(self.prepared.launch.argv)

    def document(self) -> dict[str, Any]:
        choice = self.prepared.choice
        return {
            "engine": choice.name,
            "passed_over": choice.passed_over(),
            "plan": self.prepared.plan.document(),
            "launch": {
                "argv": self.prepared.launch.argv,
                "environ": dict(self.prepared.launch.environ),
            },
        }


class Explained(NamedTuple):
    """What --explain shows."""

    choice: Choice
    facts: Facts | None

    def words(self) -> str:
        lines = [f"engine {self.choice.name}"]
        for name, support in self.choice.rejected:
            lines += [f"passed over {name}: {support.reason}", f"  remedy: {support.remedy}"]
        program = ["program: cannot be told from outside the guest"]
        return "\n".join(lines + (self.facts.describe() if self.facts else program))

    def document(self) -> dict[str, Any]:
        return {
            "engine": self.choice.name,
            "passed_over": self.choice.passed_over(),
            "program": self.facts.document() if self.facts else None,
        }


def run(options: RunOptions, environ: Mapping[str, str]) -> int | Dry | Explained:
    """Runs a command in a sandbox or a container; an image gets a container of its own first.

    With --read-only an image is run as it is: nothing can change it. One with volumes still gets a
    container, for their sake, which goes afterwards.
    """
    home = homes.find(environ)
    target = _target(home, options, environ)
    if target.kind == targets.IMAGE and not _only_shows(options):
        if not options.read_only:
            return _run_new_container(home, target, options, environ)
        if says.of(home, target).volumes:  # which can be written to
            return _run_new_container(home, target, options._replace(rm=True), environ)
    if target.kind != targets.IMAGE and (options.rm or options.name):
        word = "--rm" if options.rm else "--name"
        raise UsageError(
            f"cannot use {word}", options.target, "only a run of an image makes a container"
        )
    return _start(home, target, options, environ)


def exec_(options: RunOptions, environ: Mapping[str, str]) -> int | Dry | Explained:
    """Runs a command in a sandbox or a container, or in an image itself, read-only."""
    home = homes.find(environ)
    told = options._replace(entrypoint="")
    return _start(home, _target(home, options, environ), told, environ)


def shell(options: RunOptions, environ: Mapping[str, str]) -> int | Dry | Explained:
    """As run(), but what the image would start is not asked for."""
    return run(options._replace(entrypoint=""), environ)


def _target(home: Home, options: RunOptions, environ: Mapping[str, str]) -> Target:
    return wanted.target(
        home,
        options.target,
        environ,
        platform=options.platform or "",
        may_pull=not _only_shows(options),
    )


def _only_shows(options: RunOptions) -> bool:
    return options.dry_run or options.explain


def _run_new_container(
    home: Home, image: Target, options: RunOptions, environ: Mapping[str, str]
) -> int | Dry | Explained:
    from udockpy.operations.containers import discard
    from udockpy.operations.create import container_of, layer_of, may_layer

    def start(container: Container) -> int | Dry | Explained:
        try:
            return _start(home, targets.of_container(container), options, environ)
        finally:
            # Also when the run never started. Without --rm a started run does not come back here.
            discard(home, container)

    if options.rm and may_layer(home, image):
        # What nobody sees afterwards needs no tree of its own, where an engine can do without.
        with contextlib.suppress(EngineError):
            return start(layer_of(home, image, options.name))
    return start(container_of(home, image, options.name))


def _start(
    home: Home, target: Target, options: RunOptions, environ: Mapping[str, str]
) -> int | Dry | Explained:
    prepared = prepare(home, target, options, environ)
    if options.verbose:
        for line in (prepared.choice.describe(), *prepared.plan.describe()):
            say(line)
    if options.explain:
        from udockpy.container import elf

        return Explained(prepared.choice, elf.examine(prepared.plan, prepared.program))
    if options.dry_run:
        return Dry(prepared)
    return begin(home, prepared, wait=options.rm)


def begin(home: Home, prepared: Prepared, *, wait: bool) -> int:
    """Becomes the guest, or with `wait` runs it as a child and returns its exit status."""
    launch = _claimed(prepared)
    record = running.record(
        home,
        os.getpid(),
        engine=prepared.choice.name,
        target=prepared.target.name,
        command=prepared.plan.command,
    )
    try:
        if wait:
            return execute_and_wait(launch)
        execute(launch)
    finally:
        running.forget(record)  # not reached when we became the guest
        for fd in launch.fds:
            os.close(fd)


def _claimed(prepared: Prepared) -> Launch:
    """The launch of a guest that, if it remembers anything, keeps its tree from other nodes."""
    plan, launch = prepared.plan, prepared.launch
    if not plan.identity.pretend or plan.map_subuids or plan.read_only:
        return launch
    fd = claim.share(
        os.path.dirname(plan.fakedb), prepared.target.name, lambda: _make_room(plan.fakedb)
    )
    helper, *rest = launch.argv
    words = (helper, "--hold", f"/proc/self/fd/{fd}", *rest)
    return launch._replace(argv=words, fds=(*launch.fds, fd))


def _make_room(fakedb: str) -> None:
    """Superseded changes stay in a fakedb until nobody uses it."""
    if room.is_scarce(fakedb):
        from udockpy.operations import sandbox

        # What fails here fails a guest no sooner than its own change.
        with contextlib.suppress(StateError):
            sandbox.compact(fakedb)
