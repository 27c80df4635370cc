"""Sequence numbers: a request is executed at most once, and the last answer can be had again."""

from __future__ import annotations

import pytest

from openenv_grpc.errors import InvalidArgument, ServerFull
from openenv_grpc.specs import Limits
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair, Request, Response
from tests.helpers.stream import fault


def test_answers_echo_shard_and_seq():
    pair = Pair(BareEnvironment, lanes=4, shards=2)
    pair.reset()
    pair.step([1, 2, 3, 4])
    sent = [Request.FromString(frame) for frame in pair.sent]
    received = [Response.FromString(frame) for frame in pair.received]
    numbers = [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert [(message.shard, message.seq) for message in sent] == numbers
    assert [(message.shard, message.seq) for message in received] == numbers


@pytest.mark.parametrize("size", [0, 100_000])
def test_a_repeated_request_gets_the_same_bytes_and_is_executed_once(size: int):
    pair = Pair(BareEnvironment, size=max(size, 1))
    pair.reset()
    pair.step(1)
    answer = pair.received[-1]
    for _ in range(3):
        assert pair.exchange(pair.sent[-1]) == answer
    assert pair.environments[0].steps == 1
    assert pair.step(1).observation.steps == 2


def test_a_repetition_need_only_have_the_number_of_the_last_request():
    pair = Pair(BareEnvironment)
    pair.reset()
    pair.step(3)
    answer = pair.received[-1]
    assert pair.exchange(Request(seq=2, close={}).SerializeToString()) == answer


def test_a_refusal_is_repeated_too():
    pair = Pair(BareEnvironment)
    pair.reset()
    first = pair.plain(seq=2, step={"actions": [b"", b""]})
    assert fault(first.status).field == "step.actions"
    assert pair.plain(seq=2, step={"actions": [b"\x08\x02"]}) == first
    assert pair.environments[0].steps == 0
    assert not pair.plain(seq=3, step={"actions": [b"\x08\x02"]}).HasField("status")


@pytest.mark.parametrize("seq", [0, 1, 4, 2**64 - 1])
def test_any_other_number_is_refused_and_changes_nothing(seq: int):
    pair = Pair(BareEnvironment)
    pair.reset()
    pair.step(1)
    refused = pair.plain(seq=seq, step={"actions": [b"\x08\x02"]})
    found = fault(refused.status)
    assert (found.code, found.reason, found.field) == ("ABORTED", "SEQUENCE", "seq")
    assert refused.seq == seq
    assert not refused.ended
    assert pair.step(1).observation.steps == 2


def test_after_a_refused_number_the_last_answer_can_still_be_had():
    pair = Pair(BareEnvironment, size=70_000)
    pair.reset()
    pair.step(7)
    answer = pair.received[-1]
    for seq in (9, 9, 9):
        pair.plain(seq=seq, reset={})
    assert pair.exchange(pair.sent[1]) == answer


def test_the_first_number_is_1():
    pair = Pair(BareEnvironment)
    assert fault(pair.plain(seq=0, reset={}).status).reason == "SEQUENCE"
    assert fault(pair.plain(seq=2, reset={}).status).reason == "SEQUENCE"
    assert pair.plain(seq=1, reset={}).WhichOneof("result") == "reset"


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        ({}, "INVALID_ARGUMENT", "verb"),
        ({"open": {"lanes": 1, "protocol_revision": 1}}, "INVALID_ARGUMENT", "verb"),
        ({"extension": {"type_url": "x/y"}}, "UNSUPPORTED", "extension"),
    ],
    ids=["none", "open", "extension"],
)
def test_a_verb_that_does_not_exist_takes_its_number_like_any_other(request_: dict, reason: str, field: str):
    pair = Pair(BareEnvironment)
    pair.reset()
    found = fault(pair.plain(seq=2, **request_).status)
    assert (found.reason, found.field) == (reason, field)
    assert pair.plain(seq=3, step={"actions": [b""]}).step.IsInitialized()


def test_requests_can_be_sent_ahead_of_their_answers():
    pair = Pair(BareEnvironment, goal=1000)
    calls = [pair.client.reset(seed=5)] + [pair.client.step(1) for _ in range(10)]
    answers = [pair.exchange(frame) for call in calls for frame in call.frames]
    for answer in answers:
        pair.client.receive(answer)
    results = [call.result() for call in calls]
    assert [result.observation.position for result in results] == list(range(5, 16))


def test_more_requests_than_the_server_takes_are_a_local_error_that_counts_as_nothing_sent():
    pair = Pair(BareEnvironment, goal=1000, limits=Limits(in_flight=3))
    calls = [pair.client.reset(), pair.client.step(1), pair.client.step(1)]
    with pytest.raises(ServerFull, match="3"):
        pair.client.step(1)
    for call in calls:
        pair.run(call)
    assert pair.step(1).observation.steps == 3


def test_what_the_client_refuses_is_never_sent_and_takes_no_number():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    with pytest.raises(InvalidArgument):
        pair.client.step(blank("", level=99))
    with pytest.raises(InvalidArgument):
        pair.client.step(blank(""), timeout_s=-1)
    assert len(pair.sent) == 1
    assert pair.step(blank("")).observation.steps == 1
