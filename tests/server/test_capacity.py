"""A server has so many places and no more; who waits, waits in line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import openenv_grpc as oe
from openenv_grpc.errors import ServerFull
from openenv_grpc.v1 import environment_pb2, session_pb2
from tests.helpers import processes
from tests.helpers.packages import BARE, PROBE
from tests.helpers.server import Server, running
from tests.helpers.stream import Stream, Unary, fault, opening


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(BARE, sessions=2, waiting=1, lanes=8, shards=3, session_idle_s=0.6, step_time_s=5) as found:
        yield found


@pytest.fixture
def full(server: Server) -> Iterator[list[Stream]]:
    """Two sessions, which take all places."""
    with Unary(server.address) as unary:
        processes.until(lambda: unary("Describe").open_sessions == 0)
    with Stream(server.address) as one, Stream(server.address) as two:
        for stream in (one, two):
            stream.open()
        yield [one, two]


def test_a_full_server_says_when_to_come_back(full: list[Stream], server: Server):
    with Stream(server.address) as third:
        answer = third.ask(opening())
        found = fault(answer.status)
        assert (found.code, found.reason) == ("RESOURCE_EXHAUSTED", "SERVER_FULL")
        assert found.retry_s > 0
        assert answer.ended
        assert third.rest() == []
    with Unary(server.address) as unary:
        found = unary.refused("Open", environment_pb2.OpenRequest(open=opening().open))
        assert (found.code, found.retry_s > 0) == ("RESOURCE_EXHAUSTED", True)
    with pytest.raises(ServerFull) as caught:
        oe.connect(server.address)
    assert caught.value.retry_after_s


def test_who_waits_gets_the_place_that_becomes_free(full: list[Stream], server: Server):
    with Stream(server.address) as third:
        third.send(opening(wait_ms=10_000))
        time.sleep(0.2)
        full[0].ask(seq=1, close={})
        assert third.receive().open.session_id


def test_who_waits_in_vain_is_told_so_in_time(full: list[Stream], server: Server):
    began = time.monotonic()
    with Stream(server.address) as third:
        found = fault(third.ask(opening(wait_ms=300)).status)
    assert found.reason == "SERVER_FULL"
    assert 0.25 < time.monotonic() - began < 2


def test_the_line_is_bounded_too(full: list[Stream], server: Server):
    with Stream(server.address) as third, Stream(server.address) as fourth:
        third.send(opening(wait_ms=10_000))
        time.sleep(0.2)
        began = time.monotonic()
        assert fault(fourth.ask(opening(wait_ms=10_000)).status).reason == "SERVER_FULL"
        assert time.monotonic() - began < 1
        full[0].close()
        assert third.receive().open.session_id


def test_who_leaves_the_line_leaves_its_place_in_it(full: list[Stream], server: Server):
    with Stream(server.address) as third:
        third.send(opening(wait_ms=10_000))
        time.sleep(0.2)
    with Stream(server.address) as fourth:
        fourth.send(opening(wait_ms=10_000))
        time.sleep(0.2)
        full[1].ask(seq=1, close={})
        assert fourth.receive().open.session_id


def test_the_client_can_wait_in_line(full: list[Stream], server: Server):
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(oe.connect, server.address, wait_s=10.0)
        time.sleep(0.3)
        full[0].close()
        with waiting.result(10) as env:
            assert env.reset().observation.steps == 0


def test_a_refused_opening_takes_no_place(server: Server):
    for fields in ({"lanes": 0}, {"options": {"goal": {"text": "x"}}}, {"fields": ["nope"]}, {"layout": 9}):
        with Stream(server.address) as stream:
            assert stream.ask(opening(**fields)).HasField("status")
    with Stream(server.address) as one, Stream(server.address) as two:
        one.open()
        two.open()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lanes": 0}, "open.lanes"),
        ({"lanes": 9}, "open.lanes"),
        ({"lanes": 2**32 - 1}, "open.lanes"),
        ({"lanes": 2, "shards": 3}, "open.shards"),
        ({"lanes": 8, "shards": 2**32 - 1}, "open.shards"),
        ({"lanes": 8, "shards": 4}, "open.shards"),
        ({"fields": ["pixels", "nope"]}, "open.fields"),
        ({"layout": 9}, "open.layout"),
        ({"autoreset_mode": 9}, "open.autoreset_mode"),
        ({"options": {"gaol": {"integer": 1}}}, "options.gaol"),
        ({"options": {"goal": {"text": "1"}}}, "options.goal"),
        ({"options": {"goal": {"boolean": True}}}, "options.goal"),
        ({"options": {"goal": {}}}, "options.goal"),
        ({"options": {"goal": {"array": {"dtype": 6, "shape": [2**64 - 1], "data": b""}}}}, "open.options.goal.data"),
        ({"options": {"goal": {"array": {"dtype": 6, "shape": [0, 2**62, 2**62]}}}}, "open.options.goal.shape"),
        ({"options": {"goal": {"array": {"dtype": 99}}}}, "open.options.goal.dtype"),
        ({"spec_hash": "0" * 64}, "open.spec_hash"),
        ({"protocol_revision": 0}, "open.protocol_revision"),
        ({"protocol_revision": 2}, "open.protocol_revision"),
    ],
    ids=str,
)
@pytest.mark.parametrize("face", ["stream", "unary"])
def test_a_bad_opening_names_the_field(server: Server, face: str, fields: dict, field: str):
    request = opening(**fields)
    if face == "stream":
        with Stream(server.address) as stream:
            answer = stream.ask(request)
            assert answer.ended
            found = fault(answer.status)
    else:
        with Unary(server.address) as unary:
            found = unary.refused("Open", environment_pb2.OpenRequest(open=request.open))
    assert found.field == field
    assert found.code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")


@pytest.mark.parametrize("face", ["stream", "unary"])
def test_an_endless_name_is_answered_at_once(server: Server, face: str):
    request = opening(options={"x" * 900_000: {"text": "y"}})
    began = time.monotonic()
    if face == "stream":
        with Stream(server.address) as stream:
            found = fault(stream.ask(request).status)
    else:
        with Unary(server.address) as unary:
            found = unary.refused("Open", environment_pb2.OpenRequest(open=request.open))
    assert found.field == "options." + "x" * 64
    assert time.monotonic() - began < 1


def test_an_opening_is_small(server: Server):
    request = opening(options={"goal": {"list": {"items": [{"integer": 1}] * 400_000}}})
    assert len(request.SerializeToString()) > 1 << 20
    began = time.monotonic()
    with Stream(server.address) as stream:
        found = fault(stream.ask(request).status)
    assert (found.reason, found.field) == ("MESSAGE_TOO_LARGE", "open")
    assert time.monotonic() - began < 1


# -- sessions of unary calls ------------------------------------------------------------------------------------------


def open_unary(unary: Unary, **fields: object) -> str:
    answer = unary("Open", environment_pb2.OpenRequest(open=opening(**fields).open))
    session_id: str = answer.open.session_id
    unary("Reset", environment_pb2.ResetRequest(session_id=session_id, seq=1))
    return session_id


def test_an_idle_session_of_unary_calls_is_closed(server: Server):
    with Unary(server.address) as unary:
        session_id = open_unary(unary)
        processes.until(lambda: unary("Describe").open_sessions == 0, timeout_s=3)
        found = unary.refused("GetState", environment_pb2.GetStateRequest(session_id=session_id, seq=2))
        assert (found.code, found.reason) == ("NOT_FOUND", "SESSION_LOST")
        assert "idle" in found.message


def test_a_session_in_use_is_not_idle(server: Server):
    with Unary(server.address) as unary:
        session_id = open_unary(unary)
        for seq in range(2, 8):
            time.sleep(0.25)
            unary("GetState", environment_pb2.GetStateRequest(session_id=session_id, seq=seq))
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))


def test_a_stream_is_never_idle(full: list[Stream]):
    time.sleep(1.3)
    for stream in full:
        assert stream.ask(seq=1, reset={}).WhichOneof("result") == "reset"


def test_closing_twice_is_no_error(server: Server):
    with Unary(server.address) as unary:
        session_id = open_unary(unary)
        for _ in range(2):
            answer = unary("Close", environment_pb2.CloseRequest(session_id=session_id))
            assert answer.ended
            assert answer.close == session_pb2.Closed()
        assert unary("Close", environment_pb2.CloseRequest(session_id="never seen")).ended
        found = unary.refused("Step", environment_pb2.StepRequest(session_id=session_id, seq=2))
        assert found.reason == "SESSION_LOST"
        assert "closed" in found.message


@pytest.mark.parametrize("session_id", ["", "x", "0" * 10_000])
def test_a_session_that_does_not_exist(server: Server, session_id: str):
    with Unary(server.address) as unary:
        for verb in ("Reset", "Step", "GetState", "Snapshot", "Restore"):
            request = getattr(environment_pb2, f"{verb}Request")(session_id=session_id, seq=1)
            assert unary.refused(verb, request).reason == "SESSION_LOST"


def test_a_unary_call_carries_its_own_verb_alone(server: Server):
    with Unary(server.address) as unary:
        session_id = open_unary(unary)
        wrong = environment_pb2.StepRequest(session_id=session_id, seq=2, step={}).SerializeToString()
        found = unary.refused("Reset", wrong)
        assert (found.reason, found.field) == ("INVALID_ARGUMENT", "verb")
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))


def test_a_unary_request_repeated_after_a_timeout_is_executed_once(server: Server):
    with Unary(server.address) as unary:
        session_id = open_unary(unary)
        step = environment_pb2.StepRequest(session_id=session_id, seq=2, step={"actions": [b"\x08\x02"]})
        assert unary("Step", step) == unary("Step", step)
        state = unary("GetState", environment_pb2.GetStateRequest(session_id=session_id, seq=3))
        assert state.state.states == [b"\x08\x02\x10\x01"]  # position 1, episode 1
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))


def test_shards_are_built_at_the_same_time():
    with running(PROBE, shards=4) as server:
        start = time.monotonic()
        with oe.connect_vec(server.address, 4, shards=4, construct="sleep:0.6"):
            assert 0.6 <= time.monotonic() - start < 4 * 0.6
