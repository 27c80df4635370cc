"""An orderly end: what runs is finished and answered, everybody is told, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import openenv_grpc as oe
from openenv_grpc.errors import OpenEnvError, ServerDraining
from openenv_grpc.v1 import environment_pb2
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.actions import do
from tests.helpers.packages import BARE, PROBE
from tests.helpers.server import running
from tests.helpers.stream import Request, Stream, Unary, fault, opening


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_step_is_finished_and_all_are_told(number: signal.Signals, tmp_path: Path):
    note = tmp_path / "note"
    with running(PROBE) as server, Unary(server.address) as unary:
        with Stream(server.address) as busy, Stream(server.address) as quiet, Stream(server.address) as late:
            busy.open(options={"note": {"text": str(note)}})
            quiet.open()
            busy.ask(seq=1, reset={})
            family = [server.parent, *server.workers]
            busy.send(Request(seq=2, step=do(f"sleep:{tmp_path}/begun", amount=0.6)))
            processes.until((tmp_path / "begun").exists)
            server.process.send_signal(number)
            processes.until(lambda: unary.health() == "NOT_SERVING", timeout_s=0.4)
            assert unary("Describe").draining
            assert fault(late.ask(opening()).status)[:2] == ("UNAVAILABLE", "SERVER_DRAINING")
            answers = busy.rest()
            assert [answer.seq for answer in answers] == [2, 0]
            assert b"sleep" in answers[0].step.observations[0]
            (goodbye,) = quiet.rest()
            for answer in (answers[1], goodbye):
                assert answer.ended
                found = fault(answer.status)
                assert (found.code, found.reason, found.retry_s > 0) == ("UNAVAILABLE", "SERVER_DRAINING", True)
        assert server.wait(5) == 0
        assert not server.socket.exists()
        processes.until(lambda: not processes.alive(family))
        assert note.read_text() == "closed after 1 steps"


def test_a_signal_to_all_processes_at_once_is_the_servers_alone(tmp_path: Path):
    """As systemd and a terminal's Ctrl-C send it."""
    with running(PROBE) as server, Stream(server.address) as stream:
        stream.open()
        stream.ask(seq=1, reset={})
        stream.send(Request(seq=2, step=do(f"sleep:{tmp_path}/begun", amount=0.4)))
        processes.until((tmp_path / "begun").exists)
        for pid in (*server.workers, server.parent, server.pid):
            os.kill(pid, signal.SIGTERM)
        answers = stream.rest()
        assert b"sleep" in answers[0].step.observations[0]
        assert fault(answers[1].status).reason == "SERVER_DRAINING"
        assert server.wait(5) == 0


def test_clients_that_never_stop_stepping_do_not_keep_a_server_alive():
    errors: list[OpenEnvError] = []

    def play(address: str) -> None:
        with oe.connect(address, goal=1 << 30) as env:
            env.reset()
            started.wait()
            try:
                while True:
                    env.step(1)
            except OpenEnvError as error:
                errors.append(error)

    started = threading.Barrier(5, timeout=30)
    with running(BARE) as server:
        players = [threading.Thread(target=play, args=(server.address,)) for _ in range(4)]
        for player in players:
            player.start()
        started.wait()
        time.sleep(0.3)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 3
        for player in players:
            player.join(5)
        assert [type(error) for error in errors] == [ServerDraining] * 4, errors


def test_who_waits_in_line_is_told():
    with running(BARE, sessions=1) as server, Stream(server.address) as one, Stream(server.address) as two:
        one.open()
        two.send(opening(wait_ms=60_000))
        time.sleep(0.2)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        answer = two.receive()
        assert fault(answer.status).reason == "SERVER_DRAINING"
        assert time.monotonic() - began < 1
        assert server.wait(5) == 0


def test_who_is_being_built_is_told(tmp_path: Path):
    with running(PROBE) as server, Stream(server.address) as stream:
        stream.send(opening(options={"construct": {"text": f"sleep:{tmp_path}/begun:0.5"}}))
        processes.until((tmp_path / "begun").exists)
        server.process.send_signal(signal.SIGTERM)
        assert fault(stream.receive().status).reason == "SERVER_DRAINING"
        assert server.wait(5) == 0


def test_a_step_that_does_not_end_is_given_up():
    with running(PROBE, step_time_s=0.5) as server, Stream(server.address) as stream:
        stream.open()
        stream.ask(seq=1, reset={})
        stream.send(Request(seq=2, step=do("deaf", amount=30)))
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert fault(stream.receive().status).reason in ("DEADLINE_EXCEEDED", "SERVER_DRAINING")


def test_many_sessions_end_at_once():
    with running(BARE) as server:
        streams = [Stream(server.address) for _ in range(40)]
        for stream in streams:
            stream.send(opening())
        for stream in streams:
            assert stream.receive().open.session_id
        workers = server.workers
        assert len(workers) == 40
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 4
        for stream in streams:
            assert fault(stream.receive().status).reason == "SERVER_DRAINING"
            stream.close()
        assert not processes.alive(workers)


def test_a_server_that_is_told_to_stop_while_it_imports_stops():
    name = "tests.environments_for_tests.slow:SlowEnvironment"
    with running(name, ready=False) as server:
        processes.until(server.socket.exists)
        began = time.monotonic()
        with Unary(server.address) as unary:
            found = unary.refused("Describe")
            assert (found.code, found.retry_s > 0) == ("UNAVAILABLE", True)
            assert unary.health() == "NOT_SERVING"
        assert server.stop() == 0
        assert time.monotonic() - began < 3


def test_the_typed_goodbye_reaches_a_waiting_and_a_later_call():
    with running(PROBE, step_time_s=0.3) as server, oe.connect(server.address) as env:
        env.reset()
        server.process.send_signal(signal.SIGTERM)
        server.wait(5)
        with pytest.raises(ServerDraining):
            env.step(blank("on"))


def test_a_stale_socket_is_taken_over_and_a_live_one_is_not(tmp_path: Path):
    with running(BARE) as server:
        with pytest.raises(AssertionError, match="another server listens"), running(BARE, address=server.address):
            pass
        with Stream(server.address) as stream:
            stream.open()
            assert stream.ask(seq=1, reset={}).WhichOneof("result") == "reset"
        server.process.kill()
        server.wait()
        assert server.socket.exists()
        with running(BARE, address=server.address) as second, Stream(second.address) as stream:
            stream.open()


def test_a_unary_step_is_finished_too(tmp_path: Path):
    with running(PROBE) as server, Unary(server.address) as unary:
        session_id = unary("Open", environment_pb2.OpenRequest(open=opening().open)).open.session_id
        unary("Reset", environment_pb2.ResetRequest(session_id=session_id, seq=1))
        step = environment_pb2.StepRequest(session_id=session_id, seq=2, step=do(f"sleep:{tmp_path}/begun", amount=0.3))
        call = unary.begin("Step", step)
        processes.until((tmp_path / "begun").exists)
        server.process.send_signal(signal.SIGTERM)
        assert b"sleep" in call.result()
        assert server.wait(5) == 0
