"""The local lane as both sides agree on it: terms, the second socket's path, seals. The rule is in session.proto."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import MalformedFrame

if TYPE_CHECKING:
    from collections.abc import Sequence

SLOTS = 6
"""Slots of each memory: two for requests under way, the rest for results that a caller still looks at. One that was
never written costs nothing."""
MAX_SLOTS = 64
"""More than that from a server is refused."""
MAX_JOINT_BYTES = 1 << 30
"""Longest slot of joint memory; beyond it the rows of several shards are copied together."""
JOINT_FROM = 1 << 16
"""Shortest one: below it, copying rows costs less than keeping account of who looks at them."""
SUFFIX = ".local"
HANDED_SHARD, HANDED_JOINT, REFUSED = b"\1", b"\2", b"\0"
MAX_TOKEN = 64

SEAL_FUTURE_WRITE = 0x10
"""F_SEAL_FUTURE_WRITE of Linux 5.1, which Python's fcntl names from 3.13 on: mappings made until then stay writable."""
BOUNDS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
SHAREABLE = BOUNDS | SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
"""What memory must be sealed against before it leaves the server."""


@dataclass(frozen=True)
class LocalTerms:
    """What a server says about a session's local lane.

    Attributes:
        token: Shown when the client connects to the second socket.
        slots: Slots of each memory.
        slot_bytes: Bytes of one slot of each shard's memory.
        joint_slot_bytes: Bytes of one slot of joint memory; 0 where there is none.
        cores: The core that each shard's worker keeps to, -1 for none.
    """

    token: bytes
    slots: int
    slot_bytes: tuple[int, ...]
    joint_slot_bytes: int
    cores: tuple[int, ...]


def path_of(address: str) -> str | None:
    """Where the second socket of a server lies; None where there cannot be one."""
    path = address.removeprefix("unix:") + SUFFIX
    return path if address.startswith("unix:/") and len(path.encode()) <= 107 else None


def read_terms(message: Any, shards: Sequence[range], limit: int) -> LocalTerms:
    """The terms of a server.

    Args:
        message: LocalLane.
        shards: The session's shards.
        limit: Bytes of one message.

    Raises:
        MalformedFrame: They cannot be.
    """
    cores = tuple(message.cores) or (-1,) * len(shards)
    terms = LocalTerms(message.token, message.slots, tuple(message.slot_bytes), message.joint_slot_bytes, cores)
    good = (
        1 <= len(terms.token) <= MAX_TOKEN
        and 2 <= terms.slots <= MAX_SLOTS
        and len(terms.slot_bytes) == len(terms.cores) == len(shards)
        and all(0 < size <= limit + (1 << 16) for size in terms.slot_bytes)
        and terms.joint_slot_bytes <= MAX_JOINT_BYTES + (1 << 16)
    )
    if not good:
        msg = "the terms of the local lane cannot be"
        raise MalformedFrame(msg, field="open.local_lane")
    return terms
