"""The local carrier, sync and asyncio: requests by the local lane, the session's beginning and end over gRPC.

Where a lane's socket ends, the stream says why: a worker that died, a session that was closed, a server that drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import time
from collections import deque
from typing import TYPE_CHECKING

from openenv_grpc.errors import OpenEnvError, SessionLost
from openenv_grpc.scheduling import LONGEST_S, Spin, current_core

if TYPE_CHECKING:
    from openenv_grpc.client.carriers import AsyncGrpcCarrier, GrpcCarrier
    from openenv_grpc.client.lane import LocalLane
    from openenv_grpc.codec.frame import Apart
    from openenv_grpc.session.calls import Call

REASON_S = 8.0
"""How long the server may take to say why a worker's socket has ended."""


ANEW = 128
"""Every so many steps in lock step the kernel chooses anew on which core they happen."""


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
        self._writing: set[int] = set()
        self._fds = [sock.fileno() for sock in lane.sockets]
        self._numbers = {fd: number for number, fd in enumerate(self._fds)}
        for fd in (*self._fds, lane.wake_fd):
            self._poll.register(fd, select.POLLIN)
        self._core = -1
        self._may_stay = len(self._fds) == 1
        self._steps = 0
        self._sent_at = 0.0
        self._took_s = 0.0
        self._spin = Spin(LONGEST_S)
        self._awake = False

    def send(self, call: Call) -> None:
        """Send a call's frames: by the lane, except for the end of the session."""
        if call.verb == "close":
            self._over = True  # what comes now comes by the stream
            with contextlib.suppress(OSError):
                os.eventfd_write(self._lane.wake_fd, 1)
        self._awake, self._core = False, -1
        if call.alone and self._may_stay and call.verb == "step" and not self._over:
            self._choose_wait()
        if self._over:
            self._stream.send(call)
        else:
            self._lane.submit(call.shards, call.frames, self._core, awake=self._awake)

    def _choose_wait(self) -> None:
        """How to wait for a step's answer while nothing else is under way: awake, else on the worker's core."""
        self._sent_at = time.monotonic()
        if self._took_s >= LONGEST_S:
            return
        self._awake = self._spin.is_worth_it(asks=True)
        self._steps += 1
        if self._awake or self._steps % ANEW:
            self._core = current_core()

    def receive(self) -> bytes | Apart:
        """The next frame; blocks.

        Raises:
            SessionLost: The session has ended.
            MalformedFrame: The worker breaks the protocol.
        """
        core = self._core  # another thread's request may change it at any moment
        found = self._receive() if core < 0 or self._awake else self._receive_now() or self._receive_here(core)
        self._took_s = time.monotonic() - self._sent_at
        return found

    def _receive_now(self) -> bytes | Apart | None:
        """What the only worker has answered already: on our core, it may have run before `send` came back."""
        if self._over or self._ready or self._lane.unsent[0]:
            return None
        try:
            return self._lane.receive(0)
        except EOFError:
            return None  # which `_receive` sees as well

    def _receive_here(self, core: int) -> bytes | Apart:
        """The same, this thread on that core until then, if the kernel lets it.

        What undoes it is a call of C: a function of our own could be interrupted (Ctrl-C) before its first line.
        """
        before = None
        try:
            try:
                before = os.sched_getaffinity(0)
                os.sched_setaffinity(0, (core,))
            except OSError:
                self._may_stay = False
            return self._receive()
        finally:
            if before is not None:
                try:
                    os.sched_setaffinity(0, before)
                except OSError:  # the machine's owner has moved the process meanwhile
                    self._may_stay = False

    def _receive(self) -> bytes | Apart:
        lane = self._lane
        while not self._over:
            if not self._ready:
                self._look()
                continue
            try:
                found = lane.receive(self._ready.pop())
            except EOFError:
                self._over = True
                break
            if found is not None:
                return found
        return self._stream.receive(REASON_S)

    def _look(self) -> None:
        """Wait until shards have something to read, and write what was left to write."""
        lane, both = self._lane, select.POLLIN | select.POLLOUT
        for shard, unsent in enumerate(lane.unsent):
            if bool(unsent) != (shard in self._writing):
                self._writing ^= {shard}
                self._poll.modify(self._fds[shard], both if unsent else select.POLLIN)
        for fd, event in (self._spin.wait(self._poll) if self._awake else ()) or self._poll.poll():
            if fd not in self._numbers:
                with contextlib.suppress(OSError):  # closed meanwhile
                    os.eventfd_read(lane.wake_fd)
                continue
            shard = self._numbers[fd]
            if event & select.POLLOUT:
                lane.flush(shard)
            if event & ~select.POLLOUT:
                self._ready.append(shard)

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
        if call.verb == "close":
            self._stop_reading()  # what comes now comes by the stream
        if self._over:
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
            found = self._lane.receive(shard)
        except EOFError:
            self._stop_reading()
        except OpenEnvError as broken:
            found = broken
            self._stop_reading()
        if found is not None:
            self._arrived.append(found)
            self._watch_unsent()
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    def _stop_reading(self) -> None:
        self._over = True
        for sock in self._lane.sockets:
            if sock.fileno() >= 0:
                self._loop.remove_reader(sock)
                self._loop.remove_writer(sock)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

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

    async def close(self) -> None:
        """Let go of everything."""
        self.cancel()
        self._lane.close()
        await self._stream.close()
