"""Turns a virtual environment into the files that an image adds to its base."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import openenv_grpc as oe

if TYPE_CHECKING:
    from openenv_grpc.specs import ServerSpec

DESCRIPTION = "openenv.json"
"""In the virtual environment: what the image serves, for its labels."""


def finish(name: str, root: Path) -> None:
    """Try the environment and lay out the image's files under `root`.

    Raises:
        EnvironmentFailed: It cannot be built; the message says why.
    """
    venv = Path(sys.prefix)
    (venv / DESCRIPTION).write_text(json.dumps(_facts(_try(name))) + "\n")
    target = root / venv.relative_to("/")
    target.parent.mkdir(parents=True)
    shutil.copytree(venv, target, symlinks=True)


def _try(name: str) -> ServerSpec:
    """What the environment's server says about itself, after it has played a little."""
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
