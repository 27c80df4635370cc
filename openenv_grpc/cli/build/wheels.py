"""Everything that an image installs, as wheels for the base's Python: the build itself needs no network."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from openenv_grpc.cli.build.source import Built, Project, checkout, read_wheel
from openenv_grpc.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

US = "openenv-grpc"
TAIL_LINES = 15
OLDEST_GLIBC = 5
"""manylinux1, of 2007: wheels for glibc 2.5."""


@dataclass(frozen=True)
class Interpreter:
    """The base's Python.

    Attributes:
        version: Such as `3.11`.
        machine: Such as `x86_64`.
        glibc: Minor version of its glibc 2, or None for another C library.
        musl: Minor version of its musl 1, or None.
    """

    version: str
    machine: str
    glibc: int | None
    musl: int | None = None

    def platforms(self) -> list[str]:
        """The tags of the wheels that it can load, the best first."""
        if self.glibc is None:
            return [f"musllinux_1_{minor}_{self.machine}" for minor in range(self.musl or 1, 0, -1)]
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, OLDEST_GLIBC - 1, -1)]
        return [*tags, *(f"manylinux{year}_{self.machine}" for year in (2014, 2010, 1))]


def gather(project: Project, interpreter: Interpreter, folder: Path, tell: Callable[[str], None]) -> Built:
    """Put the project's wheel into `folder`, and those of all that it needs, of this library and of pip.

    Raises:
        InvalidArgument: The project cannot be built, or one of its dependencies has no wheel for the base.
    """
    tell(f"building the wheel of {project.folder}")
    built = read_wheel(project, build(project.folder, folder / "own"))
    wanted = [f"{built.wheel}{built.extra}"]
    if not built.wheel.name.startswith("openenv_grpc-"):
        wanted.append(_our_own(folder / "ours", tell))
    tell(f"downloading what it needs, for Python {interpreter.version}")
    command = ["download", "--dest", str(folder / "wheels"), "--only-binary", ":all:"]
    command += ["--python-version", interpreter.version, "--implementation", "cp"]
    for platform in interpreter.platforms():
        command += ["--platform", platform]
    _pip(*command, *wanted, "pip", failure="its dependencies could not be downloaded as wheels")
    return built


def build(project: Path, folder: Path) -> Path:
    """The wheel of a project, made in the empty `folder`.

    Raises:
        InvalidArgument: The project cannot be built.
    """
    _pip("wheel", "--no-deps", "--wheel-dir", str(folder), str(project), failure="its wheel could not be built")
    return next(folder.glob("*.whl"))


def _our_own(folder: Path, tell: Callable[[str], None]) -> str:
    """What pip is given for this library: the wheel of the checkout that it runs from, else the release."""
    distribution = metadata.distribution(US)
    source = checkout(distribution)
    if source is None:
        return f"{US}=={distribution.version}"
    tell(f"building the wheel of {source}")
    return str(build(source, folder))


def _pip(*arguments: str, failure: str) -> None:
    command: Sequence[str] = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == 0:
        return
    tail = "\n".join(done.stdout.strip().splitlines()[-TAIL_LINES:])
    if "No module named pip" in done.stdout:
        msg = f"{sys.executable} has no pip; add it with: {sys.executable} -m ensurepip"
        raise Unsupported(msg)
    msg = f"{failure}; pip said:\n{tail}"
    raise InvalidArgument(msg)
