"""Ends containers whose owner is gone, or whose time has come, and removes the private directories of both.

A label is what an image may carry too, and a directory's name in a label could be any directory: containers are taken
for ours only if name and label agree, and directories are found where they are made, not by what a label says.
"""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import OpenEnvError
from openenv_grpc.providers.docker import box
from openenv_grpc.providers.docker.container import LABEL
from openenv_grpc.providers.docker.engine import remove, translated
from openenv_grpc.providers.lifeline import harmless
from openenv_grpc.providers.owner import is_gone

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

_LEASE = re.compile(r"[0-9a-f]{16}\Z")


@dataclass(frozen=True)
class Found:
    """A container of ours, by its labels.

    Attributes:
        expires: Unix time; 0 where it cannot be read.
        state: As the engine says: `Up 3 seconds (Paused)`.
    """

    lease: str
    name: str
    owner: str
    expires: float
    run: str
    profile: str
    image: str
    state: str


def containers(client: APIClient) -> list[Found]:
    """All containers of ours on an engine, whoever started them.

    Raises:
        ServerUnavailable: The engine does not answer.
    """
    with translated("listing containers"):
        found = client.containers(all=True, filters={"label": f"{LABEL}lease"})
    return [mine for entry in found if (mine := _read(entry)) is not None]


def _read(entry: dict[str, Any]) -> Found | None:
    labels = entry.get("Labels") or {}
    told = {
        key: harmless(labels.get(f"{LABEL}{key}", ""))[:200]
        for key in ("lease", "owner", "expires", "run", "profile", "image")
    }
    name = f"openenv-{told['lease']}"
    if not _LEASE.match(told["lease"]) or f"/{name}" not in (entry.get("Names") or ()):
        return None
    expires = 0.0
    with contextlib.suppress(ValueError):
        expires = float(told.pop("expires"))
    state = harmless(str(entry.get("Status")))
    return Found(told["lease"], name, told["owner"], expires, told["run"], told["profile"], told["image"], state)


def end(client: APIClient, which: Callable[[Found | box.Found], bool]) -> list[str]:
    """End these containers and remove these directories; the names of the containers are returned.

    Raises:
        ServerUnavailable: The engine could not; what it could is done.
    """
    failed: OpenEnvError | None = None
    ended = []
    for found in filter(which, containers(client)):
        try:
            remove(client, found.name)
            ended.append(found.name)
        except OpenEnvError as error:
            failed = error
    for directory in filter(which, list(box.find_boxes())):
        box.remove_tree(directory.root)
    if failed is not None:
        raise failed
    return ended


def reap(client: APIClient) -> list[str]:
    """End what has lost its owner, or has expired; the names of the containers are returned.

    Raises:
        ServerUnavailable: The engine does not answer.
    """
    now = time.time()
    return end(client, lambda found: is_gone(found.owner) or found.expires < now)
