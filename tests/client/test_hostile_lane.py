"""A hostile server's local lane: wrong file descriptors, slots and sizes, and memory that changes while it is read."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import mmap
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openenv_grpc.client.handover import take_over
from openenv_grpc.client.lane import LocalLane
from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import MalformedFrame
from openenv_grpc.session.local import BOUNDS, HANDED_SHARD, REFUSED, SHAREABLE, LocalTerms, read_terms
from openenv_grpc.session.packet import JOINT, Packet, messages
from openenv_grpc.v1 import session_pb2
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.processes import descriptors

SLOT = 1 << 20
TERMS = LocalTerms(b"token", 4, (SLOT,), 0, (-1,))
SIZE = 4 * SLOT


def memfd(size: int = SIZE, seals: int = SHAREABLE, flags: int = os.MFD_ALLOW_SEALING) -> int:
    fd = os.memfd_create("hostile", flags)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def seqpacket() -> int:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    return ours.detach()


def pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


def plain_file(path: Path) -> int:
    path.write_bytes(bytes(SIZE))
    return os.open(path, os.O_RDWR)


@contextlib.contextmanager
def handing(path: Path, given: Sequence[tuple[bytes, Sequence[int]]]) -> Iterator[str]:
    """A second socket that hands out what it is told to, to one client, and closes its own copies."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        sock, _ = listener.accept()
        with sock, contextlib.suppress(ConnectionError):
            sock.recv(100)
            for message, fds in given:
                socket.send_fds(sock, [message], list(fds)) if fds else sock.send(message)
            sock.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield str(path)
    finally:
        thread.join(5)
        listener.close()
        for fd in {fd for _, fds in given for fd in fds}:
            os.close(fd)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(BareEnvironment, 1, 1, vector=True, size=30_000)


def wrong_fds(path: Path) -> dict[str, Callable[[], list[tuple[bytes, list[int]]]]]:
    return {
        "unsealed": lambda: [(HANDED_SHARD, [seqpacket(), memfd(seals=0)])],
        "may shrink": lambda: [(HANDED_SHARD, [seqpacket(), memfd(seals=SHAREABLE & ~fcntl.F_SEAL_SHRINK)])],
        "may be written": lambda: [(HANDED_SHARD, [seqpacket(), memfd(seals=BOUNDS | fcntl.F_SEAL_SEAL)])],
        "short": lambda: [(HANDED_SHARD, [seqpacket(), memfd(SIZE - 1)])],
        "empty": lambda: [(HANDED_SHARD, [seqpacket(), memfd(0)])],
        "a plain file": lambda: [(HANDED_SHARD, [seqpacket(), plain_file(path)])],
        "a pipe": lambda: [(HANDED_SHARD, [seqpacket(), pipe()])],
        "a memfd as the socket": lambda: [(HANDED_SHARD, [memfd(), memfd()])],
        "a stream socket": lambda: [(HANDED_SHARD, [socket.socket(socket.AF_UNIX).detach(), memfd()])],
        "an internet socket": lambda: [(HANDED_SHARD, [socket.socket().detach(), memfd()])],
        "one too few": lambda: [(HANDED_SHARD, [seqpacket()])],
        "far too many": lambda: [(HANDED_SHARD, [memfd() for _ in range(8)])],
        "another message": lambda: [(b"\7", [seqpacket(), memfd()])],
    }


@pytest.mark.parametrize("kind", wrong_fds(Path()))
def test_wrong_descriptors_are_refused_and_closed(pair: Pair, tmp_path: Path, kind: str):
    gc.collect()
    before = descriptors(os.getpid())
    with handing(tmp_path / "s", wrong_fds(tmp_path / "file")[kind]()) as path:
        with pytest.raises(MalformedFrame) as caught:
            take_over(path, pair.client, TERMS, copy=True)
        assert caught.value.field == "local_lane"
        assert str(tmp_path) not in str(caught.value)
        del caught  # its traceback holds what was mapped
        gc.collect()
    assert descriptors(os.getpid()) <= before


def test_huge_pages_are_refused(pair: Pair, tmp_path: Path):
    try:
        fd = memfd(SIZE, flags=os.MFD_ALLOW_SEALING | os.MFD_HUGETLB)
    except OSError:
        pytest.skip("this kernel makes no memfd of huge pages")
    with handing(tmp_path / "s", [(HANDED_SHARD, [seqpacket(), fd])]) as path, pytest.raises(MalformedFrame):
        take_over(path, pair.client, TERMS, copy=True)


@pytest.mark.parametrize("given", [[(REFUSED, [])], [(HANDED_SHARD, [])], []], ids=["refused", "no descriptors", "end"])
def test_what_is_not_handed_over_is_done_without(pair: Pair, tmp_path: Path, given: Any):
    with handing(tmp_path / "s", given) as path:
        assert take_over(path, pair.client, TERMS, copy=True) is None
    assert take_over(str(tmp_path / "nobody"), pair.client, TERMS, copy=True) is None


@pytest.mark.parametrize(
    "change",
    [
        {"token": b""},
        {"token": b"x" * 65},
        {"slots": 0},
        {"slots": 1 << 31},
        {"slot_bytes": []},
        {"slot_bytes": [1, 1]},
        {"slot_bytes": [0]},
        {"slot_bytes": [1 << 63]},
        {"joint_slot_bytes": 1 << 62},
    ],
    ids=str,
)
def test_terms_that_cannot_be_are_refused(change: dict[str, Any]):
    good = {"token": b"x", "slots": 4, "slot_bytes": [4096], "joint_slot_bytes": 0}
    assert read_terms(session_pb2.LocalLane(**good), [range(1)], 1 << 20).slots == 4
    with pytest.raises(MalformedFrame) as caught:
        read_terms(session_pb2.LocalLane(**good | change), [range(1)], 1 << 20)
    assert caught.value.field == "open.local_lane"


# -- what comes by the lane -------------------------------------------------------------------------------------------


class Hostile:
    """A lane whose worker is the test: it writes memory and sends messages as it likes."""

    def __init__(self, pair: Pair, *, copy: bool = True, joint: bool = False) -> None:
        self.pair = pair
        self.mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = memfd(seals=BOUNDS)
        self.memory = mmap.mmap(fd, SIZE)
        read_only = mmap.mmap(fd, SIZE, prot=mmap.PROT_READ)
        os.close(fd)
        terms = LocalTerms(b"x", 4, (SLOT,), SLOT if joint else 0, (-1,))
        self.lane = LocalLane(pair.client, terms, [theirs], [read_only], read_only if joint else None, copy=copy)

    def ask(self, call: Any) -> int:
        """Send a call; its slot."""
        self.lane.submit(call.shards, call.frames)
        return int.from_bytes(self.mine.recv(1 << 17)[4:8], "little")

    def answer(self, call: Any, slot: int, /, **changes: Any) -> Any:
        """Have the shard's core answer, in its own memory, and pass it on with changes."""
        packet = self.pair.shards[0].core.handle(call.frames[0], 0)
        begin = slot * SLOT
        self.memory[begin : begin + packet.payload] = self.pair.shards[0].memory.map[: packet.payload]
        return self.lane.take(0, messages(packet._replace(**{"slot": slot} | changes))[0])

    def close(self) -> None:
        self.lane.close()
        self.mine.close()


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    found = Hostile(Pair(BareEnvironment, 1, 1, vector=True, size=30_000))
    yield found
    found.close()


def test_a_good_answer(hostile: Hostile):
    call = hostile.pair.client.reset()
    hostile.pair.client.receive(hostile.answer(call, hostile.ask(call)))
    assert (call.result().observation.pixels == 0).all()


@pytest.mark.parametrize(
    "changes",
    [{"slot": 1}, {"slot": 4}, {"slot": 0xFFFF_FFFF}, {"payload": SLOT + 1}, {"payload": 1 << 63}, {"flags": JOINT}],
    ids=str,
)
def test_a_slot_or_a_size_that_cannot_be(hostile: Hostile, changes: dict[str, Any]):
    call = hostile.pair.client.reset()
    slot = hostile.ask(call)
    with pytest.raises(MalformedFrame) as caught:
        hostile.answer(call, slot, **changes)
    assert caught.value.field == "local_lane"


def test_the_same_answer_twice(hostile: Hostile):
    call = hostile.pair.client.reset()
    slot = hostile.ask(call)
    hostile.answer(call, slot)
    with pytest.raises(MalformedFrame):
        hostile.answer(call, slot)


@pytest.mark.parametrize("change", [{"payload": 4096}, {"payload": SLOT}, {"payload": 0}], ids=str)
def test_a_payload_of_another_size_than_the_frame_says(hostile: Hostile, change: dict[str, Any]):
    call = hostile.pair.client.reset()
    hostile.pair.client.receive(hostile.answer(call, hostile.ask(call), **change))
    with pytest.raises(MalformedFrame, match=r"size|length|field 1000"):
        call.result()


@pytest.mark.parametrize("message", [b"", b"\0", bytes(23), b"\xff" * 24, b"\xff" * 100], ids=len)
def test_messages_that_are_no_packets(hostile: Hostile, message: bytes):
    hostile.ask(hostile.pair.client.reset())
    with pytest.raises(MalformedFrame):
        hostile.lane.take(0, message)


@pytest.mark.parametrize("head", [b"", b"\x0d", b"\x0d\xff\xff\xff\xff", b"\xff" * 30, b"\x0d\5\0\0\0\xc2\x3e\x05"])
def test_frames_that_end_elsewhere(head: bytes):
    apart = frames.Apart(head, np.zeros(10, np.uint8), 10)
    with pytest.raises(MalformedFrame):
        frames.decode_apart(apart, session_pb2.SessionResponse, 1 << 20)


def test_memory_that_changes_while_it_is_read():
    """Numbers and truth values were copied before they were checked; pixels may change, and do no harm."""
    found = Hostile(Pair(ProbeEnvironment, 1, 1, vector=True, joints=20_000))
    for begin, *arguments in ((found.pair.client.reset,), (found.pair.client.step, [blank("on", 20_000)])):
        call = begin(*arguments)
        slot = found.ask(call)
        answer = found.answer(call, slot)
        assert isinstance(answer, frames.Apart)
        found.pair.client.receive(answer)
        result = call.result()
        truth = [result.terminated, result.truncated, result.observation.mask, result.observation.flag]
        before = [array.tolist() for array in (*truth, result.reward, result.observation.level)]
        found.memory[:] = b"\xff" * SIZE
        assert [array.tolist() for array in (*truth, result.reward, result.observation.level)] == before
        assert all(np.count_nonzero(array) <= array.size for array in truth)
        assert not result.observation.force.flags.writeable
    found.close()


def test_truth_values_in_shared_memory_are_checked():
    found = Hostile(Pair(ProbeEnvironment, 1, 1, vector=True, joints=20_000))
    call = found.pair.client.reset()
    slot = found.ask(call)
    answer = found.answer(call, slot)
    found.memory[slot * SLOT + 64] = 2  # terminated
    found.pair.client.receive(answer)
    with pytest.raises(MalformedFrame, match="terminated"):
        call.result()
    found.close()


def test_a_lane_that_ends_with_half_a_packet(hostile: Hostile):
    hostile.ask(hostile.pair.client.reset())
    first = messages(Packet(0, 0, 0, b"x" * 200_000))[0]
    assert hostile.lane.take(0, first) is None
