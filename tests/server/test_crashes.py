"""Environments that die: their own session learns how, and no other notices."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

import openenv_grpc as oe
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.errors import EnvironmentCrashed, EnvironmentFailed, OpenEnvError, SessionLost, harmless
from openenv_grpc.v1 import environment_pb2
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.actions import do
from tests.helpers.packages import PROBE
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Stream, Unary, fault, opening


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE) as found:
        yield found


@pytest.fixture
def neighbour(server: Server) -> Iterator[Stream]:
    """A session that must not notice anything."""
    with Stream(server.address) as found:
        found.open(lanes=2, shards=2)
        for shard in (0, 1):
            found.ask(shard=shard, seq=1, reset={})
        yield found
        for shard in (0, 1):
            answer = found.ask(shard=shard, seq=2, step=do("still here"))
            assert b"still here" in answer.step.observations[0]


DEATHS = [
    ("segfault", 0, "signal", "SIGSEGV"),
    ("exit", 3, "exit_code", "3"),
    ("exit", 0, "exit_code", "0"),
    ("sysexit", 4, "exit_code", "4"),
    ("kill", 0, "signal", "SIGKILL"),
]


@pytest.mark.parametrize(("verb", "amount", "key", "value"), DEATHS)
def test_whoever_waits_learns_how_the_environment_died(
    server: Server, neighbour: Stream, verb: str, amount: float, key: str, value: str
):
    with Stream(server.address) as stream:
        stream.open()
        stream.ask(seq=1, reset={})
        began = time.monotonic()
        stream.send(Request(seq=2, step=do(verb, amount=amount)))
        stream.send(Request(seq=3, step=do("on")))
        answers = stream.rest()
    assert time.monotonic() - began < 2
    assert [answer.seq for answer in answers] in ([2, 3, 0], [2, 0])  # the last request may have come too late
    for answer in answers:
        assert answer.ended
        found = fault(answer.status)
        assert (found.code, found.reason) == ("INTERNAL", "ENVIRONMENT_CRASHED")
        assert found.metadata[key] == value
        assert value in found.message


@pytest.mark.parametrize(("verb", "amount", "key", "value"), DEATHS)
def test_the_client_raises_it_now_and_names_it_later(
    server: Server, neighbour: Stream, verb: str, amount: float, key: str, value: str
):
    with oe.connect(server.address) as env:
        env.reset()
        with pytest.raises(EnvironmentCrashed, match=value) as caught:
            env.step(blank(verb, amount=amount))
        assert caught.value.metadata[key] == value
        with pytest.raises(SessionLost, match=value) as lost:
            env.step(blank("on"))
        assert lost.value.metadata[key] == value
    with oe.connect(server.address) as env:
        assert env.reset().observation.verb == "reset"


def test_one_shards_death_ends_the_whole_session(server: Server, neighbour: Stream):
    with VectorEnvClient.connect(server.address, 4, shards=4) as vec:
        vec.reset()
        workers = [state.pid for state in vec.state()]
        assert len(set(workers)) == 4
        with pytest.raises(EnvironmentCrashed, match="SIGKILL") as caught:
            vec.step([blank("on"), blank("on"), blank("kill"), blank("on")])
        assert caught.value.metadata["shard"] == "2"
        processes.until(lambda: not processes.alive(workers))


def test_a_death_between_calls_is_the_next_calls_error(server: Server, neighbour: Stream):
    with oe.connect(server.address) as env:
        env.reset()
        os.kill(env.state().pid, signal.SIGKILL)
        time.sleep(0.2)
        with pytest.raises(EnvironmentCrashed, match="SIGKILL"):
            env.step(blank("on"))


def test_a_unary_caller_learns_it_too(server: Server, neighbour: Stream):
    with Unary(server.address) as unary:
        session_id = unary("Open", environment_pb2.OpenRequest(open=opening().open)).open.session_id
        unary("Reset", environment_pb2.ResetRequest(session_id=session_id, seq=1))
        found = unary.refused(
            "Step", environment_pb2.StepRequest(session_id=session_id, seq=2, step=do("exit", amount=3))
        )
        assert (found.code, found.reason, found.metadata["exit_code"]) == ("INTERNAL", "ENVIRONMENT_CRASHED", "3")
        found = unary.refused("Step", environment_pb2.StepRequest(session_id=session_id, seq=3, step=do("on")))
        assert (found.reason, found.metadata["exit_code"]) == ("SESSION_LOST", "3")
        assert "exited with code 3" in found.message


def test_what_the_environment_writes_to_its_sockets_ends_its_session_alone(server: Server, neighbour: Stream):
    with oe.connect(server.address) as env:
        env.reset()
        with pytest.raises(OpenEnvError) as caught:
            env.step(blank("garble", amount=0.5), timeout_s=5)
        assert caught.value.reason in ("ENVIRONMENT_CRASHED", "MALFORMED_FRAME")
    with oe.connect(server.address) as env:
        env.reset()


def test_memory_that_is_not_there_is_an_error_like_any_other(server: Server, neighbour: Stream):
    with oe.connect(server.address) as env:
        env.reset()
        with pytest.raises(EnvironmentFailed, match="MemoryError"):
            env.step(blank("hog", amount=2**31))
        assert env.step(blank("on")).observation.steps == 1


@pytest.mark.parametrize(
    ("construct", "error", "message"),
    [
        ("raise:no licence:0", EnvironmentFailed, "ValueError: no licence"),
        ("exit:3", EnvironmentCrashed, "exited with code 3"),
        ("segfault:0", EnvironmentCrashed, "SIGSEGV"),
        ("kill:0", EnvironmentCrashed, "SIGKILL"),
    ],
)
def test_an_environment_that_cannot_be_built(
    server: Server, neighbour: Stream, construct: str, error: type[OpenEnvError], message: str
):
    began = time.monotonic()
    with pytest.raises(error, match=message):
        oe.connect(server.address, construct=construct)
    with pytest.raises(error, match=message):
        VectorEnvClient.connect(server.address, 4, shards=2, construct=construct)
    assert time.monotonic() - began < 3
    with Unary(server.address) as unary:
        assert unary("Describe").open_sessions == 1  # the neighbour's
    processes.until(lambda: len(server.workers) == 2)


def test_a_worker_that_dies_while_others_are_built(server: Server, tmp_path: object):
    began = time.monotonic()
    with pytest.raises(EnvironmentCrashed, match="exited with code 3"):
        VectorEnvClient.connect(server.address, 3, shards=3, construct=f"once:{tmp_path}/first:20")
    assert time.monotonic() - began < 3
    processes.until(lambda: not server.workers)


@pytest.mark.parametrize("message", ["x" * 100_000, "ü" * 50_000, "🜁" * 30_000, "line\n" * 5000, "\0\x7f"], ids=len)
def test_long_and_odd_messages_arrive_on_both_faces(server: Server, message: str):
    with oe.connect(server.address) as env:
        env.reset()
        with pytest.raises(EnvironmentFailed) as caught:
            env.step(blank(f"raise:{message}"))
        assert harmless(message[:300]) in caught.value.message  # a terminal shows it and does nothing else
    with Unary(server.address) as unary:
        session_id = unary("Open", environment_pb2.OpenRequest(open=opening().open)).open.session_id
        unary("Reset", environment_pb2.ResetRequest(session_id=session_id, seq=1))
        request = environment_pb2.StepRequest(session_id=session_id, seq=2, step=do(f"raise:{message}"))
        found = unary.refused("Step", request)
        assert found.reason == "ENVIRONMENT_FAILED"
        assert message[:200] in found.message
        unary("Close", environment_pb2.CloseRequest(session_id=session_id))


def test_the_servers_log_has_the_traceback(server: Server):
    with oe.connect(server.address) as env:
        env.reset()
        with pytest.raises(EnvironmentFailed):
            env.step(blank("raise:look me up"))
    assert "ValueError: look me up" in server.text
    assert "do_raise" in server.text


def test_a_killed_server_takes_parent_and_workers_along():
    with running(PROBE) as server, Stream(server.address) as stream:
        stream.open(lanes=2, shards=2)
        family = [server.parent, *server.workers]
        assert len(family) == 3
        server.process.kill()
        server.wait()
        processes.until(lambda: not processes.alive(family))
        with pytest.raises(Exception, match="UNAVAILABLE"):
            stream.receive()


def test_a_killed_parent_is_told_to_everybody():
    with running(PROBE) as server, oe.connect(server.address) as env, Unary(server.address) as unary:
        env.reset()
        workers = server.workers
        os.kill(server.parent, signal.SIGKILL)
        with pytest.raises(EnvironmentCrashed):
            env.step(blank("sleep", amount=30))
        processes.until(lambda: not processes.alive(workers))
        found = unary.refused("Describe")
        assert (found.code, found.reason) == ("UNAVAILABLE", "SERVER_UNAVAILABLE")
        assert "parent process died" in found.message
        assert unary.refused("Open", environment_pb2.OpenRequest(open=opening().open)).reason == "SERVER_UNAVAILABLE"
        assert unary.health() == "NOT_SERVING"
        assert server.stop() == 0


def test_a_fork_that_fails_refuses_one_session_and_harms_no_other():
    name = "tests.environments_for_tests.unforkable:UnforkableEnvironment"
    with running(name) as server, Stream(server.address) as stream:
        stream.open()
        found = fault(Stream(server.address).ask(opening()).status)
        assert (found.code, found.reason) == ("RESOURCE_EXHAUSTED", "SERVER_FULL")
        assert found.retry_s > 0
        assert stream.ask(seq=1, reset={}).WhichOneof("result") == "reset"
