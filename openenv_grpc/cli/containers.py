"""`openenv-grpc ps` and `openenv-grpc reap`: the containers of the docker provider, whoever started them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from openenv_grpc.providers.docker.reaper import Found


def ps() -> None:
    """List the containers that run environments, with their owners and the time they have left."""
    from openenv_grpc.providers.docker.engine import connect
    from openenv_grpc.providers.docker.reaper import containers

    found = containers(connect())
    if not found:
        typer.echo("no container runs an environment")
        return
    rows = [("CONTAINER", "IMAGE", "PROFILE", "STATE", "OWNER", "EXPIRES IN", "RUN")]
    rows += [(each.name, each.image, each.profile, each.state, _owner(each), _left(each), each.run) for each in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # as wide as they are, for other programs to read
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def reap() -> None:
    """End containers whose owner is gone, or that have expired, and remove what they left.

    It happens by itself: as soon as an owner dies, and when the next one starts. This is for when it did not.
    """
    from openenv_grpc.providers.docker import reaper
    from openenv_grpc.providers.docker.engine import connect

    ended = reaper.reap(connect())
    typer.echo("\n".join(f"ended {name}" for name in ended) or "nothing to end")


def _owner(found: Found) -> str:
    from openenv_grpc.providers.owner import is_gone, pid_of

    return "gone" if is_gone(found.owner) else f"pid {pid_of(found.owner)}"


def _left(found: Found) -> str:
    left = found.expires - time.time()
    if left < 0:
        return "expired"
    for unit, seconds in (("h", 3600), ("min", 60)):
        if left >= seconds:
            return f"{left / seconds:.0f} {unit}"
    return f"{left:.0f} s"
