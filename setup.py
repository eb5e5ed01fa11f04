"""Adds one build step to setuptools: `make -C engines install`. All metadata is in setup.cfg.

The helpers are files of the package (udockpy/libexec/), so that the wheel can be put anywhere. They
use no libpython: one wheel per platform serves every Python 3.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

ENGINES = Path("engines")
LIBEXEC = Path("udockpy/libexec")
SOURCE_SUFFIXES = {".c", ".h", ".S", ".def", ".ld", ".map", ".md", ".py", ".sh"}


class BuildEngines(Command):
    """Builds the native helpers into the package; in place for an editable installation."""

    description = "build the native helpers with make"
    user_options: ClassVar = [("build-lib=", "b", "directory to build into")]

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        libexec = self._libexec()
        if not self.editable_mode:
            shutil.rmtree(libexec, ignore_errors=True)  # helpers of an earlier build
        for tool in ("make", os.environ.get("CC", "cc").split()[0]):
            if shutil.which(tool) is None:
                raise SystemExit(
                    f"udockpy: cannot build the helpers: {tool}: not found\n"
                    "hint: install a C compiler and make: apt-get install gcc libc6-dev make"
                )
        # Relative paths throughout: make cannot handle a source directory with spaces in its name.
        subprocess.run(
            [
                "make",
                "-C",
                ENGINES,
                "TOP=.",
                f"LIBEXEC={os.path.relpath(libexec, ENGINES)}",
                "install",
            ],
            check=True,
        )

    def get_source_files(self) -> list[str]:
        files = (path for path in sorted(ENGINES.rglob("*")) if path.is_file())
        return [
            os.fspath(path)
            for path in files
            if path.suffix in SOURCE_SUFFIXES or path.name == "Makefile"
        ]

    def get_outputs(self) -> list[str]:
        """The installed helpers; setuptools asks after run()."""
        built_into = Path(self.build_lib or "", LIBEXEC)
        return [os.fspath(built_into / path.name) for path in sorted(self._libexec().iterdir())]

    def get_output_mapping(self) -> dict[str, str]:
        """Where a strict editable installation finds each output in the source tree."""
        if not self.editable_mode:
            return {}
        return {output: os.fspath(LIBEXEC / Path(output).name) for output in self.get_outputs()}

    def _libexec(self) -> Path:
        return LIBEXEC if self.editable_mode else Path(self.build_lib or "", LIBEXEC)


class Build(build):
    sub_commands: ClassVar = [*build.sub_commands, ("build_engines", None)]


class NativeDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True  # files go to platlib, the wheel is not "pure"


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    distclass=NativeDistribution,
    cmdclass={"build": Build, "build_engines": BuildEngines, "bdist_wheel": PlatformWheel},
)
