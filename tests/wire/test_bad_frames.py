"""Every malformed or hostile message gets a status that names the field, and harms nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from openenv_probe import types
from openenv_probe.v1 import probe_pb2

from openenv_grpc.codec import frame as frames
from openenv_grpc.codec.columns import ColumnLayout
from openenv_grpc.specs import ArraySpec
from openenv_grpc.v1 import array_pb2, environment_pb2, session_pb2, value_pb2
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.actions import do, probe
from tests.helpers.packages import PROBE
from tests.helpers.server import Server, running
from tests.helpers.stream import Fault, Request, Stream, Unary, fault, opening

LIMIT = 8 << 20
SPECS = {field.name: field.spec for field in types.RECORDS.action.columns if field.spec is not None}
SPECS["force"] = ArraySpec(np.float32, (2,), -1, 1)
LAYOUT = ColumnLayout(SPECS)
FIELDS = types.RECORDS.fields_of(types.RECORDS.action.full_name, blank("fine"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE, message_bytes=LIMIT, lanes=8) as found:
        yield found


class Talk:
    """A session whose numbers count themselves."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.seq = stream, 0

    def send(self, **verb: Any) -> session_pb2.SessionResponse:
        self.seq += 1
        return self.stream.ask(seq=self.seq, **verb)

    def refused(self, **verb: Any) -> Fault:
        answer = self.send(**verb)
        assert answer.WhichOneof("result") is None
        assert not answer.ended
        return fault(answer.status)

    def raw(self, data: bytes) -> Fault:
        """Bytes that cannot be read, and so take no number."""
        answer = self.stream.ask(data)
        assert not answer.ended
        return fault(answer.status)

    def check(self) -> None:
        """The session is as usable as before."""
        assert b"fine" in self.send(step={"lanes": [0], "actions": [probe("fine")]}).step.observations[0]


@pytest.fixture
def talk(server: Server) -> Iterator[Talk]:
    """A session of two lanes in one shard, reset. Afterwards it and a neighbour must work as before."""
    with Stream(server.address) as stream, Stream(server.address) as neighbour:
        neighbour.open()
        neighbour.ask(seq=1, reset={})
        stream.open(lanes=2, shards=1)
        found = Talk(stream)
        found.send(reset={})
        yield found
        found.check()
        assert b"same" in neighbour.ask(seq=2, step=do("same")).step.observations[0]


def frame(seq: int = 9, lanes: int = 2) -> bytes:
    """A step as our own client writes it, columns and all."""
    arrays = {name: np.zeros((lanes, *spec.shape), spec.dtype) for name, spec in SPECS.items()}
    rest = types.RECORDS.action.rest
    actions = [types.RECORDS.encode_fields(types.RECORDS.action.full_name, given, rest) for given in [FIELDS] * lanes]
    step = session_pb2.Step(actions=[action.SerializeToString() for action in actions])
    return frames.encode(Request(seq=seq, step=step), LAYOUT.join(arrays, lanes))


def offsets(rows: int) -> dict[str, int]:
    """Where each action column begins in the payload."""
    return {name: start for name, _, _, start in LAYOUT.blocks(rows)[0]}


# -- frames that cannot be read ----------------------------------------------------------------------------------------


def test_a_frame_cut_anywhere_is_refused_and_the_stream_lives(talk: Talk):
    whole = frame()
    cuts = sorted({*range(1, 120), *range(120, len(whole), 37), len(whole) - 1})
    refused = 0
    for cut in cuts:
        answer = talk.stream.ask(whole[:cut])
        assert answer.HasField("status"), cut
        assert not answer.ended
        found = fault(answer.status)
        assert found.code in ("INVALID_ARGUMENT", "ABORTED"), (cut, found)
        assert found.field in ("header_size", "header", "payload", "verb", "seq"), (cut, found)
        refused += 1
    assert refused == len(cuts)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda data: data[:1] + (2**32 - 1).to_bytes(4, "little") + data[5:], "header_size"),
        (lambda data: data[:1] + (len(data) + 1).to_bytes(4, "little") + data[5:], "header_size"),
        (lambda data: data[:1] + (1).to_bytes(4, "little") + data[5:], "header_size"),
        (lambda data: data[:1] + (20).to_bytes(4, "little") + data[5:], "header_size"),
        (lambda data: data + b"\0", "payload"),
        (lambda data: data[:-1], "payload"),
        (lambda data: _length(data, b"\xff" * 9 + b"\x01"), "payload"),
        (lambda data: _length(data, b"\x80" * 9 + b"\x01"), "payload"),
        (lambda data: _length(data, b"\xff" * 10), "payload"),
        (lambda data: _length(data, b"\xff" * 12 + b"\x01"), "payload"),
        (lambda data: _length(data, b"\x00"), "payload"),
        (lambda data: _length(data, b"\xff\xff\xff\xff\x0f"), "payload"),
        (lambda data: b"\xff" * 20, "header"),
        (lambda data: b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "header"),
    ],
)
def test_lengths_that_lie(talk: Talk, change: Callable[[bytes], bytes], field: str):
    found = talk.raw(change(frame(seq=2)))
    assert (found.code, found.field) == ("INVALID_ARGUMENT", field)


def test_a_frame_in_another_order_is_as_good(talk: Talk):
    data = frame(seq=2)
    assert not talk.stream.ask(data[5:] + data[:5]).HasField("status")  # header_size comes last
    talk.seq = 2


def _length(data: bytes, varint: bytes) -> bytes:
    """The frame with another payload length."""
    size = int.from_bytes(data[1:5], "little")
    payload = Request.FromString(data).payload
    return data[: size + 2] + varint + payload


def test_the_payload_twice(talk: Talk):
    data = frame(seq=2)
    size = int.from_bytes(data[1:5], "little")
    twice = data[:size] + b"\xc2\x3e\x03abc" + data[size:]
    longer = twice[:1] + (size + 6).to_bytes(4, "little") + twice[5:]
    found = talk.raw(longer)
    assert found.field == "payload"


@pytest.mark.parametrize(
    ("tag", "value", "field"),
    [
        (b"\x2a", b"\xff\xfe", "session_id"),  # field 5
        (b"\x3a", b"\x1a\x07\x0a\x03a\xffb\x12\x00", "reset.options.key"),  # field 7, options
        (b"\x3a", b"\x1a\x0a\x0a\x01k\x12\x05\x22\x03x\xffy", "reset.options.value.text"),
    ],
)
def test_text_that_is_no_utf8_in_the_header(talk: Talk, tag: bytes, value: bytes, field: str):
    found = talk.raw(b"\x18\x02" + tag + bytes([len(value)]) + value)
    assert (found.code, found.reason, found.field) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", field)


# -- actions that cannot be taken --------------------------------------------------------------------------------------


def array(dtype: int, shape: list[int], data: bytes) -> array_pb2.Array:
    return array_pb2.Array(dtype=dtype, shape=shape, data=data)


BAD_RECORDS: list[tuple[dict[str, Any], str]] = [
    ({"level": 6}, "level"),
    ({"level": -(2**31)}, "level"),
    ({"ratio": 1.5}, "ratio"),
    ({"ratio": -0.1}, "ratio"),
    ({"ratio": float("nan")}, "ratio"),
    ({"ratio": float("inf")}, "ratio"),
    ({"grid": array(6, [2, 3], b"\x0a" * 6)}, "grid"),
    ({"grid": array(5, [2, 3], bytes(48))}, "grid"),
    ({"grid": array(6, [3, 2], bytes(6))}, "grid"),
    ({"grid": array(6, [6], bytes(6))}, "grid"),
    ({"grid": array(6, [2, 3], bytes(5))}, "grid.data"),
    ({"grid": array(6, [2, 3], bytes(7))}, "grid.data"),
    ({"grid": array(0, [2, 3], bytes(6))}, "grid.dtype"),
    ({"grid": array(77, [2, 3], bytes(6))}, "grid.dtype"),
    ({"grid": array(6, [2**64 - 2, 2**64 - 3], bytes(6))}, "grid.data"),
    ({"grid": array(6, [2**63, 2], b"")}, "grid.data"),
    ({"grid": array(6, [0, 2**63], b"")}, "grid.shape"),
    ({"grid": array(6, [0, 2**62, 2**62], b"")}, "grid.shape"),
    ({"grid": array(6, [1] * 33, b"\0")}, "grid.shape"),
    ({"grid": array(6, [], b"")}, "grid.data"),
    ({"grid": None}, "grid"),
    ({"mask": array(1, [4], b"\0\1\2\0")}, "mask"),
    ({"mask": array(6, [4], bytes(4))}, "mask"),
    ({"mask": array(1, [5], bytes(5))}, "mask"),
    ({"force": array(11, [3], bytes(12))}, "force"),
    ({"force": array(11, [2], np.array([np.nan, 0], "<f4").tobytes())}, "force"),
    ({"force": array(11, [2], np.array([0, -1.5], "<f4").tobytes())}, "force"),
    ({"force": array(12, [2], bytes(16))}, "force"),
    ({"part": probe_pb2.Part(size=101)}, "part.size"),
    ({"part": probe_pb2.Part(parts=[probe_pb2.Part(), probe_pb2.Part(size=-1)])}, "part.parts"),
]


@pytest.mark.parametrize(("changes", "field"), BAD_RECORDS, ids=str)
def test_a_bad_action_in_record_layout(talk: Talk, changes: dict[str, Any], field: str):
    good = probe_pb2.ProbeAction.FromString(probe("fine"))
    bad = probe_pb2.ProbeAction.FromString(probe("bad"))
    for name, value in changes.items():
        bad.ClearField(name)
        if hasattr(value, "CopyFrom"):
            getattr(bad, name).CopyFrom(value)
        elif value is not None:
            setattr(bad, name, value)
    found = talk.refused(step={"actions": [good.SerializeToString(), bad.SerializeToString()]})
    assert (found.code, found.reason) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")
    assert found.field.startswith(f"action[1].{field}")
    assert total(talk) == 0  # nothing was changed, in the other lane neither


def total(talk: Talk) -> int:
    """Steps that the environments have taken."""
    states = talk.send(state={}).state.states
    return sum(probe_pb2.ProbeState.FromString(data).total for data in states)


@pytest.mark.parametrize(
    ("column", "dtype", "values", "field"),
    [
        ("level", "<i4", [0, 6], "action.level"),
        ("level", "<i4", [-6, 0], "action.level"),
        ("ratio", "<f4", [0.5, np.nan], "action.ratio"),
        ("ratio", "<f4", [1.01, 0], "action.ratio"),
        ("flag", "u1", [2, 0], "flag"),
        ("flag", "u1", [0, 255], "flag"),
        ("grid", "u1", [0] * 11 + [10], "action.grid"),
        ("mask", "u1", [0] * 7 + [2], "mask"),
        ("force", "<f4", [0, 0, 0, np.nan], "action.force"),
        ("force", "<f4", [0, 0, 0, -np.inf], "action.force"),
    ],
)
def test_a_bad_action_in_column_layout(talk: Talk, column: str, dtype: str, values: list[float], field: str):
    talk.seq += 1
    data = bytearray(frame(talk.seq))
    start = len(data) - len(Request.FromString(bytes(data)).payload) + offsets(2)[column]
    content = np.array(values, dtype).tobytes()
    data[start : start + len(content)] = content
    answer = talk.stream.ask(bytes(data))
    found = fault(answer.status)
    assert (found.code, found.field) == ("INVALID_ARGUMENT", field)
    assert total(talk) == 0


@pytest.mark.parametrize("size", [0, 1, 63, 64, 1000, 100_000])
def test_a_payload_of_the_wrong_size(talk: Talk, size: int):
    found = talk.refused(step={}, payload=bytes(size))
    assert found.field == ("step.actions" if size == 0 else "payload")


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({}, "step.actions"),
        ({"actions": [b""]}, "step.actions"),
        ({"actions": [b""] * 3}, "step.actions"),
        ({"actions": [b"\x0a\x02\xff\xfe", probe()]}, "action[0].verb"),
        ({"actions": [probe(), b"\x52\x01\xff"]}, "action[1].words"),
        ({"actions": [b"\xff\xff", probe()]}, "action[0]"),
        ({"chunk": 2, "actions": [probe()] * 3}, "step.actions"),
        ({"chunk": 257, "actions": [probe()] * 514}, "step.chunk"),
        ({"lanes": [2], "actions": [probe()]}, "lanes"),
        ({"lanes": [1, 0], "actions": [probe()] * 2}, "lanes"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_bad_step(talk: Talk, step: dict[str, Any], field: str):
    found = talk.refused(step=step)
    assert (found.code, found.field) == ("INVALID_ARGUMENT", field)
    assert total(talk) == 0


@pytest.mark.parametrize(
    ("reset", "field"),
    [
        ({"seeds": [{"value": 1}]}, "reset.seeds"),
        ({"lanes": [7]}, "lanes"),
        ({"options": {"a": {"array": {"dtype": 6, "shape": [3], "data": b"xx"}}}}, "reset.options.a.data"),
        ({"options": {"a": {"array": {"dtype": 6, "shape": [0, 2**62, 2**62]}}}}, "reset.options.a.shape"),
        ({"options": {"a": {"list": {"items": [{"array": {"dtype": 55}}]}}}}, "reset.options.a.dtype"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_bad_reset(talk: Talk, reset: dict[str, Any], field: str):
    found = talk.refused(reset=reset)
    assert (found.code, found.field) == ("INVALID_ARGUMENT", field)


def test_values_nested_without_end(talk: Talk):
    value = value_pb2.Value(integer=1)
    for _ in range(40):
        value = value_pb2.Value(list=value_pb2.ValueList(items=[value]))
    answer = talk.send(reset={"options": {"deep": value}})
    if answer.HasField("status"):
        assert "deep" in fault(answer.status).field
    talk.send(reset={})


# -- too large ---------------------------------------------------------------------------------------------------------


def test_100_megabytes_end_their_stream_and_no_other(server: Server):
    before = processes.rss(server.pid)
    with Stream(server.address) as neighbour, Stream(server.address) as stream:
        neighbour.open()
        neighbour.ask(seq=1, reset={})
        stream.open()
        stream.ask(seq=1, reset={})
        with pytest.raises(grpc.RpcError) as caught:
            stream.ask(seq=2, step={}, payload=bytes(100 << 20))
        call: Any = caught.value
        assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(LIMIT) in call.details()
        assert neighbour.ask(seq=2, step=do("on")).step.observations
        with Unary(server.address) as unary:
            with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
                unary("Step", bytes(100 << 20))
            processes.until(lambda: unary("Describe").open_sessions == 1)
    assert processes.rss(server.pid) - before < 150 << 20


def test_a_message_just_within_the_limit_is_answered(talk: Talk):
    assert talk.refused(step={}, payload=bytes(LIMIT - 64)).field == "payload"
    blob = bytes(3 << 20)
    answer = talk.send(step={"lanes": [0], "actions": [probe("big", blob=blob)]})
    assert blob in answer.step.observations[0]


def test_an_answer_beyond_the_limit_is_refused(talk: Talk):
    actions = [probe("big", blob=bytes(3 << 20))] * 2
    words = [probe("end", words=["x" * 1000] * 4500)]  # comes back in the info too
    assert talk.send(step={"actions": actions}).HasField("step")
    found = talk.refused(step={"lanes": [1], "actions": words})
    assert (found.code, found.reason) == ("OUT_OF_RANGE", "MESSAGE_TOO_LARGE")
    talk.send(reset={})


def test_millions_of_lanes_in_a_list(talk: Talk):
    lanes = session_pb2.Step(lanes=range(1_000_000)).SerializeToString()
    assert talk.refused(step=session_pb2.Step.FromString(lanes)).field == "lanes"
    assert talk.refused(step={"actions": [b""] * 1_000_000}).field == "step.actions"


# -- unary calls get the same ------------------------------------------------------------------------------------------


@pytest.fixture
def session_id(server: Server) -> Iterator[str]:
    with Unary(server.address) as unary:
        opened = unary("Open", environment_pb2.OpenRequest(open=opening().open)).open
        unary("Reset", environment_pb2.ResetRequest(session_id=opened.session_id, seq=1))
        yield opened.session_id
        unary("Close", environment_pb2.CloseRequest(session_id=opened.session_id))


@pytest.mark.parametrize(
    ("step", "field"),
    [
        ({"actions": [b"\x0a\x02\xff\xfe"]}, "action[0].verb"),
        ({"actions": [probe("", level=5) + b"\x18\x0e"]}, "action[0].level"),
        ({"lanes": [3]}, "lanes"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_bad_unary_step(server: Server, session_id: str, step: dict[str, Any], field: str):
    with Unary(server.address) as unary:
        request = environment_pb2.StepRequest(session_id=session_id, seq=2, step=step)
        assert unary.refused("Step", request).field == field
        good = environment_pb2.StepRequest(session_id=session_id, seq=3, step=do("on"))
        assert unary("Step", good).step.observations


@pytest.mark.parametrize("verb", ["Open", "Reset", "Step", "GetState", "Snapshot", "Restore", "Close"])
@pytest.mark.parametrize("data", [b"\xff", b"\x0d\xff\xff\xff\xff", b"\x2a\x01\xff", b"\x0d\x06\0\0\0\x01"], ids=str)
def test_unary_rubbish(server: Server, verb: str, data: bytes):
    with Unary(server.address) as unary:
        found = unary.refused(verb, data)
        assert found.code == "INVALID_ARGUMENT"
        assert found.field in ("header", "header_size", "session_id")
        assert unary.health() == "SERVING"
