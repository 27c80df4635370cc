"""Turns a virtual environment into the files that an image adds to its base."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import openenv_grpc as oe
from openenv_grpc.image.trim import trim
from openenv_grpc.server import probe

if TYPE_CHECKING:
    from openenv_grpc.specs import ServerSpec

DESCRIPTION = "openenv.json"
"""In the virtual environment: what the image serves, for its labels."""
PROBE = "openenv-probe"
SOCKETS = "run/openenv"
"""Where the server listens, when nothing is mounted there."""


def finish(name: str, root: Path) -> None:
    """Trim what is installed, try the environment, and lay out the image's files under `root`.

    Raises:
        EnvironmentFailed: It cannot be built; the message says why.
    """
    venv = Path(sys.prefix)
    trim(Path(sysconfig.get_path("purelib")))
    _install_probe(venv / "bin" / PROBE)
    (venv / DESCRIPTION).write_text(json.dumps(_facts(_try(name))) + "\n")
    shutil.copytree(venv, root / venv.relative_to("/"), symlinks=True)
    for path in _fresh_byte_code(venv):
        target = root / path.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    (root / SOCKETS).mkdir(parents=True)
    (root / SOCKETS).chmod(0o1777)  # whoever the container runs as; nobody else is in there


def _install_probe(path: Path) -> None:
    """The health check as one file, for a Python that starts without looking at what is installed."""
    path.write_text(f"#!{sys.executable} -IS\n{Path(probe.__file__).read_text()}")
    path.chmod(0o755)


def _try(name: str) -> ServerSpec:
    """What the environment's server says about itself, after it has played a little.

    The server's Python writes byte code of all that it loads; this one's, run with -B, does not. In the image nothing
    could be written.
    """
    with oe.make(name) as env:
        env.reset()
        return env.server


def _facts(server: ServerSpec) -> dict[str, str]:
    return {
        "name": server.environment.name,
        "version": server.environment.version,
        "protocol-revision": str(server.protocol_revision),
        "spec-hash": server.environment.spec_hash,
    }


def _fresh_byte_code(venv: Path) -> list[Path]:
    """Byte code of Python's own library that the base came without, as `python:3.11-slim` does."""
    began = (venv / "pyvenv.cfg").stat().st_mtime
    library = os.path.realpath(sysconfig.get_path("stdlib"))
    return [path for path in Path(library).rglob("__pycache__/*.pyc") if path.stat().st_mtime >= began]
