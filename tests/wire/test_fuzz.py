"""Random and spoilt frames: each gets an answer, and the server serves on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openenv_grpc.codec import frame as frames
from openenv_grpc.v1 import session_pb2
from tests.helpers.actions import bare
from tests.helpers.packages import BARE
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Stream, Unary, fault, opening


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(BARE, step_time_s=5) as found:
        yield found


@pytest.fixture(scope="module")
def neighbour(server: Server) -> Iterator[Stream]:
    """A session that plays on through it all."""
    with Stream(server.address, timeout_s=120) as found:
        found.open()
        found.ask(seq=1, reset={})
        yield found


class Victim:
    """A session that is opened anew when it was closed by accident."""

    def __init__(self, address: str) -> None:
        self.address, self.stream, self.turn = address, None, 0

    def ask(self, data: bytes) -> session_pb2.SessionResponse:
        if self.stream is None:
            self.stream = Stream(self.address, timeout_s=120)
            self.stream.open(lanes=2, shards=1)
            self.stream.ask(seq=1, reset={})
        answer = self.stream.ask(data)
        if answer.ended:
            self.close()
        return answer

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()
        self.stream = None


@pytest.fixture(scope="module")
def victim(server: Server) -> Iterator[Victim]:
    found = Victim(server.address)
    yield found
    found.close()


SEEDS = [
    frames.encode(Request(seq=2, step={}), bytes(16)),
    frames.encode(Request(seq=2, timeout_ms=1000, step={"actions": [bare(1), bare(-1)]})),
    frames.encode(Request(seq=2, step={"chunk": 3, "lanes": [1]}), bytes(24)),
    frames.encode(Request(seq=2, reset={"seeds": [{"value": 3}, {}], "options": {"a": {"text": "b"}}})),
    frames.encode(Request(seq=2, restore={"snapshots": [b"\0" + b"1 2 3"] * 2})),
    frames.encode(Request(seq=2, state={"lanes": [0]})),
]


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """A frame that was a request before some of its bytes were lost, changed, doubled or invented."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        some = draw(st.binary(max_size=6))
        how = draw(st.integers(0, 3))
        if how == 0:
            data = data[:at] + some + data[at + len(some) :]
        elif how == 1:
            data = data[:at] + some + data[at:]
        elif how == 2:
            data = data[:at] + data[at + len(some) :]
        else:
            data = data + data[at : at + 20]
    return data


MANY = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))


def check(answer: session_pb2.SessionResponse) -> None:
    if answer.HasField("status"):
        found = fault(answer.status)
        assert found.reason in (
            "INVALID_ARGUMENT",
            "MALFORMED_FRAME",
            "SEQUENCE",
            "ILLEGAL_VERB",
            "UNSUPPORTED",
            "ENVIRONMENT_FAILED",  # a snapshot that the environment cannot load
        ), found
        assert found.reason in ("ILLEGAL_VERB", "ENVIRONMENT_FAILED") or found.field, found
    else:
        assert answer.WhichOneof("result")


@given(data=st.one_of(st.binary(max_size=200), spoilt()))
@MANY
def test_any_frame_on_a_stream_is_answered(victim: Victim, neighbour: Stream, data: bytes):
    check(victim.ask(data))
    victim.turn += 1
    if victim.turn % 25 == 0:
        answer = neighbour.ask(seq=1 + victim.turn // 25, step={"actions": [bare(0)]})
        assert not answer.HasField("status")


@given(data=st.one_of(st.binary(max_size=200), spoilt()))
@settings(MANY, max_examples=60)
def test_any_first_frame_on_a_stream_is_answered(server: Server, data: bytes):
    with Stream(server.address) as stream:
        answer = stream.ask(data)
        assert answer.HasField("status")
        assert answer.ended
        assert fault(answer.status).field


@st.composite
def openings(draw: st.DrawFn) -> bytes:
    data = opening(2, fields=["steps"], options={"size": {"integer": 3}}, wait_ms=1).SerializeToString()
    at = draw(st.integers(0, len(data) - 1))
    return data[:at] + draw(st.binary(min_size=1, max_size=3)) + data[at + draw(st.integers(0, 3)) :]


@given(data=openings())
@settings(MANY, max_examples=40)
def test_any_spoilt_opening_is_answered(server: Server, data: bytes):
    with Stream(server.address) as stream:
        answer = stream.ask(data)
        assert answer.HasField("status") == answer.ended
        assert answer.HasField("status") or answer.open.session_id


@given(data=st.one_of(st.binary(max_size=100), spoilt()), verb=st.sampled_from(["Open", "Reset", "Step", "Close"]))
@settings(MANY, max_examples=60)
def test_any_unary_call_is_answered(server: Server, data: bytes, verb: str):
    with Unary(server.address) as unary:
        assert unary.code(verb, data) in ("OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")


def test_the_server_is_as_good_as_new_afterwards(server: Server, neighbour: Stream):
    with Unary(server.address) as unary:
        assert unary.health() == "SERVING"
    assert "worker ended" not in server.text
    with Stream(server.address) as stream:
        stream.open()
        assert stream.ask(seq=1, reset={}).WhichOneof("result") == "reset"
