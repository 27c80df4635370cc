"""`openenv-grpc init`: writes the start of an environment, a small game that runs and whose tests pass."""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import tempfile
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from openenv_grpc.cli.generate import write
from openenv_grpc.errors import InvalidArgument

TEMPLATES = {
    "Dockerfile": "Dockerfile",
    "README.md": "README.md",
    "conformance.py.txt": "tests/test_{{name}}_conformance.py",
    "dockerignore": ".dockerignore",
    "environment.proto": "proto/openenv_{{name}}/v1/{{name}}.proto",
    "environment.py.txt": "openenv_{{name}}_server/environment.py",
    "gitignore": ".gitignore",
    "pyproject.toml.txt": "pyproject.toml",
    "server.py.txt": "openenv_{{name}}_server/__init__.py",
    "test.py.txt": "tests/test_{{name}}.py",
}
"""Where each file of `templates/` goes."""


def init(
    name: Annotated[
        str, typer.Argument(help="What the environment is called: a lower-case Python name, such as chess.")
    ],
    output: Annotated[Path | None, typer.Option(help="Directory to write into. Default: ./NAME.")] = None,
) -> None:
    """Write the start of an environment: messages, typed client, class, tests, Dockerfile, README."""
    target = output or Path(name)
    for path in create(name, target):
        typer.echo(path)
    typer.echo(f"\ncd {target} && pip install -e '.[dev]' && pytest && openenv-grpc serve {name}")


def create(name: str, target: Path) -> list[Path]:
    """Write the project; nothing is left behind when that fails.

    Raises:
        InvalidArgument: Not a name an environment can have, or the directory is not empty.
        Unsupported: grpcio-tools is not installed.
    """
    check_name(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        msg = "exists and is not an empty directory; choose another --output"
        raise InvalidArgument(msg, field=str(target))
    with tempfile.TemporaryDirectory() as scratch:
        _fill(name, Path(scratch))
        shutil.copytree(scratch, target, dirs_exist_ok=True)
    return sorted(path for path in target.rglob("*") if path.is_file())


def check_name(name: str) -> None:
    """Refuse what cannot name packages, classes and an installed environment.

    Raises:
        InvalidArgument: Says what a name looks like, or that it is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        msg = f"{name!r} does not name an environment; use lower-case letters, digits and single underscores"
        raise InvalidArgument(msg, field="name")
    if importlib.util.find_spec(f"openenv_{name}") is not None:
        msg = f"a package openenv_{name} is installed already; choose another name"
        raise InvalidArgument(msg, field="name")


def class_name(name: str) -> str:
    """What the environment's classes begin with: `tic_tac` makes `TicTac`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _fill(name: str, directory: Path) -> None:
    """Write the templates, then generate the client from the one that is a `.proto`."""
    templates = resources.files("openenv_grpc.cli") / "templates"
    for source, path in TEMPLATES.items():
        target = directory / _named(path, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_named((templates / source).read_text(encoding="utf-8"), name), encoding="utf-8")
    write([directory / _named(TEMPLATES["environment.proto"], name)], [], directory)


def _named(text: str, name: str) -> str:
    return text.replace("{{name}}", name).replace("{{Name}}", class_name(name))
