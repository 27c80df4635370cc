"""Images and containers made for a test, and removed with it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path


def engine(*arguments: str, timeout_s: float = 60.0) -> str:
    """What a command of `docker` prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=timeout_s, check=True)
    return done.stdout.strip()


@contextlib.contextmanager
def image_like(
    base: str, entrypoint: list[str], *changes: str, files: Mapping[Path, str] | None = None
) -> Iterator[str]:
    """An image like another one, with another program, for as long as the block lasts; its id.

    Args:
        base: The other one.
        entrypoint: The program.
        changes: Further lines of a Dockerfile.
        files: Directories whose contents are copied into others, which are there.
    """
    container = engine("create", "--label", "openenv-test", base)
    try:
        for path, target in (files or {}).items():
            engine("cp", f"{path}/.", f"{container}:{target}")
        lines = [f"ENTRYPOINT {json.dumps(entrypoint)}", *changes]
        image = engine("commit", *(f"--change={line}" for line in lines), container)
    finally:
        engine("rm", container)
    try:
        yield image
    finally:
        engine("rmi", "--force", image)


def python(code: str) -> list[str]:
    """A program for an image of ours: Python code that gets the server's arguments as its own."""
    return ["/venv/bin/python", "-c", code]
