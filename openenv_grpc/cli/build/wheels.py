"""Everything that an image installs, as wheels for the base's Python: the build itself needs no network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from openenv_grpc.cli.build.source import Built, Project, checkout, read_wheel, requirements
from openenv_grpc.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

US = "openenv-grpc"
COMMAND_LINE = ("rich", "typer")
"""What a server does without: `openenv-grpc serve` is the one command that an image has."""
TAIL_LINES = 15
OLDEST_GLIBC = 5
"""manylinux1, of 2007: wheels for glibc 2.5."""
_NAME = re.compile(r"^[A-Za-z0-9._-]+")
_EXTRAS = re.compile(r"^[\w.-]+\s*\[([^\]]*)\]")


@dataclass(frozen=True)
class Interpreter:
    """The base's Python.

    Attributes:
        version: Such as `3.11`.
        machine: Such as `x86_64`.
        glibc: Minor version of its glibc 2.
    """

    version: str
    machine: str
    glibc: int

    def platforms(self) -> list[str]:
        """The tags of the wheels that it can load, the best first."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, OLDEST_GLIBC - 1, -1)]
        return [*tags, *(f"manylinux{year}_{self.machine}" for year in (2014, 2010, 1))]


def gather(project: Project, interpreter: Interpreter, folder: Path, tell: Callable[[str], None]) -> Built:
    """Put the project's wheel into `folder`/wheels, and those of all that its server needs, and of pip.

    Raises:
        InvalidArgument: The project cannot be built, or one of its dependencies has no wheel for the base.
        Unsupported: There is no pip.
    """
    tell(f"building the wheel of {project.folder}")
    wheels = folder / "wheels"
    built = read_wheel(project, build(project.folder, wheels))
    wanted = requirements(built.wheel, [built.environment])
    if _is_ours(built.wheel.name):
        wanted = _served(wanted)
    else:
        extras = _EXTRAS.match(next((text for text in wanted if _is_ours(text)), US))
        ours = requirements(_our_own(wheels, tell), extras[1].replace(" ", "").split(",") if extras else [])
        wanted = [text for text in wanted if not _is_ours(text)] + _served(ours)
    tell(f"downloading what it needs, for Python {interpreter.version}")
    command = ["download", "--dest", str(wheels), "--only-binary", ":all:"]
    command += ["--python-version", interpreter.version, "--implementation", "cp"]
    for platform in interpreter.platforms():
        command += ["--platform", platform]
    _pip(*command, *wanted, "pip", scratch=folder, failure="its dependencies could not be downloaded as wheels")
    return built


def build(project: Path, folder: Path) -> Path:
    """The wheel of a project, added to `folder`.

    Raises:
        InvalidArgument: The project cannot be built.
    """
    before = set(folder.glob("*.whl"))
    _pip(
        "wheel",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(project),
        scratch=folder.parent,
        failure="its wheel could not be built",
    )
    return (set(folder.glob("*.whl")) - before).pop()


def _our_own(folder: Path, tell: Callable[[str], None]) -> Path:
    """The wheel of this library: of the checkout that it runs from, else of its release."""
    distribution = metadata.distribution(US)
    source = checkout(distribution)
    if source is not None:
        tell(f"building the wheel of {source}")
        return build(source, folder)
    release = f"{US}=={distribution.version}"
    _pip(
        "download",
        "--no-deps",
        "--dest",
        str(folder),
        release,
        scratch=folder.parent,
        failure=f"{release} could not be downloaded",
    )
    return next(folder.glob("openenv_grpc-*.whl"))


def _served(ours: list[str]) -> list[str]:
    """Of this library's requirements, those of a server."""
    return [text for text in ours if _NAME.findall(text)[0].lower() not in COMMAND_LINE]


def _is_ours(text: str) -> bool:
    return re.sub(r"[-_.]+", "-", _NAME.findall(text)[0]).lower() == US or text.startswith("openenv_grpc-")


def _pip(*arguments: str, scratch: Path, failure: str) -> None:
    """Run pip; nothing of it is left when that is interrupted, for what it unpacks lies in `scratch`."""
    command = [sys.executable, "-m", "pip", *arguments, "--disable-pip-version-check", "--no-input"]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
        start_new_session=True,
    ) as process:
        try:
            said = process.communicate()[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)  # it has children
            raise
    if process.returncode == 0:
        return
    if "No module named pip" in said:
        msg = f"{sys.executable} has no pip; add it with: {sys.executable} -m ensurepip"
        raise Unsupported(msg)
    msg = f"{failure}; pip said:\n" + "\n".join(said.strip().splitlines()[-TAIL_LINES:])
    raise InvalidArgument(msg)
