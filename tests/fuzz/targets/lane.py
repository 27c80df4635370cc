"""What comes by the local lane: messages of workers, good and spoilt, with slots, sizes and memory that may be lies.

What may happen: one of the library's errors. What may not: any other exception; and as long as nothing was spoilt, a
result that is not the environment's, or one that was kept and has changed.
"""

from __future__ import annotations

import functools
import mmap
import socket
from typing import Any

import numpy as np

import tests.helpers.packages  # noqa: F401 - makes the environments' messages
from openenv_grpc.client.lane import LocalLane
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.session.local import LocalTerms
from openenv_grpc.session.packet import RECV_SIZE, Assembler, Packet, messages
from openenv_grpc.session.transition import JointMemory
from openenv_grpc.specs import AutoresetMode
from tests.environments_for_tests.bare import BareEnvironment
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil
from tests.helpers.pair import Pair

SLOTS, PIXELS = 4, 40_000


@functools.cache
def pairs() -> list[Pair]:
    """Sessions of two shards, of one, and of one whose payloads are short."""
    made = [Pair(BareEnvironment, lanes, shards, mode=AutoresetMode.SAME_STEP, vector=True, size=size)
            for lanes, shards, size in ((3, 2, PIXELS), (2, 1, PIXELS), (1, 1, 8))]  # fmt: skip
    joint = mmap.mmap(-1, SLOTS << 20)
    for shard in made[0].shards:
        lanes = [lane.index for lane in shard.lanes]
        shard.core.writer.joint = JointMemory(joint, 1 << 20, 3, lanes[0], len(lanes))
    return made


class Worker:
    """The far ends of a lane's sockets, and the cores behind them."""

    def __init__(self, pair: Pair, *, copy: bool) -> None:
        self.pair = pair
        ends = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in pair.shards]
        self.ends = [ours for ours, _ in ends]
        for end in self.ends:
            end.setblocking(False)
        joint = pair.shards[0].core.writer.joint
        sizes = tuple(shard.memory.slot_bytes for shard in pair.shards)
        joint_bytes = 0 if joint is None else joint.slot_bytes
        terms = LocalTerms(b"x", 2, sizes, joint_bytes, (-1,) * len(sizes))  # the shards' memories have two slots
        memories, shared = [shard.memory.map for shard in pair.shards], None if joint is None else joint.map
        self.lane = LocalLane(pair.client, terms, [theirs for _, theirs in ends], memories, shared, copy=copy)
        self.assemblers = [Assembler(1 << 20) for _ in ends]

    def answer(self, shard: int) -> Packet | None:
        """Carry out the next request of a shard, if there is one."""
        try:
            packet = self.assemblers[shard].feed(self.ends[shard].recv(RECV_SIZE))
        except BlockingIOError:
            return None
        assert packet is not None
        return self.pair.shards[shard].core.handle(packet.frame, packet.slot, local=True)

    def close(self) -> None:
        self.lane.close()
        for end in self.ends:
            end.close()


def one_input(data: bytes) -> None:
    source = Source(data)
    pair = source.pick(pairs())
    joints = [shard.core.writer.joint for shard in pair.shards]
    pair.rewind()
    for shard, joint in zip(pair.shards, joints, strict=True):
        shard.core.writer.joint = joint
    worker = Worker(pair, copy=not source.flag(4))
    try:
        _converse(source, worker)
    except OpenEnvError:
        pass
    finally:
        worker.close()


def _converse(source: Source, worker: Worker) -> None:
    client, spoilt, kept = worker.pair.client, False, []
    waiting = [client.reset()]
    worker.lane.submit(waiting[0].shards, waiting[0].frames)
    for _ in range(2 + source.below(12)):
        if source.flag(3) and all(call.done for call in waiting):
            call = _call(source, client)
            waiting.append(call)
            worker.lane.submit(call.shards, call.frames)
        shard = source.below(len(worker.ends))
        packet = worker.answer(shard)
        if packet is None and not source.flag(8):
            continue
        lie = source.flag(6) or packet is None
        spoilt |= lie
        for message in _lies(source, packet) if lie else messages(packet or Packet(0, 0, 0, b"")):
            found = worker.lane.take(shard, message)
            if found is not None:
                client.receive(found)
        for call in [call for call in waiting if call.done]:
            waiting.remove(call)
            kept.append((result := call.result(), result.observation.position.copy()))
            assert spoilt or _good(*kept[-1])
    assert spoilt or not worker.lane._copy or all(_good(*each) for each in kept)


def _call(source: Source, client: Any) -> Any:
    lanes = [lane for lane in range(client.lanes) if source.flag()] or None
    count = client.lanes if lanes is None else len(lanes)
    kind = source.below(4)
    if kind == 0:
        return client.reset(lanes=lanes)
    if kind == 1:
        return client.step({"move": np.ones((2, count), int)}, lanes, chunk=2)
    return client.step({"move": np.full(count, 1 + source.below(4))}, lanes)


def _good(result: Any, position: Any) -> bool:
    """Whether every row of pixels shows the position of its lane, and both are what they were."""
    pixels = result.observation.pixels
    same = (result.observation.position == position).all()
    return bool(same and (pixels == (position % 256)[..., None]).all())


def _lies(source: Source, packet: Packet | None) -> list[bytes]:
    """Messages in place of a packet."""
    packet = packet or Packet(0, 0, 0, source.blob())
    kind = source.below(6)
    if kind == 0:
        return [source.blob()]
    if kind == 1:
        packet = packet._replace(slot=source.pick((0, 1, 2, 3, 0xFFFF_FFFF)))
    elif kind == 2:
        packet = packet._replace(payload=source.pick((0, 1, packet.payload + 1, 1 << 20, 1 << 63)))
    elif kind == 3:
        packet = packet._replace(flags=source.below(16))
    elif kind == 4:
        packet = packet._replace(frame=spoil(source, packet.frame))
    whole = messages(packet)
    return whole * (1 + source.below(2)) if kind == 5 else [spoil(source, m) if source.flag(8) else m for m in whole]
