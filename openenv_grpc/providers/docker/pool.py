"""A pool of warm containers: started, healthy, and paused until somebody wants one.

A pool is a provider itself: `create` hands out a container that is ready, `destroy` takes it back, and the place that
became free is filled again behind the caller's back.

The law of this file: by default (`sessions=1, reuse=False`) no two leases ever see the same container, so nothing that
one leaves can reach another. Reuse is for environments whose actions are trusted; what can be seen from outside is
compared then with how it was at the start, and what differs is destroyed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from openenv_grpc.client import EnvClient
from openenv_grpc.errors import InvalidArgument, OpenEnvError, ServerFull, ServerUnavailable
from openenv_grpc.providers.base import EnvironmentSource, Lease, LeaseState, LeaseStatus, has_labels
from openenv_grpc.providers.docker.clean import Print, is_clean, settled_print
from openenv_grpc.providers.docker.line import Line

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence

    from openenv_grpc.providers.docker.provider import DockerProvider

START_TIMEOUT_S = 120.0
DELAY_S = 0.2
"""A start that nobody waits for lets whoever has just got a container begin first."""
JITTER_S = 0.05
"""Starts are apart by up to this much, so that they do not all meet at the engine."""
FIRST_RETRY_S, LAST_RETRY_S = 0.5, 30.0


@dataclass
class _Warm:
    """A container of the pool.

    Attributes:
        base: The lease that the pool itself holds.
        print: How it was when it was new.
        generation: How often it was handed out.
        leases: Those who have it now.
    """

    base: Lease
    print: Print
    generation: int = 0
    leases: dict[str, Lease] = field(default_factory=dict)


class DockerPool:
    """Warm containers of one environment.

    Args:
        provider: Starts them. The pool does not close it.
        source: What to run: `create` refuses another.
        size: How many wait for somebody at any time.
        most: How many there may be altogether, those in use included.
        sessions: Leases that share a container (dense), 1 for one container each (strict). Sharing leases are apart
            as the sessions of one server are: as processes of one user. With `tcp` they share its port and its token.
        reuse: Hand a container out again, if it is as clean as it can be seen to be.
        waiting: Callers that may wait for a container when all are in use.
    """

    def __init__(
        self,
        provider: DockerProvider,
        source: EnvironmentSource,
        size: int = 2,
        *,
        most: int = 64,
        sessions: int = 1,
        reuse: bool = False,
        waiting: int = 64,
    ) -> None:
        """Nothing is started before `fill` or the first `create`.

        Raises:
            InvalidArgument: A number that cannot be, or containers that are to be used again and reached by TCP.
        """
        if not (0 <= size <= most and most >= 1 and sessions >= 1 and waiting >= 0):
            msg = f"a pool of {size} of at most {most}, with {sessions} sessions each and {waiting} waiting, cannot be"
            raise InvalidArgument(msg, field="pool")
        if reuse and source.tcp:
            msg = "who has had a container knows its token, also when it is used again: no reuse=True with tcp=True"
            raise InvalidArgument(msg, field="pool")
        self._provider, self._source = provider, source
        self._size, self._most, self._sessions, self._reuse = size, most, sessions, reuse
        self._most_waiting = waiting
        self._ready: deque[_Warm] = deque()
        self._used: dict[str, _Warm] = {}  # by the id of the pool's own lease
        self._holders: dict[str, _Warm] = {}  # by the id of the lease that was handed out
        self._starting = 0
        self._line = Line()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    # -- acquire --------------------------------------------------------------------------------------------------

    async def create(self, source: EnvironmentSource, deadline: float) -> Lease:
        """A warm container; where none is ready, the next that is.

        Raises:
            InvalidArgument: The source is not the pool's.
            ServerFull: All are in use, and too many wait or none came free in time.
            OpenEnvError: A container could not be started.
        """
        if replace(source, labels={}) != replace(self._source, labels={}):
            msg = f"the pool has containers of {self._source}, not of {source}"
            raise InvalidArgument(msg, field="pool")
        while True:
            self._check_open()
            warm = self._shared() or (self._ready.popleft() if self._ready else None)
            self._refill()
            if warm is None:
                await self._wait(deadline)
            elif warm.leases or await self._wake(warm):
                return self._hand_out(warm, source)

    def _check_open(self) -> None:
        if self._closed:
            msg = "the pool is closed"
            raise ServerUnavailable(msg)

    def _shared(self) -> _Warm | None:
        """A container in use that has room for one more."""
        found = (warm for warm in self._used.values() if 0 < len(warm.leases) < self._sessions)
        return next(found, None)

    async def _wake(self, warm: _Warm) -> bool:
        """Have a paused container run; one that does not is removed."""
        self._used[warm.base.id] = warm
        try:
            if warm.base.expires is not None and warm.base.expires - time.time() < START_TIMEOUT_S:
                msg = "it expires soon"
                raise ServerUnavailable(msg)
            await self._provider.unpause(warm.base.id)
        except OpenEnvError:
            self._used.pop(warm.base.id, None)
            await self._drop(warm)
            return False
        except BaseException:
            self._used.pop(warm.base.id, None)
            self._spawn(self._drop(warm))
            raise
        warm.generation += 1
        return True

    def _hand_out(self, warm: _Warm, source: EnvironmentSource) -> Lease:
        lease = replace(
            warm.base,
            id=f"{warm.base.id}.{warm.generation}.{secrets.token_hex(4)}",
            provider=self,
            generation=warm.generation,
            labels=dict(source.labels),
        )
        warm.leases[lease.id] = lease
        self._holders[lease.id] = warm
        return lease

    async def _wait(self, deadline: float) -> None:
        """Wait until something changes.

        Raises:
            ServerFull: Too many wait, or nothing came free in time.
            OpenEnvError: What was to be started for us could not be.
        """
        if len(self._line) >= self._most_waiting:
            msg = f"all {self._most} containers of the pool are in use, and {len(self._line)} callers wait already"
            raise ServerFull(msg, retry_after_s=1.0)
        try:
            await self._line.wait(deadline)
        except asyncio.TimeoutError:
            msg = f"no container of the pool came free in time ({len(self._used)} of at most {self._most} are in use)"
            raise ServerFull(msg, retry_after_s=1.0) from None

    # -- refill ---------------------------------------------------------------------------------------------------

    async def fill(self) -> None:
        """Start what is missing, and wait until it is there.

        Raises:
            OpenEnvError: A container could not be started.
        """
        self._refill()
        while len(self._ready) < self._size and self._starting:
            await self._wait(time.monotonic() + START_TIMEOUT_S)

    def _refill(self) -> None:
        """Start what is missing: what shall wait for callers, and what callers wait for."""
        wanted = self._size + len(self._line)
        room = self._most - len(self._ready) - len(self._used) - self._starting
        for _ in range(min(wanted - len(self._ready) - self._starting, room)):
            self._starting += 1
            self._spawn(self._start())

    async def _start(self) -> None:
        """Start one and pause it. An engine that fails is asked again, later and later, while anybody may want it."""
        pause_s = FIRST_RETRY_S
        try:
            while not self._closed:
                await asyncio.sleep(random.uniform(0, JITTER_S) + (0 if self._line else DELAY_S))
                try:
                    self._ready.append(await self._warm_up())
                    return
                except OpenEnvError as error:
                    waited_for = bool(self._line)
                    self._line.call(error)
                    if not waited_for:
                        return  # the next caller tries again, and hears why it fails
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
                pause_s = min(2 * pause_s, LAST_RETRY_S)
        finally:
            self._starting -= 1
            self._line.call()

    async def _warm_up(self) -> _Warm:
        base = await self._provider.create(self._source, time.monotonic() + START_TIMEOUT_S)
        try:
            await self._provider.run(_open_once, base.address, base.token)
            warm = _Warm(base, await settled_print(self._provider, base))
            await self._provider.pause(base.id)
        except BaseException:
            self._spawn(self._provider.destroy(base.id))
            raise
        return warm

    # -- release --------------------------------------------------------------------------------------------------

    async def destroy(self, lease_id: str) -> None:
        """Give a container back. One that was given back already, in whatever generation, is not touched again."""
        warm = self._holders.pop(lease_id, None)
        if warm is None:
            return
        warm.leases.pop(lease_id, None)
        if not warm.leases:
            del self._used[warm.base.id]
            kept = self._reuse and not self._closed and await self._recycle(warm)
            if not kept:
                await self._drop(warm)
        self._line.call()
        self._refill()

    async def _recycle(self, warm: _Warm) -> bool:
        """Make a container ready for the next lease, at another address; False where it is not clean."""
        try:
            if not await is_clean(self._provider, warm.base, warm.print):
                return False
            warm.base = await self._provider.readdress(warm.base.id, warm.generation + 1)
            await self._provider.pause(warm.base.id)
        except OpenEnvError:
            return False
        self._ready.append(warm)
        return True

    async def _drop(self, warm: _Warm) -> None:
        await self._provider.destroy(warm.base.id)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- the rest of a provider -----------------------------------------------------------------------------------

    async def status(self, lease_id: str) -> LeaseStatus:
        """What has become of a lease."""
        warm = self._holders.get(lease_id)
        return LeaseStatus(LeaseState.GONE) if warm is None else await self._provider.status(warm.base.id)

    async def list(self, labels: Mapping[str, str] | None = None) -> Sequence[Lease]:
        """The leases that are handed out, with these labels at least."""
        held = [warm.leases[lease_id] for lease_id, warm in self._holders.items()]
        return [lease for lease in held if has_labels(lease, labels)]

    async def logs(self, lease_id: str, tail: int = 200) -> str:
        """The last lines that a lease's container wrote; "" where nothing is known."""
        warm = self._holders.get(lease_id)
        return "" if warm is None else await self._provider.logs(warm.base.id, tail)

    async def close(self) -> None:
        """Destroy all containers, handed out or not."""
        self._closed = True
        closed = ServerUnavailable("the pool was closed")
        while self._line:
            self._line.call(closed)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        everything = [*self._ready, *self._used.values()]
        self._ready.clear()
        self._used.clear()
        self._holders.clear()
        await asyncio.gather(*(self._drop(warm) for warm in everything))


def _open_once(address: str, token: str | None) -> None:
    """Open and close a session: the next will find all code loaded, and its memory touched."""
    with contextlib.suppress(OpenEnvError):  # it may need options
        EnvClient[Any, Any, Any].connect(address, token=token).close()


_pools: dict[Any, DockerPool] = {}
os.register_at_fork(after_in_child=_pools.clear)


def pool_of(provider: DockerProvider, source: EnvironmentSource, size: int) -> DockerPool:
    """The pool of this process for what a source names, the same one each time."""
    key = source.environment, source.image, source.profile, source.tcp, tuple(sorted(source.limits.items())), size
    if key not in _pools or _pools[key]._closed:
        _pools[key] = DockerPool(provider, replace(source, labels={}), size)
    return _pools[key]
