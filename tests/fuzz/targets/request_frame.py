"""Requests at a shard: frames from a client that may be wrong, spoilt, repeated, out of turn or invented.

What may happen: an answer, or a refusal with one of our reasons; the same request again gets the same answer. What may
not: an exception out of the shard, an answer above the limit or outside of its slot, a shard that serves no more.
"""

from __future__ import annotations

import functools
from typing import Any

from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import ERRORS, from_status
from openenv_grpc.session.packet import FAILED, Packet
from openenv_grpc.session.shard import ShardCore
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from tests.fuzz.environments import BareEnvironment, TameEnvironment
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil
from tests.fuzz.targets.values import wire_value
from tests.helpers.actions import bare, probe
from tests.helpers.pair import Pair, Request, Response, Shard

LANES = 2
LIMITS = Limits(message_bytes=1 << 15, chunk=6)
CONFIGS = [
    (cls, mode, layout) for layout in Layout for cls in (BareEnvironment, TameEnvironment) for mode in AutoresetMode
]


@functools.cache
def _shard(index: int) -> Shard:
    cls, mode, layout = CONFIGS[index]
    return Pair(cls, LANES, mode=mode, layout=layout, limits=LIMITS).shards[0]


def one_input(data: bytes) -> None:
    source = Source(data)
    index = source.below(len(CONFIGS))
    shard = _shard(index)
    shard.rewind()  # the same input always does the same
    core = shard.core
    if not source.flag(8):
        _check(shard, core, Request(seq=1, reset={}).SerializeToString(), 1)
    for turn in range(1 + source.below(4)):
        shard.alarm.calls_left = source.below(4) if source.flag(16) else 1 << 30
        _check(shard, core, _frame(source, core._seq + 1, index), turn % 2)
    shard.alarm.stop()
    assert not core.handle(Request(seq=core._seq + 1, reset={}).SerializeToString(), 0).flags & FAILED


def _check(shard: Shard, core: ShardCore, data: bytes, slot: int) -> None:
    before = core._seq
    packet = core.handle(data, slot)
    answer = _answer(shard, packet)
    assert core._seq in (before, before + 1)
    if packet.flags & FAILED:
        assert type(from_status(answer.status)) in ERRORS, answer.status
    else:
        assert answer.seq == core._seq
        assert answer.WhichOneof("result") not in (None, "status")
    if core._seq > before:
        again = core.handle(data, 1 - slot)
        assert core._seq == before + 1
        assert _answer(shard, again).SerializeToString() == answer.SerializeToString()


def _answer(shard: Shard, packet: Packet) -> Any:
    assert packet.slot in (0, 1)
    assert packet.payload <= shard.memory.slot_bytes
    data = shard.join(packet)
    assert len(data) <= LIMITS.message_bytes
    whole = Response.FromString(data)
    assert frames.decode(data, Response, LIMITS.message_bytes).size == len(whole.payload)
    if whole.HasField("reset") or whole.HasField("step"):
        _check_rows(shard, whole.reset if whole.HasField("reset") else whole.step, whole.payload)
    return whole


def _check_rows(shard: Shard, answer: Any, payload: bytes) -> None:
    """In record layout everything is in records; in columns only what is no column."""
    rows = max(answer.chunk, 1) * (len(answer.lanes) or LANES)
    in_records = not shard.in_columns
    whole = in_records or shard.core._config.records.observation.rest
    assert bool(payload) is not in_records
    assert len(answer.outcomes) == (rows if in_records else 0)
    assert len(answer.observations) == (rows if whole else 0)
    assert len(answer.final_observations) == (len(answer.final_lanes) if whole else 0)


def _frame(source: Source, seq: int, index: int) -> bytes:
    if source.flag(16):
        return source.blob()
    seq = source.integer(0, (1 << 64) - 1) if source.flag(12) else seq
    request = Request(seq=seq, timeout_ms=source.integer(0, (1 << 32) - 1) if source.flag() else 0)
    lanes = [source.below(4) for _ in range(source.below(3))] if source.flag() else []
    payload = b""
    verb = source.below(8)
    if verb < 3:
        payload = _step(source, request.step, index, lanes)
    elif verb == 3:
        request.reset.lanes.extend(lanes)
        for _ in range(source.below(4)):
            request.reset.seeds.add(**({"value": source.integer()} if source.flag() else {}))
        for _ in range(source.below(3)):
            key = source.pick(("verb", "amount")) if source.flag() else source.text()
            request.reset.options[key].CopyFrom(wire_value(source, 3))
    elif verb == 4:
        request.restore.lanes.extend(lanes)
        saved = [b"\0" + b"1 2 3", b"\1" + b"4 5 6", source.blob(8)]
        request.restore.snapshots.extend([source.pick(saved) for _ in range(source.below(4))])
    elif verb < 7:
        getattr(request, ("state", "snapshot")[verb - 5]).lanes.extend(lanes)
    else:
        getattr(request, source.pick(("open", "close", "extension"))).SetInParent()
    return spoil(source, frames.encode(request, payload))


def _step(source: Source, step: Any, index: int, lanes: list[int]) -> bytes:
    """Fill in a step; as columns or as records, mostly of the right size."""
    step.SetInParent()
    step.lanes.extend(lanes)
    step.chunk = source.integer(0, (1 << 32) - 1) if source.flag(8) else source.below(8)
    rows = max(step.chunk, 1) * (len(lanes) or LANES) if not source.flag(6) else source.below(12)
    columns = 8 if CONFIGS[index][0] is BareEnvironment else 64
    if source.flag():
        return source.take(min(rows, 64) * columns).ljust(min(rows, 64) * columns, b"\0")
    for _ in range(min(rows, 24)):
        action = bare(source.integer(-9, 9)) if columns == 8 else probe(source.text(), level=source.integer(-5, 5))
        step.actions.append(spoil(source, action) if source.flag(8) else action)
    return b""
