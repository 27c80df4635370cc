"""The server's end of one shard: relays frames to its worker and back, and watches the clock.

A frame to the worker is sent as it came. An answer is its header from the socket joined with its payload from the
shard's memory: the one copy of the gRPC carrier.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import socket
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import DeadlineExceeded, EnvironmentCrashed, OpenEnvError, ServerFull
from openenv_grpc.session.local import BOUNDS, SLOTS
from openenv_grpc.session.packet import DRAIN, FAILED, RECV_SIZE, Assembler, Packet, messages
from openenv_grpc.session.shard import status_frame
from openenv_grpc.worker.memory import read_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from openenv_grpc.server.workers import Worker
    from openenv_grpc.specs import Limits

    Deliver = Callable[[bytes, int], None]
    """Takes a frame and its packet's flags."""

IN_USE = 2
"""Slots used over gRPC: one is written while the other is joined. More only cost cache."""
GRACE_S = 1.0
"""What a worker gets beyond a request's budget to react to its own alarm, before it is ended."""
MAX_FDS = 3
"""With the answer to Open: the shard's memory, the client's end of its local lane, joint memory."""


@dataclass
class _Pending:
    seq: int
    budget_s: float
    deliver: Deliver
    frame: bytes | None


class ShardLink:
    """One worker and the requests that wait for it.

    Args:
        shard: Index of the shard.
        sock: Our end of the packet socket, non-blocking.
        worker: The process at the other end.
        limits: Limits in force.
        on_lost: Called once when the worker is gone or has broken the format.

    Attributes:
        local: What a client needs of the shard's local lane (its socket, its memory); None where there is none, and
            when it was taken.
        joint: Memory of all shards, from the shard that made it; None elsewhere.
    """

    def __init__(
        self,
        shard: int,
        sock: socket.socket,
        worker: Worker,
        limits: Limits,
        on_lost: Callable[[ShardLink], None],
    ) -> None:
        """Nothing is sent yet."""
        self.shard = shard
        self.worker = worker
        self.local: tuple[int, int] | None = None
        self.joint: int | None = None
        self._sock = sock
        self._limits = limits
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._assembler = Assembler(limits.message_bytes)
        self._memory: mmap.mmap | None = None
        self._slot_bytes = 0
        self._free = list(range(IN_USE))
        self._fds: list[int] = []
        self._running: deque[tuple[int, _Pending]] = deque()
        self._backlog: deque[_Pending] = deque()
        self._outgoing: deque[bytes] = deque()
        self._head_since = 0.0
        self._opening: asyncio.Future[None] | None = None

    async def open(self, opening: bytes) -> Packet:
        """Send the session's opening frame; answer the worker's packet, its memory mapped.

        Raises:
            EnvironmentCrashed: The worker died while it built its environments.
        """
        for message in messages(Packet(0, 0, 0, opening)):
            await self._loop.sock_sendall(self._sock, message)
        packet = await self._receive()
        if not packet.flags & FAILED:
            self._keep()
            self._loop.add_reader(self._sock, self._on_readable)
        return packet

    async def share(self, joint: int) -> None:
        """Hand over the memory of all shards; returns when the worker has mapped it."""
        try:
            socket.send_fds(self._sock, [b"\0"], [joint])
        except OSError:  # its process has gone, or the session was ended
            raise await self.worker.obituary() from None
        await self._receive()
        self._loop.add_reader(self._sock, self._on_readable)

    async def _receive(self) -> Packet:
        """One packet while the session opens; file descriptors with it are kept."""
        while True:
            await self._readable()
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, RECV_SIZE, MAX_FDS)
            except ConnectionError:
                data, fds = b"", []
            self._fds += fds
            if not data:
                raise await self.worker.obituary()
            packet = self._assembler.feed(data)
            if packet is not None:
                return packet

    async def _readable(self) -> None:
        """Wait for something to read; `close` ends it with the error."""
        waiter = self._opening = self._loop.create_future()
        self._loop.add_reader(self._sock, lambda: None if waiter.done() else waiter.set_result(None))
        try:
            await waiter
        finally:
            if self._sock.fileno() >= 0:
                self._loop.remove_reader(self._sock)

    def _keep(self) -> None:
        """Map the memory that came with the answer to Open, and keep what the client may be handed."""
        if not self._fds:
            msg = "the worker offered no memory"
            raise EnvironmentCrashed(msg)
        memory, *rest = self._fds
        size = os.fstat(memory).st_size
        if fcntl.fcntl(memory, fcntl.F_GET_SEALS) & BOUNDS != BOUNDS or size <= mmap.PAGESIZE:
            msg = "the worker offered memory that can shrink"
            raise EnvironmentCrashed(msg)
        self._memory = mmap.mmap(memory, size, prot=mmap.PROT_READ)
        self._slot_bytes = (size - mmap.PAGESIZE) // SLOTS
        if rest:
            self.local = rest[0], memory
            self.joint = rest[1] if len(rest) > 1 else None
        else:
            self.let_go()

    def let_go(self) -> None:
        """Close what the client might have been handed."""
        while self._fds:
            os.close(self._fds.pop())
        self.local = self.joint = None

    @property
    def in_flight(self) -> int:
        """Requests that wait for their answers."""
        return len(self._running) + len(self._backlog)

    def submit(self, frame: bytes, seq: int, timeout_ms: int, deliver: Deliver) -> None:
        """Send a request on; `deliver` gets its answer.

        Raises:
            ServerFull: Too many requests wait already.
        """
        if self.in_flight >= self._limits.in_flight:
            msg = f"{self.in_flight} requests wait for answers already; read some"
            raise ServerFull(msg, field="seq")
        budget = min(timeout_ms / 1000 or self._limits.step_time_s, self._limits.step_time_s)
        self._backlog.append(_Pending(seq, budget, deliver, frame))
        self._advance()

    def is_busy(self) -> bool:
        """Whether a request is under way, also one that came by the local lane."""
        return bool(self.in_flight) or (self._memory is not None and read_clock(self._memory) > 0)

    def drain(self) -> None:
        """Have the worker refuse what comes by the local lane."""
        self._send(Packet(DRAIN, 0, 0, b""))

    def _advance(self) -> None:
        """Hand requests to the worker while there are free slots."""
        while self._free and self._backlog:
            pending, slot = self._backlog.popleft(), self._free.pop()
            if not self._running:
                self._head_since = time.monotonic()
            self._running.append((slot, pending))
            frame, pending.frame = pending.frame, None
            self._send(Packet(0, slot, 0, frame or b""))

    def _send(self, packet: Packet) -> None:
        for message in messages(packet):
            if not self._outgoing and self._try_send(message):
                continue
            if not self._outgoing:
                self._loop.add_writer(self._sock, self._on_writable)
            self._outgoing.append(message)

    def _try_send(self, message: bytes) -> bool:
        try:
            self._sock.send(message)
        except BlockingIOError:
            return False
        except OSError:  # the worker is gone; the reader will hear of it
            return True
        return True

    def _on_writable(self) -> None:
        while self._outgoing and self._try_send(self._outgoing[0]):
            self._outgoing.popleft()
        if not self._outgoing:
            self._loop.remove_writer(self._sock)

    def _on_readable(self) -> None:
        try:
            message = self._sock.recv(RECV_SIZE)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        try:
            packet = self._assembler.feed(message) if message else None
            if packet is not None:
                self._answer(packet)
        except (ValueError, IndexError):
            message = b""
        if not message:
            self._loop.remove_reader(self._sock)
            self._on_lost(self)

    def _answer(self, packet: Packet) -> None:
        """Join an answer with its payload and deliver it. A packet that breaks the format raises ValueError."""
        slot, pending = self._running[0]
        frame = packet.frame
        if packet.payload:
            if packet.slot != slot or packet.payload > self._slot_bytes:
                msg = "a payload outside its slot"
                raise ValueError(msg)
            frame = frames.join(frame, self._memory, slot * self._slot_bytes, packet.payload)
        self._running.popleft()
        self._free.append(slot)
        self._head_since = time.monotonic()
        self._advance()
        pending.deliver(frame, packet.flags)

    def overdue(self) -> OpenEnvError | None:
        """The error that ends the session if the worker has ignored its own alarm."""
        now = time.monotonic()
        if self._running:
            late = now > self._head_since + self._running[0][1].budget_s + GRACE_S
        else:  # what the local lane brought, the worker alone knows of
            until = 0.0 if self._memory is None else read_clock(self._memory)
            late = 0 < until < now - GRACE_S
        if not late:
            return None
        msg = "the environment did not stop in time and was ended; the session has ended"
        return DeadlineExceeded(msg)

    def close(self, error: OpenEnvError, flags: int) -> None:
        """Answer everything that waits with an error and let go of the worker; once more does nothing."""
        if self._sock.fileno() < 0:
            return
        if self._opening is not None and not self._opening.done():
            self._opening.set_exception(error)
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        waiting = [pending for _, pending in self._running] + list(self._backlog)
        self._running.clear()
        self._backlog.clear()
        self._memory = None
        self.let_go()
        for pending in waiting:
            pending.deliver(status_frame(self.shard, pending.seq, error, ended=True), flags)
