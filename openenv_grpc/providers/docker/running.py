"""A container of the docker provider, from its start to its end."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import EnvironmentFailed, ServerUnavailable
from openenv_grpc.providers.base import Lease, LeaseState, LeaseStatus
from openenv_grpc.providers.docker.container import status_of
from openenv_grpc.providers.docker.probe import check_guarded, probe
from openenv_grpc.providers.docker.relay import Relay
from openenv_grpc.providers.lifeline import failure_of, log_tail, read_line

if TYPE_CHECKING:
    import socket

    from openenv_grpc.providers.docker.box import Box
    from openenv_grpc.providers.docker.engine import Engine
    from openenv_grpc.providers.profiles import Profile

LOOK_S = 0.2
"""How often a container that has not reported yet is looked at."""
END_S = 3.0
"""How long a container that has hung up may take to end."""


class Container:
    """A container and what belongs to it.

    Args:
        engine: The engine.
        lease: The provider's lease, which names the container.
        box: The directory that it shares with us.
        profile: How it is held.

    Attributes:
        lease: The same, with the address in force.
        box: The same.
        name: What the engine calls it.
    """

    def __init__(self, engine: Engine, lease: Lease, box: Box, profile: Profile) -> None:
        """Nothing runs yet."""
        self.lease = lease
        self.box = box
        self.name = lease.details["container"]
        self._engine = engine
        self._profile = profile
        self._lifeline: socket.socket | None = None
        self._relay: Relay | None = None

    async def start(self, config: dict[str, Any], deadline: float) -> None:
        """Start it and wait until its server is healthy and has described itself.

        Raises:
            EnvironmentFailed: The server says that its environment cannot be built.
            ServerUnavailable: No engine, or it did not start: the message has the reason and the end of its log.
        """
        listener = self.box.listen()
        with listener:
            await self._engine.call("create_container_from_config", config, self.name, doing="creating a container")
            await self._engine.call("start", self.name, doing="starting a container")
            self._lifeline = await self._accept(listener, deadline)
        await self._await_line(deadline)
        await self._engine.run(self.box.link)
        await self._engine.run(probe, self.box.address, deadline, self.lease.token)

    async def open_port(self, deadline: float) -> None:
        """Have the server reached by a port, once it is certain that it is not open to everybody."""
        await self._engine.run(check_guarded, self.box.address, deadline)
        self._relay = Relay(self.box.path)
        self.lease = replace(self.lease, address=self._relay.address)

    async def _accept(self, listener: socket.socket, deadline: float) -> socket.socket:
        """The server's connection to the lifeline; only the first that connects is listened to.

        Raises:
            ServerUnavailable: The container ended, or nobody has connected in time.
        """
        accept = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(listener))
        lifeline: socket.socket | None = None
        try:
            while True:
                await asyncio.wait([accept], timeout=min(LOOK_S, max(deadline - time.monotonic(), 0)))
                if accept.done():
                    lifeline = accept.result()[0]
                    lifeline.setblocking(False)
                    return lifeline
                if time.monotonic() >= deadline:
                    raise await self._failed("has not reported in time")
                if (await self.status()).state is LeaseState.ENDED:
                    raise await self._failed()
        finally:
            if lifeline is None and not accept.cancel() and accept.exception() is None:
                accept.result()[0].close()  # it came while we were giving up

    async def _await_line(self, deadline: float) -> None:
        """Wait for the one line that a server writes when it serves, or says why it does not."""
        if self._lifeline is None:
            return
        try:
            line = await read_line(self._lifeline, deadline)
        except asyncio.TimeoutError:
            raise await self._failed("did not serve in time") from None
        if line is None:
            raise await self._failed()
        failure = failure_of(line)
        if isinstance(failure, EnvironmentFailed):
            log = await self.log()
            raise EnvironmentFailed(failure.message + log_tail(log), field=failure.field)
        if failure is not None:
            raise failure

    async def _failed(self, what: str = "") -> ServerUnavailable:
        """Why a container does not serve, with the end of its log."""
        end = time.monotonic() + (0 if what else END_S)
        status = await self.status()
        while status.state is LeaseState.RUNNING and time.monotonic() < end:
            await asyncio.sleep(0.05)
            status = await self.status()
        reason = f"ended: {status.reason}" if status.state is LeaseState.ENDED else what or "hung up"
        if status.state is LeaseState.GONE:
            reason = "was removed: its time to live was over, or somebody did"
        log = await self.log()
        return ServerUnavailable(f"the container of {self.lease.details['image']} {reason}{log_tail(log)}")

    async def status(self) -> LeaseStatus:
        """What has become of it."""
        found = await self._engine.inspect(self.name)
        return LeaseStatus(LeaseState.GONE) if found is None else status_of(found["State"], self._profile)

    async def log(self, tail: int = 200) -> str:
        """The last lines that it wrote, harmless to print."""
        return await self._engine.logs(self.name, tail)

    async def end(self) -> None:
        """Let go of it, and have it removed. One that is gone already is no error.

        Raises:
            ServerUnavailable: The engine does not answer.
        """
        if self._lifeline is not None:
            self._lifeline.close()
        if self._relay is not None:
            await self._relay.close()
        await self._engine.remove(self.name)
