"""The local carrier, sync and asyncio: requests by the local lane, the session's beginning and end over gRPC.

Where a lane's socket ends, the stream says why: a worker that died, a session that was closed, a server that drains.
"""

from __future__ import annotations

import asyncio
import select
from collections import deque
from typing import TYPE_CHECKING

from openenv_grpc.errors import OpenEnvError, SessionLost
from openenv_grpc.session.packet import RECV_SIZE

if TYPE_CHECKING:
    from openenv_grpc.client.carriers import AsyncGrpcCarrier, GrpcCarrier
    from openenv_grpc.client.lane import LocalLane
    from openenv_grpc.codec.frame import Apart
    from openenv_grpc.session.calls import Call

REASON_S = 8.0
"""How long the server may take to say why a worker's socket has ended."""


class LocalCarrier:
    """Drives a local lane beside its session's stream.

    Args:
        lane: The lane.
        stream: The stream.
    """

    name = "local"

    def __init__(self, lane: LocalLane, stream: GrpcCarrier) -> None:
        """Nothing is sent yet."""
        self.address = stream.address
        self._lane = lane
        self._stream = stream
        self._over = False
        self._poll = select.poll()
        self._ready: list[int] = []
        self._numbers = {sock.fileno(): number for number, sock in enumerate(lane.sockets)}
        for sock in lane.sockets:
            self._poll.register(sock, select.POLLIN)

    def send(self, call: Call) -> None:
        """Send a call's frames: by the lane, except for the end of the session."""
        if call.verb == "close" or self._over:
            self._stream.send(call)
        else:
            self._lane.submit(call.shards, call.frames)

    def receive(self) -> bytes | Apart:
        """The next frame; blocks.

        Raises:
            SessionLost: The session has ended.
            MalformedFrame: The worker breaks the protocol.
        """
        lane = self._lane
        while not self._over:
            if len(self._numbers) == 1 and lane.is_flushed:
                shard = 0  # it alone can have something: wait for it
            elif self._ready:
                shard = self._ready.pop()
            else:
                self._look()
                continue
            try:
                message = lane.sockets[shard].recv(RECV_SIZE)
            except OSError:
                message = b""
            if not message:
                self._over = True
                break
            found = lane.take(shard, message)
            if found is not None:
                return found
        return self._stream.receive(REASON_S)

    def _look(self) -> None:
        """Wait until shards have something to read, and write what was left to write."""
        if self._lane.is_flushed:
            self._ready = [self._numbers[fd] for fd, _ in self._poll.poll()]
            return
        for fd, shard in self._numbers.items():
            self._poll.modify(fd, select.POLLIN | select.POLLOUT if self._lane.unsent[shard] else select.POLLIN)
        found = self._poll.poll()
        for fd, event in found:
            if event & select.POLLOUT:
                self._lane.flush(self._numbers[fd])
            self._poll.modify(fd, select.POLLIN)
        self._ready = [self._numbers[fd] for fd, event in found if event & ~select.POLLOUT]

    def cancel(self) -> None:
        """Have `receive` fail at once, from any thread."""
        self._stream.cancel()
        self._lane.shut()

    def close(self) -> None:
        """Let go of everything."""
        self._lane.close()
        self._stream.close()


class AsyncLocalCarrier:
    """Drives a local lane beside its session's stream.

    Args:
        lane: The lane.
        stream: The stream.
    """

    name = "local"

    def __init__(self, lane: LocalLane, stream: AsyncGrpcCarrier) -> None:
        """Read from now on."""
        self.address = stream.address
        self._lane = lane
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._arrived: deque[bytes | Apart | OpenEnvError] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        for shard, sock in enumerate(lane.sockets):
            self._loop.add_reader(sock, self._on_readable, shard)

    async def send(self, call: Call) -> None:
        """Send a call's frames: by the lane, except for the end of the session."""
        if call.verb == "close" or self._over:
            await self._stream.send(call)
            return
        self._lane.submit(call.shards, call.frames)
        self._watch_unsent()

    def _watch_unsent(self) -> None:
        for shard, sock in enumerate(self._lane.sockets):
            if not self._over and self._lane.unsent[shard]:
                self._loop.add_writer(sock, self._on_writable, shard)

    def _on_writable(self, shard: int) -> None:
        if self._lane.flush(shard):
            self._loop.remove_writer(self._lane.sockets[shard])

    def _on_readable(self, shard: int) -> None:
        found: bytes | Apart | OpenEnvError | None = None
        try:
            message = self._lane.sockets[shard].recv(RECV_SIZE)
            found = self._lane.take(shard, message) if message else None
        except OSError:
            message = b""
        except OpenEnvError as broken:
            message, found = b"", broken
        if not message:
            self._stop_reading()
        if found is not None:
            self._arrived.append(found)
            self._watch_unsent()
        if (found is not None or self._over) and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_reading(self) -> None:
        self._over = True
        for sock in self._lane.sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock)
                self._loop.remove_writer(sock)

    async def receive(self) -> bytes | Apart:
        """The next frame.

        Raises:
            SessionLost: The session has ended.
            MalformedFrame: The worker breaks the protocol.
        """
        while not self._arrived and not self._over:
            self._waiter = self._loop.create_future()
            await self._waiter
        if self._arrived:
            found = self._arrived.popleft()
            if isinstance(found, OpenEnvError):
                raise found
            return found
        try:
            return await asyncio.wait_for(self._stream.receive(), REASON_S)
        except asyncio.TimeoutError:
            msg = "the environment's process is gone, and the server does not say why"
            raise SessionLost(msg) from None

    def cancel(self) -> None:
        """Have `send` and `receive` fail at once."""
        self._stream.cancel()
        self._stop_reading()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def close(self) -> None:
        """Let go of everything."""
        self.cancel()
        self._lane.close()
        await self._stream.close()
