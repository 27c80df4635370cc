"""Deadlines: the budget travels, interrupts the environment, and no late answer is ever taken for a later request's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import grpc
import pytest
from openenv_probe.v1 import probe_pb2

import openenv_grpc as oe
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, IllegalVerb, SessionLost
from openenv_grpc.v1 import environment_pb2
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.actions import do
from tests.helpers.packages import PROBE
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Stream, Unary, fault, opening


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE, step_time_s=1.0, session_idle_s=0.4) as found:
        yield found


@pytest.fixture
def stream(server: Server) -> Iterator[Stream]:
    """A session of one lane, reset; its next number is 2."""
    with Stream(server.address) as found:
        found.open()
        found.ask(seq=1, reset={})
        yield found


@pytest.fixture
def neighbour(server: Server) -> Iterator[Stream]:
    """A session that must not notice anything."""
    with Stream(server.address) as found:
        found.open()
        found.ask(seq=1, reset={})
        yield found
        assert found.ask(seq=2, step=do("still here")).step.observations


@pytest.mark.parametrize("verb", ["spin", "sleep"])
def test_an_environment_that_takes_too_long_is_interrupted(stream: Stream, neighbour: Stream, verb: str):
    began = time.monotonic()
    answer = stream.ask(seq=2, timeout_ms=200, step=do(verb, amount=30))
    assert 0.15 < time.monotonic() - began < 0.9
    assert (answer.seq, answer.ended) == (2, False)
    found = fault(answer.status)
    assert (found.code, found.reason) == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    refused = stream.refused(seq=3, step=do("on"))
    assert (refused.reason, "reset" in refused.message) == ("ILLEGAL_VERB", True)
    stream.ask(seq=4, reset={})
    assert b"right" in stream.ask(seq=5, step=do("right")).step.observations[0]


def test_the_servers_limit_holds_where_the_client_gives_none(stream: Stream):
    began = time.monotonic()
    assert fault(stream.ask(seq=2, step=do("sleep", amount=30)).status).reason == "DEADLINE_EXCEEDED"
    assert 0.8 < time.monotonic() - began < 1.9


def test_a_budget_beyond_the_servers_limit_is_capped(stream: Stream):
    began = time.monotonic()
    answer = stream.ask(seq=2, timeout_ms=60_000, step=do("sleep", amount=30))
    assert fault(answer.status).reason == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 1.9


def test_requests_behind_an_interrupted_one_get_their_own_answers(stream: Stream):
    stream.send(Request(seq=2, timeout_ms=200, step=do("sleep", amount=30)))
    stream.send(Request(seq=3, reset={}))
    stream.send(Request(seq=4, step=do("mine")))
    answers = [stream.receive() for _ in range(3)]
    assert [answer.seq for answer in answers] == [2, 3, 4]
    assert fault(answers[0].status).reason == "DEADLINE_EXCEEDED"
    assert b"reset" in answers[1].reset.observations[0]
    assert b"mine" in answers[2].step.observations[0]


def test_the_answer_of_an_interrupted_request_can_be_had_again(stream: Stream):
    request = Request(seq=2, timeout_ms=100, step=do("sleep", amount=30))
    assert stream.ask(request) == stream.ask(request)


@pytest.mark.parametrize("verb", ["deaf", "stubborn"])
def test_an_environment_that_cannot_be_interrupted_is_ended(stream: Stream, neighbour: Stream, verb: str):
    worker = stream.worker(seq=2)
    began = time.monotonic()
    stream.send(Request(seq=3, timeout_ms=200, step=do(verb, amount=30)))
    stream.send(Request(seq=4, step=do("on")))
    answers = stream.rest()
    assert time.monotonic() - began < 3
    assert [answer.seq for answer in answers] == [3, 4, 0]
    for answer in answers:
        assert answer.ended
        assert fault(answer.status)[:2] == ("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED")
    processes.until(lambda: not processes.alive([worker]))


def test_the_client_gets_the_right_answer_after_a_timeout(server: Server):
    with oe.connect(server.address) as env:
        env.reset()
        for turn in range(3):
            with pytest.raises(DeadlineExceeded):
                env.step(blank("sleep", amount=30), timeout_s=0.1)
            with pytest.raises(IllegalVerb):
                env.step(blank("on"))
            assert env.reset().observation.verb == "reset"
            assert env.step(blank(f"turn {turn}")).observation.verb == f"turn {turn}"


def test_a_cancelled_task_leaves_no_answer_behind(server: Server):
    async def play() -> None:
        async with oe.aio.connect(server.address) as env:
            await env.reset()
            task = asyncio.ensure_future(env.step(blank("sleep", amount=0.4)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            for turn in range(5):
                result = await env.step(blank(f"turn {turn}"))
                assert result.observation.verb == f"turn {turn}"

    asyncio.run(play())


def test_a_batch_that_runs_out_of_time_hands_over_what_was_done(server: Server):
    with VectorEnvClient.connect(server.address, 4, shards=2) as vec:
        vec.reset()
        verbs = [blank("a"), blank("sleep", amount=30), blank("c"), blank("d")]
        with pytest.raises(DeadlineExceeded) as caught:
            vec.step(verbs, timeout_s=0.2)
        assert sorted(caught.value.lane_errors) == [1]
        assert caught.value.partial.observation.verb == ["a", "", "c", "d"]
        with pytest.raises(IllegalVerb, match="lane 1"):
            vec.step([blank("on")] * 4)
        vec.reset(lanes=[1])
        assert vec.step([blank("on")] * 4).observation.steps.tolist() == [2, 1, 2, 2]


def test_a_reset_can_run_out_of_time_too(server: Server):
    with oe.connect(server.address) as env:
        with pytest.raises(DeadlineExceeded):
            env.reset(options={"verb": "sleep", "amount": 30}, timeout_s=0.2)
        env.reset()
        assert env.step(blank("on")).observation.steps == 1


def test_a_session_ended_by_its_deadline_says_so_to_later_calls(server: Server):
    with oe.connect(server.address) as env:
        env.reset()
        with pytest.raises(DeadlineExceeded, match="ended"):
            env.step(blank("deaf", amount=30), timeout_s=0.1)
        with pytest.raises(SessionLost, match="did not stop"):
            env.step(blank("on"))


def test_a_constructor_that_takes_too_long_is_interrupted(server: Server):
    began = time.monotonic()
    with pytest.raises(EnvironmentFailed, match="too long"):
        oe.connect(server.address, construct="sleep:30")
    assert time.monotonic() - began < 3


def test_a_constructor_that_never_comes_back_is_ended(server: Server):
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="not built within 1 s"):
        oe.connect(server.address, construct="deaf:30")
    assert time.monotonic() - began < 4
    processes.until(lambda: not server.workers, timeout_s=4)


def test_a_step_longer_than_the_idle_time_is_not_idle(server: Server):
    with Unary(server.address) as unary:
        session_id = unary("Open", environment_pb2.OpenRequest(open=opening().open)).open.session_id
        unary("Reset", environment_pb2.ResetRequest(session_id=session_id, seq=1))
        step = environment_pb2.StepRequest(session_id=session_id, seq=2, step=do("sleep", amount=0.9))
        assert unary("Step", step).step.observations
        time.sleep(0.3)  # less than the idle time, which begins anew with the answer
        state = environment_pb2.GetStateRequest(session_id=session_id, seq=3)
        assert unary("GetState", state).state.states
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))


def test_a_unary_caller_that_gave_up_can_ask_again(server: Server):
    with Unary(server.address) as unary:
        session_id = unary("Open", environment_pb2.OpenRequest(open=opening().open)).open.session_id
        unary("Reset", environment_pb2.ResetRequest(session_id=session_id, seq=1))
        step = environment_pb2.StepRequest(session_id=session_id, seq=2, step=do("sleep", amount=0.3))
        with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
            unary("Step", step, timeout_s=0.1)
        answer = unary("Step", step)
        assert b"sleep" in answer.step.observations[0]
        states = unary("GetState", environment_pb2.GetStateRequest(session_id=session_id, seq=3)).state.states
        assert probe_pb2.ProbeState.FromString(states[0]).total == 1
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))
