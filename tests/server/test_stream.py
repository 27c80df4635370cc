"""A session's stream: what the server makes of every request, in order or out of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openenv_bare.v1 import bare_pb2

from openenv_grpc.v1 import environment_pb2
from tests.helpers import processes
from tests.helpers.actions import bare, do, probe
from tests.helpers.packages import BARE, PROBE
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Response, Stream, Unary, fault, opening


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE, in_flight=4, chunk=16) as found:
        yield found


@pytest.fixture
def stream(server: Server) -> Iterator[Stream]:
    """A session of one lane, reset; its next number is 2."""
    with Stream(server.address) as found:
        found.open()
        assert found.ask(seq=1, reset={}).WhichOneof("result") == "reset"
        yield found


def test_opening_says_what_is_in_force(server: Server):
    with Stream(server.address) as stream:
        opened = stream.open(lanes=5, shards=2)
        assert [(shard.first_lane, shard.lanes) for shard in opened.shards] == [(0, 2), (2, 3)]
        assert opened.limits.in_flight == 4
        assert opened.autoreset_mode == 1
        assert len(opened.session_id) >= 32
        assert [column.name for column in opened.spec.action][:2] == ["amount", "level"]


@pytest.mark.parametrize("shards", [0, 1])
def test_the_server_chooses_no_more_shards_than_lanes(server: Server, shards: int):
    with Stream(server.address) as stream:
        assert len(stream.open(lanes=1, shards=shards).shards) == 1


def test_the_first_request_must_open(server: Server):
    with Stream(server.address) as stream:
        answer = stream.ask(seq=1, reset={})
        assert fault(answer.status).field == "verb"
        assert answer.ended
        assert stream.rest() == []


def test_a_second_open_is_refused_and_the_session_lives(stream: Stream):
    again = opening(3)
    again.seq = 2
    found = stream.refused(again)
    assert (found.code, found.field) == ("INVALID_ARGUMENT", "verb")
    assert stream.ask(seq=3, step=do("on")).step.observations


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({}, "INVALID_ARGUMENT", "verb"),
        ({"extension": {"type_url": "type.googleapis.com/x.Y", "value": b"z"}}, "UNSUPPORTED", "extension"),
    ],
    ids=["none", "extension"],
)
def test_a_verb_that_does_not_exist(stream: Stream, fields: dict, reason: str, field: str):
    found = stream.refused(seq=2, **fields)
    assert (found.reason, found.field) == (reason, field)
    assert stream.ask(seq=3, step=do("on")).step.observations


def test_a_verb_of_a_later_revision(stream: Stream):
    later = Request(seq=2).SerializeToString() + b"\x6a\x02\x08\x01"  # field 13
    assert stream.refused(later).field == "verb"
    assert stream.ask(seq=3, step=do("on")).step.observations


@pytest.mark.parametrize("shard", [1, 2**32 - 1])
def test_a_shard_that_does_not_exist(stream: Stream, shard: int):
    answer = stream.ask(seq=2, shard=shard, step=do("on"))
    assert fault(answer.status)[:3] == ("INVALID_ARGUMENT", "INVALID_ARGUMENT", "shard")
    assert (answer.shard, answer.seq) == (shard, 2)
    assert stream.ask(seq=2, step=do("on")).step.observations  # the number is the shard's, so it was not used


def test_answers_come_in_order_and_echo_their_numbers(stream: Stream):
    for seq in range(2, 6):
        stream.send(Request(seq=seq, step=do(f"say {seq}")))
    answers = [stream.receive() for _ in range(4)]
    assert [answer.seq for answer in answers] == [2, 3, 4, 5]
    assert [f"say {answer.seq}".encode() in answer.step.observations[0] for answer in answers] == [True] * 4


def test_more_requests_than_allowed_are_refused_at_once_and_the_session_lives(stream: Stream):
    stream.send(Request(seq=2, step=do("sleep", amount=0.5)))
    for seq in range(3, 9):
        stream.send(Request(seq=seq, step=do("on")))
    answers = {answer.seq: answer for answer in (stream.receive() for _ in range(7))}
    assert [seq for seq, answer in answers.items() if not answer.HasField("status")] == [2, 3, 4, 5]
    for seq in (6, 7, 8):
        found = fault(answers[seq].status)
        assert (found.code, found.reason) == ("RESOURCE_EXHAUSTED", "SERVER_FULL")
    assert stream.ask(seq=6, step=do("on")).step.observations


def test_the_same_request_twice_on_the_wire_is_executed_once(stream: Stream):
    request = Request(seq=2, step=do("on"))
    first, second = stream.ask(request), stream.ask(request)
    assert first == second
    assert stream.ask(seq=3, state={}).state.states[0].count(b"\x10\x01") >= 1  # steps: 1
    assert stream.refused(seq=2, step=do("on")).reason == "SEQUENCE"


def test_every_request_sent_before_a_half_close_is_answered(server: Server):
    with Stream(server.address) as stream:
        stream.send(opening())
        stream.send(Request(seq=1, reset={}))
        stream.send(Request(seq=2, step=do("sleep", amount=0.2)))
        stream.send(Request(seq=3, step=do("on")))
        stream.half_close()
        answers = stream.rest()
    assert [answer.WhichOneof("result") for answer in answers] == ["open", "reset", "step", "step"]


def test_close_answers_what_waits_and_then_itself(stream: Stream, tmp_path: Path):
    stream.send(Request(seq=2, step=do(f"sleep:{tmp_path}/begun", amount=20)))
    stream.send(Request(seq=3, step=do("on")))
    processes.until((tmp_path / "begun").exists)
    began = time.monotonic()
    stream.send(Request(seq=4, close={}))
    answers = stream.rest()
    assert time.monotonic() - began < 2
    assert [answer.seq for answer in answers] == [2, 3, 4]
    assert [fault(answer.status).reason for answer in answers[:2]] == ["SESSION_CLOSED", "SESSION_CLOSED"]
    assert answers[2].WhichOneof("result") == "close"
    assert all(answer.ended for answer in answers)


def test_after_close_the_stream_has_ended(stream: Stream):
    assert stream.ask(seq=2, close={}).ended
    stream.send(Request(seq=3, close={}))
    assert stream.rest() == []


def test_an_ordered_end_lets_the_environment_close(server: Server, tmp_path: Path):
    note = tmp_path / "note"
    with Stream(server.address) as stream:
        stream.open(options={"note": {"text": str(note)}})
        stream.ask(seq=1, reset={})
        stream.ask(seq=2, step=do("on"))
        stream.ask(seq=3, close={})
    processes.until(note.exists)
    processes.until(lambda: note.read_text() == "closed after 1 steps")


def test_a_broken_connection_ends_the_session_and_lets_the_environment_close(server: Server, tmp_path: Path):
    note = tmp_path / "note"
    with Stream(server.address) as stream:
        stream.open(options={"note": {"text": str(note)}})
    processes.until(note.exists)
    with Unary(server.address) as unary:
        processes.until(lambda: unary("Describe").open_sessions == 0)


def test_a_broken_connection_ends_a_worker_in_the_middle_of_a_step(server: Server):
    with Stream(server.address) as stream:
        stream.open()
        stream.ask(seq=1, reset={})
        stream.send(Request(seq=2, step=do("deaf", amount=30)))
        time.sleep(0.1)
    processes.until(lambda: not server.workers, timeout_s=4)


def test_unary_calls_and_the_stream_share_the_table(stream: Stream, server: Server):
    with Unary(server.address) as unary:
        session_id = stream.opened.session_id
        answer = unary("Step", environment_pb2.StepRequest(session_id=session_id, seq=2, step=do("on")))
        assert answer.step.observations
        assert stream.ask(seq=3, step=do("on")).step.observations
        assert unary("Describe").open_sessions == 1
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))
        goodbye = stream.receive()
        assert (goodbye.seq, goodbye.ended) == (0, True)
        assert fault(goodbye.status).reason == "SESSION_CLOSED"
        assert stream.rest() == []
        assert unary("Describe").open_sessions == 0


def test_a_client_that_does_not_read_cannot_fill_the_servers_memory():
    with running(BARE, in_flight=8, message_bytes=4 << 20) as server, Stream(server.address) as stream:
        stream.open(options={"size": {"integer": 1 << 20}, "goal": {"integer": 1 << 20}})
        stream.ask(seq=1, reset={})
        before = processes.rss(server.pid)
        for seq in range(2, 300):
            stream.send(Request(seq=seq, step={"actions": [bare(1)]}))
            time.sleep(0.004)  # so that most are carried out before the next one comes
        grown = processes.rss(server.pid) - before
        assert grown < 100 << 20, f"{grown >> 20} MB"
        seen = 0
        for _ in range(298):  # nobody is forgotten, though some may be refused
            seen += not stream.receive().HasField("status")
        assert seen >= 8


def test_columns_can_be_answered_too(server: Server):
    with running(BARE) as bare_server, Stream(bare_server.address) as stream:
        stream.open(lanes=2, shards=1, layout=2)
        stream.ask(seq=1, reset={})
        answer = stream.ask(seq=2, step={"actions": [bare(1), bare(2)]})
        seen = [bare_pb2.BareObservation.FromString(data).position for data in answer.step.observations]
        assert seen == [1, 2]
        assert not answer.payload


def test_probe_actions_are_what_protobuf_writes():
    assert probe("hi").startswith(b"\x0a\x02hi")
    assert Response.DESCRIPTOR.full_name == "openenv_grpc.v1.SessionResponse"
