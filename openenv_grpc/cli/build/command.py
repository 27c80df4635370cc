"""The command: gather wheels, build, label, tell."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from openenv_grpc.cli.build.display import Display
from openenv_grpc.cli.build.engine import Engine
from openenv_grpc.cli.build.source import Built, Project, find_project
from openenv_grpc.cli.build.wheels import gather
from openenv_grpc.errors import OpenEnvError

BASE = "python:3.11-slim"
QUIET_S = 2.0
"""After an interruption: the engine ends the step that it is at before it notices."""
FACTS = "/venv/openenv.json"
"""What the image says about itself: `openenv_grpc.image.finish` writes it."""


@dataclass(frozen=True)
class Image:
    """What was built. Sizes are in bytes; `size` includes `base_size`."""

    tags: list[str]
    id: str
    size: int
    base_size: int
    facts: dict[str, str]


def build(
    environment: Annotated[
        str | None,
        typer.Argument(
            help="An environment installed from a checkout (echo, atari), or a project's folder. Default: ."
        ),
    ] = None,
    base: Annotated[str, typer.Option(help="The image that it builds on: one with python3.")] = BASE,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Name of the image; repeatable. Default: openenv-NAME:VERSION and openenv-NAME:latest."),
    ] = None,
    build_id: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Make an environment's image. Wheels are gathered here first: the build itself has no network.

    Example: openenv-grpc build atari --base openenv-base
    """
    with Display(Console()) as display:
        image = make_image(find_project(environment), base, tag or [], display, build_id or uuid.uuid4().hex)
    display.show(image)


def make_image(project: Project, base: str, tags: list[str], display: Display, build_id: str) -> Image:
    """Build, label and tag an image; nothing is left behind when that fails.

    Everything that is made on the way has the label `build_id`.

    Raises:
        InvalidArgument: The project, one of its dependencies or the base is not to be had.
        EnvironmentFailed: A step of the build failed; the message has the end of its log.
        ServerUnavailable: No Docker engine answers.
        Unsupported: The docker package, or pip, is not installed.
    """
    engine = Engine()
    try:
        engine.ensure(base, display.tell)
        with tempfile.TemporaryDirectory(prefix="openenv-build-") as scratch:
            built = gather(project, engine.interpreter(base), Path(scratch), display.tell)
            context = _context(Path(scratch), built)
            return _build(engine, built, {"BASE": base, "BUILD": build_id}, tags, context, display)
    finally:
        engine.close()


def _context(scratch: Path, built: Built) -> Path:
    """The folder that the engine gets: the Dockerfile and the wheels."""
    context = scratch / "context"
    context.mkdir()
    shutil.copy(built.dockerfile, context / "Dockerfile")
    (scratch / "wheels").rename(context / "wheels")
    return context


def _build(
    engine: Engine, built: Built, arguments: dict[str, str], tags: list[str], context: Path, display: Display
) -> Image:
    """Twice: what the labels say is known once the first stage has tried the environment; its steps are then cached."""
    name = f"openenv-{built.environment}".lower()
    tags = tags or [f"{name}:{built.version.replace('+', '-')}", f"{name}:latest"]
    image = None
    quiet_s = QUIET_S
    try:
        stage = engine.build(context, arguments, "build", display.step)
        facts = json.loads(engine.read(stage, FACTS))
        arguments |= {name.upper().replace("-", "_"): value for name, value in facts.items()}
        image = engine.build(context, arguments, None, display.step)
        for each in tags:
            engine.tag(image, each)
        quiet_s = 0.0
    except OpenEnvError:
        quiet_s = 0.0  # the engine itself has ended the build
        raise
    finally:
        engine.sweep(arguments["BUILD"], image, quiet_s=quiet_s)
    return Image(tags, image, engine.size(image), engine.size(arguments["BASE"]), facts)
