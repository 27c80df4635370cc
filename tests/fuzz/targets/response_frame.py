"""Answers at a client: a session whose server's frames may be spoilt, of another verb, late, twice or invented.

What may happen: the verb's result, with rows for the lanes that were asked, or an OpenEnvError. What may not: any other
exception, a result of another shape, a call that waits on in a session that has ended.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.session.calls import Call, OpenRequest
from openenv_grpc.session.client import ClientCore
from openenv_grpc.specs import AutoresetMode, Layout
from openenv_grpc.worker.describe import capabilities_of, records_of
from tests.fuzz.environments import BareEnvironment, TameEnvironment, blank
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil
from tests.fuzz.targets.values import write_info
from tests.helpers.pair import Pair, Response

CHUNK, LIMIT = 3, 1 << 16
CONFIGS = [
    (cls, lanes, mode)
    for cls in (BareEnvironment, TameEnvironment)
    for lanes, mode in ((1, AutoresetMode.NEXT_STEP), (2, AutoresetMode.SAME_STEP))
]
VERBS = ("reset", "step", "chunk", "state", "snapshot", "restore")


def _call(client: ClientCore, verb: str, bare: bool, lanes: int) -> Call:
    """One verb of the conversation that every input goes through."""
    one = 7 if bare else blank("end", words=["a", "b"])
    actions: Any = [one] * lanes if lanes > 1 else one
    if verb == "step":
        return client.step(actions)
    if verb == "chunk":
        return client.step([actions] * CHUNK, chunk=CHUNK)
    if verb == "restore":
        return client.restore([b"\x001 2 3"] * lanes if lanes > 1 else b"\x001 2 3")
    verbs: dict[str, Callable[[], Call]] = {"reset": client.reset, "state": client.state, "snapshot": client.snapshot}
    return verbs[verb]()


@functools.cache
def _answers(index: int) -> tuple[bytes, list[tuple[str, bytes]], dict[str, bytes]]:
    """What a good server answers: to open, and to each verb; and to each verb in the layout that no one asked for."""
    cls, lanes, mode = CONFIGS[index]
    pair, other = Pair(cls, lanes, mode=mode), Pair(cls, lanes, mode=mode, layout=Layout.RECORDS)
    opening = Response(open=pair.shards[0].opened.open)
    opening.open.shards.add(lanes=lanes)
    opening.open.limits.message_bytes, opening.open.limits.chunk = 1 << 20, 8
    opening.open.limits.in_flight, opening.open.limits.step_time_s = 4, 9
    answers, in_records = [], {}
    for verb in VERBS:
        if verb in ("snapshot", "restore") and cls is TameEnvironment:
            continue
        call = _call(pair.client, verb, cls is BareEnvironment, lanes)
        answers.append((verb, pair.exchange(call.frames[0])))
        in_records[verb] = other.exchange(call.frames[0])
        pair.client.receive(answers[-1][1])
        call.result()
    return frames.encode(opening), answers, in_records


def one_input(data: bytes) -> None:
    source = Source(data)
    index = source.below(len(CONFIGS))
    cls, lanes, mode = CONFIGS[index]
    opening, answers, in_records = _answers(index)
    request = OpenRequest(lanes=lanes, shards=1, autoreset_mode=mode)
    opening = spoil(source, opening) if source.flag(4) else opening
    records, capabilities = records_of(cls), capabilities_of(cls)
    try:
        client = ClientCore(records, capabilities, request, opening, vector=lanes > 1, max_message_bytes=LIMIT)
    except OpenEnvError:
        return
    for verb, answer in answers:
        try:
            call = _call(client, verb, cls is BareEnvironment, lanes)
        except OpenEnvError:  # what came before ended the session, or an odd opening makes the verb impossible
            continue
        for _ in range(1 + source.flag(16)):
            client.receive(_spoilt(source, in_records[verb] if source.flag(16) else answer))
        _read(client, call, verb, lanes)


def _spoilt(source: Source, answer: bytes) -> bytes:
    how = source.below(8)
    if how < 4:
        return answer if how < 2 else spoil(source, answer)
    if how == 4:
        return source.blob()
    frame = frames.decode(answer, Response, LIMIT)
    response, payload = Response.FromString(answer), answer[frame.offset : frame.offset + frame.size]
    for name in ("header_size", "padding", "payload"):
        response.ClearField(name)
    _change(source, response)
    return spoil(source, frames.encode(response, payload + source.blob(8) if source.flag(4) else payload))


def _change(source: Source, response: Any) -> None:
    """Change what the header says, in a message that stays one."""
    verb = response.WhichOneof("result")
    if verb not in ("reset", "step"):
        response.seq = source.integer(0, (1 << 64) - 1)
        return
    part, how = getattr(response, verb), source.below(8)
    if how == 0:
        part.chunk = source.integer(0, (1 << 32) - 1)
    elif how in (1, 2):
        lanes = (part.lanes, part.final_lanes)[how - 1]
        lanes.extend([source.integer(0, (1 << 32) - 1) for _ in range(source.below(4))])
    elif how == 3:
        del part.executed[:]
        part.executed.extend([source.integer(0, (1 << 32) - 1) for _ in range(source.below(4))])
    elif how == 4:
        failure = part.failures.add(lane=source.integer(0, (1 << 32) - 1))
        failure.status.code = source.below(20)
    elif how == 5:
        write_info(source, part.info)
    elif how == 6:
        response.ended = True
    else:
        response.status.code, response.status.message = source.below(20), source.text()


def _read(client: ClientCore, call: Call, verb: str, lanes: int) -> None:
    if not call.done:
        assert client.waiting
        return
    try:
        result = call.result()
    except OpenEnvError as error:
        str(error)
        return
    if lanes == 1 or verb == "restore":
        return
    if verb in ("state", "snapshot"):
        assert len(result) == lanes
        return
    shape = (CHUNK, lanes) if verb == "chunk" else (lanes,)
    assert result.reward.shape == result.terminated.shape == result.truncated.shape == shape
    assert len(result.infos) == result.reward.size
    assert set(result.final_lanes.tolist()) <= set(range(lanes))
    assert len(result.final_infos) == len(result.final_lanes)
