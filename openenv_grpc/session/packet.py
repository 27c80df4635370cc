"""Packets: how frames pass between a worker and whoever drives it, over a SOCK_SEQPACKET socket.

A packet is a prefix and a frame. The driver's prefix names the slot of the shard's memory that the answer's payload
is to be written in: *the driver owns the slots*. The worker's prefix says how many payload bytes it wrote there. A
socket message has a size limit, so a long frame continues in further messages without a prefix.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PREFIX = struct.Struct("<IIQQ")
FRAGMENT = 1 << 16
RECV_SIZE = FRAGMENT + PREFIX.size

FAILED = 1
"""Flag: the answer carries a status instead of a result."""
ENDED = 2
"""Flag: the session has ended with this answer."""
JOINT = 4
"""Flag: the answer's payload is in the memory that all shards of the session share. From a server: here it is."""
DRAIN = 8
"""Flag, from the server to a worker: refuse what comes by the local lane from now on. It has no answer."""
WAITING = 16
"""Flag of a request: its sender does nothing but wait for the answer, on the core that stands for `payload`."""

AWAKE = 32
"""Flag of a request, beside WAITING: its sender waits awake, and had better have that core for itself."""


class Packet(NamedTuple):
    """One frame on its way.

    Attributes:
        flags: FAILED, ENDED, JOINT, DRAIN, WAITING, AWAKE.
        slot: Slot of the shard's memory.
        payload: Bytes of payload in the slot, which follow the frame when it goes on over gRPC.
        frame: The frame, or all of it up to the payload.
    """

    flags: int
    slot: int
    payload: int
    frame: bytes


def messages(packet: Packet) -> list[bytes]:
    """The socket messages of a packet, in order."""
    flags, slot, payload, frame = packet
    prefix = PREFIX.pack(flags, slot, payload, len(frame))
    if len(frame) <= FRAGMENT:
        return [prefix + frame]
    rest = [frame[start : start + FRAGMENT] for start in range(FRAGMENT, len(frame), FRAGMENT)]
    return [prefix + frame[:FRAGMENT], *rest]


class Assembler:
    """Puts packets together again from socket messages.

    Args:
        limit: Longest frame accepted, in bytes.
    """

    def __init__(self, limit: int) -> None:
        """Begin with nothing pending."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._missing = 0
        self._prefix = (0, 0, 0)

    @property
    def is_idle(self) -> bool:
        """Whether no packet has begun that is not complete."""
        return not self._parts

    def feed(self, message: bytes) -> Packet | None:
        """Take one socket message; answer the packet that it completes, if it does.

        Raises:
            ValueError: The message breaks the format; the socket is of no further use.
        """
        if not self._parts:
            if len(message) < PREFIX.size:
                msg = "a packet shorter than its prefix"
                raise ValueError(msg)
            flags, slot, payload, size = PREFIX.unpack_from(message)
            if size > self._limit:
                msg = "a packet larger than the limit"
                raise ValueError(msg)
            message = message[PREFIX.size :]
            if size == len(message):
                return Packet(flags, slot, payload, message)
            self._prefix, self._missing = (flags, slot, payload), size
        self._parts.append(message)
        self._missing -= len(message)
        if self._missing > 0:
            if len(message) != FRAGMENT:
                msg = "a piece that is shorter than it must be"
                raise ValueError(msg)
            return None
        if self._missing < 0:
            msg = "a packet longer than it said"
            raise ValueError(msg)
        frame = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = []
        return Packet(*self._prefix, frame)
