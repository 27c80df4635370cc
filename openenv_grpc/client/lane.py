"""The client's end of a session's local lane: the sockets to its workers, the memory they answer in, and its slots.

Nothing here waits. What comes from the server's side is hostile until it is checked: slots and sizes before they are
used, and the contents of memory may change while they are read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import MalformedFrame, SessionLost
from openenv_grpc.scheduling import current_core
from openenv_grpc.session.packet import AWAKE, JOINT, RECV_SIZE, WAITING, Assembler, Packet, messages

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from openenv_grpc.session.client import ClientCore
    from openenv_grpc.session.local import LocalTerms

COPY_BELOW = 1 << 14
"""Payloads shorter than that are copied: it costs less than keeping account of who looks at them."""


class _Slots:
    """Those of one shard.

    Attributes:
        flying: Slots of requests that wait for their answers, the oldest first.
        seen: By slot, where it was written, weak references to the memory that results are views of.
        last: The slot that was answered last.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.flying: deque[int] = deque()
        self.seen: dict[int, list[weakref.ref[NDArray[Any]]]] = {}
        self.last = -1

    def is_looked_at(self, slot: int) -> bool:
        return any(base() is not None for base in self.seen.get(slot, ()))

    def is_crowded(self) -> bool:
        """Whether nearly all slots are looked at."""
        most = self.count - 3
        return len(self.seen) > most and sum(map(self.is_looked_at, self.seen)) > most


class LocalLane:
    """Sockets and memory of all shards.

    Args:
        core: The session.
        terms: What the server has said about its local lane.
        sockets: Connected SOCK_SEQPACKET sockets, one per shard.
        memories: The shards' memories, mapped.
        joint: Joint memory, mapped; None where there is none.
        copy: Whether results stay as they are for as long as anybody looks at them. Otherwise they are overwritten
            once the next answer of the same shard was received.

    Safe to use from several threads. A call that is interrupted in its middle (Ctrl-C) ends the session, unless it is
    certain that nothing was lost.

    Attributes:
        sockets: The same.
        wake_fd: An eventfd that tells whoever waits for the sockets that there is something to write.
        unsent: By shard, messages that its socket has not taken yet.
    """

    def __init__(
        self,
        core: ClientCore,
        terms: LocalTerms,
        sockets: Sequence[socket.socket],
        memories: Sequence[mmap.mmap],
        joint: mmap.mmap | None,
        *,
        copy: bool,
    ) -> None:
        """All slots are free."""
        self.sockets = sockets
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._close_all = weakref.finalize(self, _close, sockets, self.wake_fd)
        self._close_all.atexit = False
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._half_done = ""
        self._shards = core.shards
        self._layout = core.layout
        self._terms = terms
        self._memories = memories
        self._joint = joint
        self._copy = copy
        self._lanes = core.lanes
        self._slots = [_Slots(terms.slots) for _ in sockets]
        self._torn = [False] * len(sockets)
        self._queued: list[deque[bytes]] = [deque() for _ in sockets]
        self.unsent: list[deque[bytes]] = [deque() for _ in sockets]
        self._assemblers = [Assembler(min(core.limits.message_bytes, core.max_message_bytes)) for _ in sockets]
        self._joint_bases: list[weakref.ref[NDArray[Any]] | None] = [None] * terms.slots
        self._pinned: list[NDArray[Any]] = []
        _LANES.add(self)

    # -- sending --------------------------------------------------------------------------------------------------

    def submit(self, shards: Sequence[int], requests: Sequence[bytes], core: int = -1, *, awake: bool = False) -> None:
        """Send the frames of one call, all in the same slot if there is one, so that their answers lie together.

        Args:
            shards: The shard of each frame.
            requests: The frames.
            core: The core on which the caller waits for the answer, doing nothing else; -1 if it does not.
            awake: It does so without sleeping.

        Raises:
            SessionLost: A call before was interrupted (Ctrl-C) while it was being sent.
        """
        with self._lock:
            self._begin("a request was being sent")
            flags = 0 if core < 0 else WAITING | AWAKE if awake else WAITING
            flushed = self._submit(shards, requests, flags, max(core, 0))
            self._half_done = ""
            if not flushed:
                os.eventfd_write(self.wake_fd, 1)

    def _begin(self, what: str) -> None:
        """Fail where somebody was interrupted in the middle, whose work cannot be told done from not done."""
        if self._half_done:
            msg = f"interrupted while {self._half_done}; open a new session"
            raise SessionLost(msg)
        self._half_done = what

    def _submit(self, shards: Sequence[int], requests: Sequence[bytes], flags: int, core: int) -> bool:
        """Whether the sockets have taken all of it."""
        slot, flushed = self._free_slot(shards), True
        pairs = zip(shards, requests, strict=True)
        for shard, request in self._in_order(pairs) if len(shards) > 1 else pairs:
            if slot is None or self._queued[shard]:
                self._queued[shard].append(request)
                self._advance(shard)
                flushed &= not self.unsent[shard]
            else:
                flushed &= self._send(shard, slot, request, flags, core)
        return flushed

    def _in_order(self, pairs: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Our own core's worker last: it may take the core at once, and those after it would be sent a step later."""
        here, cores = current_core(), self._terms.cores
        return sorted(pairs, key=lambda pair: cores[pair[0]] == here)

    def _free_slot(self, shards: Sequence[int]) -> int | None:
        """The first slot that is free in all these shards: in lock step always the same one or two, warm in caches."""
        for slot in range(self._terms.slots):
            for shard in shards:
                if not self._is_free(shard, slot):
                    break
            else:
                return slot
        return None

    def _is_free(self, shard: int, slot: int) -> bool:
        slots = self._slots[shard]
        kept = slots.is_looked_at(slot) if self._copy else slot == slots.last
        return not kept and slot not in slots.flying

    def _advance(self, shard: int) -> None:
        """Send what waits for a free slot."""
        while self._queued[shard]:
            slot = self._free_slot((shard,))
            if slot is None:
                return
            self._send(shard, slot, self._queued[shard].popleft())

    def _send(self, shard: int, slot: int, request: bytes, flags: int = 0, core: int = 0) -> bool:
        self._slots[shard].flying.append(slot)
        self.unsent[shard].extend(messages(Packet(flags, slot, core, request)))
        return self._flush(shard)

    def flush(self, shard: int) -> bool:
        """Write what the socket takes; whether that was all.

        Raises:
            SessionLost: As `submit`.
        """
        with self._lock:
            self._begin("a request was being sent")
            done = self._flush(shard)
            self._half_done = ""
        return done

    def _flush(self, shard: int) -> bool:
        unsent = self.unsent[shard]
        try:
            while unsent:
                self.sockets[shard].send(unsent[0], socket.MSG_DONTWAIT)
                unsent.popleft()
        except BlockingIOError:
            return False
        except OSError:  # the worker is gone; whoever reads will hear of it
            unsent.clear()
        return True

    # -- receiving ------------------------------------------------------------------------------------------------

    def receive(self, shard: int) -> bytes | frames.Apart | None:
        """Read one message of a shard's socket; the answer that it completes, if it does.

        Raises:
            EOFError: The socket has ended.
            MalformedFrame: As `take`.
            SessionLost: As `submit`, or a long answer lost a piece that way.
        """
        with self._lock:
            if self._torn[shard] and not self._assemblers[shard].is_idle:
                msg = "interrupted while a long answer was being received; open a new session"
                raise SessionLost(msg)
            self._torn[shard] = True
            try:
                message = self.sockets[shard].recv(RECV_SIZE, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._torn[shard] = False
                return None
            except OSError:
                message = b""
            if not message:
                raise EOFError
            self._begin("an answer was being received")
            found = self._take(shard, message)
            self._torn[shard], self._half_done = False, ""
        return found

    def take(self, shard: int, message: bytes) -> bytes | frames.Apart | None:
        """The answer that a message of a shard's socket completes, if it does.

        Raises:
            MalformedFrame: The message breaks the format, or names a slot or a size that cannot be.
        """
        with self._lock:
            return self._take(shard, message)

    def _take(self, shard: int, message: bytes) -> bytes | frames.Apart | None:
        try:
            packet = self._assemblers[shard].feed(message)
        except ValueError as error:
            raise MalformedFrame(str(error), field="local_lane") from None
        if packet is None or not self._memories:  # closed by another thread
            return None
        self._land(shard, packet)
        answer = self._read(shard, packet) if packet.payload else packet.frame
        self._advance(shard)
        return answer

    def _land(self, shard: int, packet: Packet) -> None:
        """Answers come in order; a request before this one whose answer was lost (Ctrl-C) has none any more."""
        slots = self._slots[shard]
        if packet.slot not in slots.flying or packet.payload > self._terms.slot_bytes[shard]:
            msg = "an answer in a slot that is not its own, or beyond it"
            raise MalformedFrame(msg, field="local_lane")
        if packet.flags & JOINT and self._joint is None:
            msg = "an answer in joint memory, which there is not"
            raise MalformedFrame(msg, field="local_lane")
        while slots.flying.popleft() != packet.slot:
            pass
        slots.seen.pop(packet.slot, None)
        slots.last = packet.slot

    def _read(self, shard: int, packet: Packet) -> bytes | frames.Apart:
        slot, size = packet.slot, packet.payload
        joint = self._joint_of(shard, slot) if packet.flags & JOINT else None
        slots = self._slots[shard]
        step = self._terms.slot_bytes[shard]
        if (size < COPY_BELOW and joint is None) or (self._copy and slots.is_crowded()):
            return self._copied(packet, self._memories[shard], slot * step, joint)
        memory = np.ndarray((step,), np.uint8, self._memories[shard], slot * step)
        if self._copy:
            bases = [memory] if joint is None else [memory, joint.buffer]
            slots.seen[slot] = [weakref.ref(base) for base in bases]
        return frames.Apart(packet.frame, memory, size, joint)

    def _joint_of(self, shard: int, slot: int) -> frames.Joint:
        """Joint memory of a slot: the same array for all shards whose results may become one."""
        step = self._terms.joint_slot_bytes
        known = self._joint_bases[slot]
        base = None if known is None else known()
        if base is None:
            base = np.ndarray((step,), np.uint8, self._joint, slot * step)
            self._joint_bases[slot] = weakref.ref(base)
        return frames.Joint(base, self._lanes, self._shards[shard])

    def _copied(self, packet: Packet, memory: mmap.mmap, at: int, joint: frames.Joint | None) -> bytes:
        """A whole frame of its own."""
        if joint is None:
            return frames.join(packet.frame, memory, at, packet.payload)
        rows, layout = joint.rows, self._layout
        whole = layout.main.views(joint.buffer, 0, joint.lanes)
        part = {name: view[rows.start : rows.stop] for name, view in whole.items()}
        main = layout.main.join(part, len(rows))
        tail_at = layout.final_offset(len(rows))
        tail = memory[at + tail_at : at + packet.payload] if packet.payload > len(main) else b""
        return b"".join((packet.frame, main, bytes(tail_at - len(main)) if tail else b"", tail))

    def close(self) -> None:
        """Let go of everything, as forgetting the lane does. Results keep the memory that they lie in."""
        self.shut()
        with self._lock:
            self._close_all()
            self._memories, self._joint = (), None

    def pin(self) -> None:
        """Keep everything that is looked at as it is, for ever."""
        refs = {id(ref): ref for slots in self._slots for seen in list(slots.seen.values()) for ref in seen}
        self._pinned += [base for ref in refs.values() if (base := ref()) is not None]

    def shut(self) -> None:
        """Have whoever waits for a socket see its end, from any thread; not from a forked child, whose they are not."""
        for sock in self.sockets if os.getpid() == self._owner else ():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _close(sockets: Sequence[socket.socket], wake_fd: int) -> None:
    for sock in sockets:
        sock.close()
    os.close(wake_fd)


_LANES: weakref.WeakSet[LocalLane] = weakref.WeakSet()


def _keep_for_child() -> None:
    """A forked child sees the same memory, and nobody could tell when it stops looking: never write that again."""
    for lane in list(_LANES):
        lane.pin()


os.register_at_fork(before=_keep_for_child)
