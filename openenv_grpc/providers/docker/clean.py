"""Whether a container is as it was when it was new, as far as that can be seen from outside.

Nothing is run in it and nothing in it is asked, but for the server's count of open sessions: a container that has
been taken over would answer as it likes. What cannot be seen (the server's own memory) is why a pool reuses nothing
unless it is told to.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from openenv_grpc.errors import ServerUnavailable
from openenv_grpc.providers.docker.probe import probe

if TYPE_CHECKING:
    from openenv_grpc.providers.base import Lease
    from openenv_grpc.providers.docker.provider import DockerProvider

SETTLE_S = 2.0
"""How long what was closed may take to be gone."""
WRITABLE = ("tmp", "dev/shm", "dev/mqueue")


@dataclass(frozen=True)
class Print:
    """What is compared: the spec hash, the processes, and the names of files in all places that can be written to."""

    spec_hash: str
    processes: frozenset[str]
    files: frozenset[str]


async def settled_print(provider: DockerProvider, lease: Lease) -> Print:
    """How a new container is, once nothing changes any more.

    Raises:
        OpenEnvError: It does not answer, or the engine does not; or it never settles.
    """
    end = time.monotonic() + SETTLE_S
    before: Print | None = None
    while (found := await _take_print(provider, lease)) != before:
        if time.monotonic() > end:
            msg = "a new container does not settle: its processes or its files keep changing"
            raise ServerUnavailable(msg)
        before = found
        await asyncio.sleep(0.05)
    return found


async def _take_print(provider: DockerProvider, lease: Lease) -> Print:
    server = await provider.run(probe, lease.address, time.monotonic() + 5.0, lease.token)
    processes = await provider.processes(lease.id)
    files = await provider.run(_files, lease.details["directory"], processes)
    return Print(server.environment.spec_hash, frozenset(processes), files)


async def is_clean(provider: DockerProvider, lease: Lease, before: Print) -> bool:
    """Whether nothing of a session is left in a container, as far as can be seen.

    Raises:
        OpenEnvError: It does not answer, or the engine does not.
    """
    end = time.monotonic() + SETTLE_S
    while True:
        server = await provider.run(probe, lease.address, time.monotonic() + 5.0, lease.token)
        if server.open_sessions == 0 and await _take_print(provider, lease) == before:
            return True
        if time.monotonic() > end:
            return False
        await asyncio.sleep(0.05)


def _files(directory: str, processes: list[str]) -> frozenset[str]:
    """Names in all places of a container that can be written to; where they cannot be seen, a name that never recurs.

    They are listed through the root of its first process. Nothing there is opened but these directories themselves,
    which are mount points: nobody in the container can put a link in their place.
    """
    found = {f"box/{name}" for name in os.listdir(Path(directory) / "box")}
    first = min(map(int, processes))
    for place in WRITABLE:
        try:
            fd = os.open(f"/proc/{first}/root/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            found.add(f"{place} cannot be seen: {time.monotonic_ns()}")
            continue
        try:
            found |= {f"{place}/{name}" for name in os.listdir(fd)}
        finally:
            os.close(fd)
    return frozenset(found)
