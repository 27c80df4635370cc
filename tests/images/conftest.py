"""A container as a user would start one who takes no chances, without the docker provider."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.helpers.containers import engine
from tests.helpers.processes import until

WALLS = (
    "--network=none",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--init",
    "--tmpfs=/tmp",
)


class Served(NamedTuple):
    """A container, and where its server listens."""

    container: str
    address: str


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts containers, which end with the test."""
    with contextlib.ExitStack() as stack:

        def start(image: str, *arguments: str) -> Served:
            directory = Path(tempfile.mkdtemp(prefix="oe-", dir="/dev/shm"))
            stack.callback(shutil.rmtree, directory)
            user = "65532:65532" if os.geteuid() == 0 else f"{os.geteuid()}:{os.getegid()}"
            if os.geteuid() == 0:
                os.chown(directory, 65532, 65532)
            mount = f"--volume={directory}:/run/openenv"
            container = engine(
                "run", "--detach", "--label=openenv-test", "--user", user, *WALLS, mount, image, *arguments
            )
            stack.callback(engine, "rm", "--force", container)
            until(
                lambda: (directory / "env.sock").is_socket() and "serving" in engine("logs", container), 30, "a server"
            )
            return Served(container, f"unix:{directory}/env.sock")

        yield start
