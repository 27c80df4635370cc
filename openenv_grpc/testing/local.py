"""The local lane as bare sockets and memory, read by the rule in session.proto and by nothing else."""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from openenv_grpc.testing.carriers import Stream
from openenv_grpc.testing.case import Violation
from openenv_grpc.testing.messages import blocks, end_of
from openenv_grpc.testing.rows import OUTCOME
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message

    from openenv_grpc.v1 import spec_pb2

PREFIX = struct.Struct("<IIQQ")
FRAGMENT = 1 << 16
JOINT = 4


def lane_path(address: str) -> str | None:
    """The second socket of a server; None where it has none."""
    path = address.removeprefix("unix:") + ".local"
    return path if address.startswith("unix:") and os.path.exists(path) else None


class _Shard:
    """One shard's socket and memory.

    Attributes:
        waiting: Requests that wait for a free slot.
        flying: Slots of those that are under way.
    """

    def __init__(self, sock: socket.socket, memory: mmap.mmap, slot_bytes: int, lanes: range) -> None:
        self.sock = sock
        self.memory = memory
        self.slot_bytes = slot_bytes
        self.lanes = lanes
        self.waiting: deque[bytes] = deque()
        self.flying: deque[int] = deque()
        self.parts: list[bytes] = []


class Local(Stream):
    """A session on its stream until it is open, and on its local lane then.

    Args:
        channel: A gRPC channel.
        path: The second socket.
        timeout_s: Seconds that one answer may take.
        metadata: What the call carries.
    """

    def __init__(self, channel: Any, path: str, timeout_s: float, metadata: Any = None) -> None:
        """Begin the call; nothing is sent yet."""
        super().__init__(channel, timeout_s, metadata)
        self._path = path
        self._shards: list[_Shard] = []
        self._slots = 0
        self._joint: mmap.mmap | None = None
        self._opening = session_pb2.Open()
        self._opened = session_pb2.Opened()

    # -- sending --------------------------------------------------------------------------------------------------

    def send(self, request: Message | bytes) -> None:
        """Send a request, or bytes that are none: by the lane once it is there, save for the session's end."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        try:
            known = session_pb2.SessionRequest.FromString(data)
        except DecodeError:
            known = session_pb2.SessionRequest()
        if not self._shards or known.HasField("close"):
            self._opening = known.open if known.HasField("open") else self._opening
            super().send(data)
            return
        shard = self._shards[known.shard if known.shard < len(self._shards) else 0]
        shard.waiting.append(data)
        self._advance(shard)

    def _advance(self, shard: _Shard) -> None:
        while shard.waiting and len(shard.flying) < self._slots:
            slot = next(slot for slot in range(self._slots) if slot not in shard.flying)
            shard.flying.append(slot)
            data = shard.waiting.popleft()
            message = PREFIX.pack(0, slot, 0, len(data)) + data
            cut = PREFIX.size + FRAGMENT
            with contextlib.suppress(ConnectionError):  # the worker has gone; the stream says why
                shard.sock.send(message[:cut])
                for start in range(cut, len(message), FRAGMENT):
                    shard.sock.send(message[start : start + FRAGMENT])

    # -- receiving ------------------------------------------------------------------------------------------------

    def receive(self, what: str = "an answer") -> session_pb2.SessionResponse:
        """The next answer, by whichever way it comes.

        Raises:
            Violation: None came in time, or it cannot be read.
        """
        if not self._shards:
            response = super().receive(what)
            if response.open.HasField("local_lane"):
                self._take_over(response.open)
            return response
        end = time.monotonic() + self._timeout_s
        while time.monotonic() < end:
            if not self._incoming.empty():
                return super().receive(what)
            data = self._look(0.02)
            if data is not None:
                self.last = data
                try:
                    return session_pb2.SessionResponse.FromString(data)
                except DecodeError:
                    msg = "a SessionResponse"
                    raise Violation(msg, f"{len(data)} bytes that are none") from None
        raise Violation(what, f"nothing within {self._timeout_s:g} s")

    def _look(self, seconds: float) -> bytes | None:
        """The next answer of a shard, whole, if one comes."""
        open_shards = {shard.sock.fileno(): shard for shard in self._shards if shard.sock.fileno() >= 0}
        if not open_shards:
            time.sleep(seconds)
        for fd in select.select(list(open_shards), [], [], seconds)[0] if open_shards else []:
            shard = open_shards[fd]
            message = shard.sock.recv(FRAGMENT + PREFIX.size)
            if not message:
                shard.sock.close()
                continue
            shard.parts.append(message)
            flags, slot, payload, size = PREFIX.unpack_from(shard.parts[0])
            if sum(map(len, shard.parts)) < PREFIX.size + size:
                continue
            head, shard.parts = b"".join(shard.parts)[PREFIX.size :], []
            if not shard.flying or shard.flying.popleft() != slot:
                msg = "the answer in the slot of its request"
                raise Violation(msg, f"slot {slot}")
            self._advance(shard)
            return head + self._payload(shard, flags, slot, payload)
        return None

    def _payload(self, shard: _Shard, flags: int, slot: int, size: int) -> bytes:
        begin = slot * shard.slot_bytes
        own = shard.memory[begin : begin + size]
        if not flags & JOINT:
            return own
        if self._joint is None:
            msg = "no answer in joint memory, since there is none"
            raise Violation(msg, "one")
        wanted = self._opening.fields
        columns = [*OUTCOME, *(c for c in self._opened.spec.observation if not wanted or c.name in wanted)]
        at, lanes = slot * self._opened.local_lane.joint_slot_bytes, sum(each.lanes for each in self._opened.shards)
        whole = self._joint[at : at + end_of(columns, lanes)]
        return _rows(columns, whole, lanes, shard.lanes) + own[end_of(columns, len(shard.lanes)) :]

    @property
    def answered(self) -> bool:
        """Whether something has come that is not taken yet."""
        sockets = [shard.sock for shard in self._shards if shard.sock.fileno() >= 0]
        return super().answered or bool(sockets and select.select(sockets, [], [], 0)[0])

    # -- the handover ---------------------------------------------------------------------------------------------

    def _take_over(self, opened: session_pb2.Opened) -> None:
        lane, self._opened = opened.local_lane, opened
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(self._timeout_s)
            sock.connect(self._path)
            sock.send(lane.token)
            for given, slot_bytes in zip(opened.shards, lane.slot_bytes, strict=True):
                end, memory = _receive(sock, b"\1", 2)
                lanes = range(given.first_lane, given.first_lane + given.lanes)
                mapped = _map(memory, lane.slots * slot_bytes)
                self._shards.append(_Shard(socket.socket(fileno=end), mapped, slot_bytes, lanes))
            if lane.joint_slot_bytes:
                (memory,) = _receive(sock, b"\2", 1)
                self._joint = _map(memory, lane.slots * lane.joint_slot_bytes)
        self._slots = lane.slots

    def close(self) -> None:
        """Break everything off."""
        for shard in self._shards:
            shard.sock.close()
        super().close()


def _receive(sock: socket.socket, kind: bytes, count: int) -> list[int]:
    message, fds, _, _ = socket.recv_fds(sock, 16, 8, socket.MSG_CMSG_CLOEXEC)
    if message != kind or len(fds) != count:
        msg = f"a message {kind!r} with {count} file descriptors"
        raise Violation(msg, f"{message!r} with {len(fds)}")
    return fds


def _map(fd: int, size: int) -> mmap.mmap:
    try:
        return mmap.mmap(fd, size, prot=mmap.PROT_READ)
    finally:
        os.close(fd)


def _rows(columns: Sequence[spec_pb2.ColumnSpec], whole: bytes, lanes: int, rows: range) -> bytes:
    """The payload of some rows, from the payload of all lanes."""
    payload = bytearray(end_of(columns, len(rows)))
    here, there = blocks(columns, len(rows)), blocks(columns, lanes)
    for (_, start, end), (_, begin, _) in zip(here, there, strict=True):
        row = (end - start) // len(rows)
        payload[start:end] = whole[begin + rows.start * row : begin + rows.stop * row]
    return bytes(payload)
