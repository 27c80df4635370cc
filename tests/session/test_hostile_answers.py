"""A client whose server lies: whatever comes, the caller sees one of our errors, and nothing is taken on trust."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import any_pb2
from google.rpc import status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import MalformedFrame, OpenEnvError, RemoteError, SessionLost, SpecMismatch
from openenv_grpc.session.calls import OpenRequest
from openenv_grpc.session.client import ClientCore
from openenv_grpc.specs import AutoresetMode, Capabilities
from openenv_grpc.v1 import session_pb2
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair, Request, Response

ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"


def lie(pair: Pair, call: Any, change: Callable[[session_pb2.SessionResponse], None]) -> Any:
    """Carry a call through with an answer that was tampered with."""
    for frame in call.frames:
        response = Response.FromString(pair.exchange(frame))
        response.header_size, response.padding = 0, b""
        change(response)
        pair.client.receive(response.SerializeToString())
    return call.result()


def changed(path: str, value: Any) -> Callable[[session_pb2.SessionResponse], None]:
    """A change of one field, as a dotted path."""

    def change(response: session_pb2.SessionResponse) -> None:
        *parents, name = path.split(".")
        target: Any = response
        for parent in parents:
            target = getattr(target, parent)
        if isinstance(value, list):
            del getattr(target, name)[:]
            getattr(target, name).extend(value)
        else:
            setattr(target, name, value)

    return change


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("payload", b"", "payload"),
        ("payload", b"\0" * 1000, "payload"),
        ("payload", b"\xff" * 260, None),
        ("step.chunk", 3, None),
        ("step.chunk", 2**32 - 1, None),
        ("step.final_lanes", [0], None),
        ("step.final_lanes", [7, 8], None),
    ],
)
@pytest.mark.parametrize("vector", [False, True])
def test_a_step_that_is_not_what_was_asked_for(path: str, value: Any, field: str | None, vector: bool):
    pair = Pair(BareEnvironment, vector=vector)
    pair.reset()
    with pytest.raises(MalformedFrame) as caught:
        lie(pair, pair.client.step([1] if vector else 1), changed(path, value))
    assert field in (None, caught.value.field)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("step.executed", []),
        ("step.executed", [0]),
        ("step.executed", [3]),
        ("step.executed", [2**32 - 1]),
        ("step.executed", [1, 1]),
        ("step.chunk", 0),
        ("step.chunk", 1),
    ],
)
@pytest.mark.parametrize("vector", [False, True])
def test_a_chunk_that_is_not_what_was_asked_for(path: str, value: Any, vector: bool):
    pair = Pair(BareEnvironment, vector=vector)
    pair.reset()
    with pytest.raises(MalformedFrame):
        lie(pair, pair.client.step([[1], [1]] if vector else [1, 1], chunk=2), changed(path, value))


def test_a_failure_of_a_lane_that_was_not_asked():
    pair = Pair(BareEnvironment, lanes=2)
    pair.reset()

    def change(response: session_pb2.SessionResponse) -> None:
        response.step.failures.add(lane=9, status=status_pb2.Status(code=2, message="x"))

    with pytest.raises(MalformedFrame):
        lie(pair, pair.client.step([1, 1]), change)


def test_an_answer_to_another_verb():
    pair = Pair(BareEnvironment)
    pair.reset()
    with pytest.raises(MalformedFrame):
        lie(pair, pair.client.step(1), lambda response: response.state.SetInParent())
    with pytest.raises(MalformedFrame):
        lie(pair, pair.client.state(), lambda response: response.ClearField("state"))


@pytest.mark.parametrize("seq", [0, 1, 3, 2**64 - 1])
def test_an_answer_to_a_request_that_does_not_wait_ends_the_session(seq: int):
    pair = Pair(BareEnvironment)
    pair.reset()
    with pytest.raises(MalformedFrame) as caught:
        lie(pair, pair.client.step(1), changed("seq", seq))
    assert caught.value.field == "seq"
    with pytest.raises(SessionLost):
        pair.client.step(1)


def test_rubbish_ends_the_session():
    pair = Pair(BareEnvironment)
    pair.reset()
    call = pair.client.step(1)
    pair.client.receive(b"\xff\xff\xff")
    with pytest.raises(MalformedFrame):
        call.result()


@pytest.mark.parametrize("detail", [b"", b"\xff\xff", b"\x0a\xff"], ids=str)
def test_a_status_with_broken_details(detail: bytes):
    pair = Pair(BareEnvironment)
    pair.reset()

    def change(response: session_pb2.SessionResponse) -> None:
        response.ClearField("step")
        response.ClearField("payload")
        response.status.code = 99
        response.status.message = "odd"
        response.status.details.append(any_pb2.Any(type_url=ERROR_INFO, value=detail))

    with pytest.raises(RemoteError, match="odd"):
        lie(pair, pair.client.step(1), change)


def test_a_bool_that_is_neither():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    call = pair.client.step(blank("x"))
    frame = frames.decode(pair.exchange(call.frames[0]), Response, 1 << 20)
    data = bytearray(frame.data)
    data[frame.offset + 64] = 2  # terminated
    pair.client.receive(bytes(data))
    with pytest.raises(MalformedFrame) as caught:
        call.result()
    assert "terminated" in str(caught.value.field)


def opened(pair: Pair, change: Callable[[Any], None]) -> ClientCore:
    answer = Response(open=pair.shards[0].opened.open)
    answer.open.shards.add(first_lane=0, lanes=1)
    change(answer)
    return ClientCore(
        pair.client.records,
        Capabilities(),
        OpenRequest(),
        answer.SerializeToString(),
        vector=False,
        max_message_bytes=1 << 20,
    )


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("open.autoreset_mode", 77, "open.autoreset_mode"),
        ("open.shards", [], "open.shards"),
        ("open.spec.observation", [], "open.spec"),
        ("open.spec.action", [], "open.spec"),
    ],
)
def test_an_opening_that_makes_no_sense(path: str, value: Any, field: str):
    with pytest.raises(MalformedFrame) as caught:
        opened(Pair(BareEnvironment), changed(path, value))
    assert caught.value.field == field


@pytest.mark.parametrize(
    "shards",
    [[(0, 0), (0, 1)], [(0, 2)], [(1, 1)], [(0, 2**32 - 1)], [(0, 1), (1, 1)]],
    ids=str,
)
def test_shards_that_do_not_cover_the_lanes(shards: list[tuple[int, int]]):
    parts = [session_pb2.Shard(first_lane=first, lanes=lanes) for first, lanes in shards]
    with pytest.raises(MalformedFrame) as caught:
        opened(Pair(BareEnvironment), changed("open.shards", parts))
    assert caught.value.field == "open.shards"


@pytest.mark.parametrize("shape", [[2**63], [2**62, 2**62], [1] * 40, [2**64 - 1], [1 << 29]], ids=str)
def test_a_column_that_cannot_be(shape: list[int]):
    def change(response: Any) -> None:
        del response.open.spec.observation[2].shape[:]
        response.open.spec.observation[2].shape.extend(shape)

    with pytest.raises(OpenEnvError) as caught:
        opened(Pair(BareEnvironment), change)
    assert "pixels" in str(caught.value.field)


@pytest.mark.parametrize(("column", "shape"), [(0, [2]), (1, [1]), (2, []), (2, [2, 2])], ids=str)
def test_a_column_of_another_shape_than_the_messages(column: int, shape: list[int]):
    def change(response: Any) -> None:
        response.open.spec.observation[column].shape[:] = shape

    with pytest.raises(MalformedFrame, match=r"open\.spec\.\w+: the \.proto says"):
        opened(Pair(BareEnvironment), change)


@pytest.mark.parametrize("shape", [[0, 2**40], [2**20, 0, 2**20], [2**14, 2**14, 2, 0]], ids=str)
def test_an_axis_of_zero_makes_the_others_no_shorter(shape: list[int]):
    def change(response: Any) -> None:
        response.open.spec.observation[2].shape[:] = shape

    with pytest.raises(SpecMismatch, match=r"pixels: .*too large"):
        opened(Pair(BareEnvironment), change)


@pytest.mark.parametrize("name", ["low", "high"])
def test_a_bound_that_is_no_number(name: str):
    def change(response: Any) -> None:
        setattr(response.open.spec.observation[0], name, float("nan"))

    with pytest.raises(SpecMismatch, match=f"position: {name}: NaN is no bound"):
        opened(Pair(BareEnvironment), change)


def test_no_opening_at_all():
    with pytest.raises(MalformedFrame):
        opened(Pair(BareEnvironment), lambda response: response.Clear())


def mutations() -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """Ways to spoil a frame: cut it, repeat a part, change bytes, put some in."""
    at = st.floats(0, 1, exclude_max=True)
    cut = at.map(lambda where: lambda data: data[: int(where * len(data))])
    put = st.tuples(at, st.binary(min_size=1, max_size=8)).map(
        lambda it: lambda data: data[: int(it[0] * len(data))] + it[1] + data[int(it[0] * len(data)) + len(it[1]) :]
    )
    insert = st.tuples(at, st.binary(min_size=1, max_size=12)).map(
        lambda it: lambda data: data[: int(it[0] * len(data))] + it[1] + data[int(it[0] * len(data)) :]
    )
    twice = st.tuples(at, at).map(
        lambda it: lambda data: data + data[int(min(it) * len(data)) : int(max(it) * len(data))]
    )
    return st.one_of(cut, put, insert, twice)


@given(changes=st.lists(mutations(), min_size=1, max_size=3), chunk=st.sampled_from([0, 3]), vector=st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_spoilt_answer_is_an_error_or_an_answer(changes: list[Callable[[bytes], bytes]], chunk: int, vector: bool):
    pair = Pair(ProbeEnvironment, lanes=2 if vector else 1, mode=AutoresetMode.SAME_STEP)
    pair.reset()
    action: Any = blank("end", words=["a", "b"], mask=np.ones(4, bool))
    action = [action, blank("on")] if vector else action
    call = pair.client.step([action] * chunk if chunk else action, chunk=chunk)
    data = pair.exchange(call.frames[0])
    for change in changes:
        data = change(data)
    pair.client.receive(data)
    if call.done:
        try:
            call.result()
        except OpenEnvError:
            return


def test_a_frame_larger_than_the_clients_limit():
    pair = Pair(BareEnvironment)
    pair.reset()
    call = pair.client.step(1)
    pair.client.receive(bytes(65 << 20))
    with pytest.raises(OpenEnvError):
        call.result()


def test_a_request_frame_can_be_read_by_protobuf_alone():
    pair = Pair(ProbeEnvironment, lanes=2)
    pair.reset()
    call = pair.client.step([blank("a", words=["b"])] * 2)
    request = Request.FromString(call.frames[0])
    assert request.WhichOneof("verb") == "step"
    assert len(request.payload) > 100
