"""What goes wrong between `send` and `recv`: lanes that fail, sessions that end, and waiting for a long time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from openenv_grpc import connect_vec
from openenv_grpc.client import channel
from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, IllegalVerb, OpenEnvError, SessionLost
from tests.client.environments import SLOW
from tests.helpers.server import Server, running


def ids(step: Any) -> list[int]:
    found: list[int] = step[4]["env_id"].tolist()
    return found


def messages(step: Any) -> list[tuple[int, str]]:
    return list(zip(ids(step), step[0]["message"], strict=True))


@pytest.mark.parametrize("shards", [1, 2])
def test_a_lane_that_fails_in_a_batch(slow: Server, shards: int):
    with connect_vec(slow.address, 4, shards=shards, batch_size=2) as vec:
        vec.reset()
        vec.send(["raise help", "fine", "sleep 0.2", "good"], [0, 1, 2, 3])
        with pytest.raises(EnvironmentFailed, match="help") as caught:
            vec.recv()
        assert set(caught.value.lane_errors) == {0}
        assert ids(caught.value.partial) == [0, 1]
        assert caught.value.partial[0]["message"] == ("", "fine")
        vec.send(["again", "more"])  # to these two; the others' answers are not lost
        found = {lane: text for _ in range(2) for lane, text in messages(vec.recv())}
        assert found == {0: "again", 1: "more", 2: "sleep 0.2", 3: "good"}


def test_a_batch_that_fails_altogether(slow: Server):
    with connect_vec(slow.address, 3, shards=3, batch_size=1) as vec:
        vec.reset()
        vec.send(["raise one", "sleep 0.3", "sleep 0.4"])
        with pytest.raises(EnvironmentFailed, match="one") as caught:
            vec.recv()
        assert (set(caught.value.lane_errors), caught.value.partial) == ({0}, None)
        with pytest.raises(IllegalVerb, match="name env_ids"):
            vec.send(["again"])
        vec.send(["again"], [0])
        assert Counter(text for _ in range(3) for _, text in messages(vec.recv())) == Counter(
            ["again", "sleep 0.3", "sleep 0.4"]
        )


def test_a_lane_that_runs_out_of_time():
    with running(SLOW, step_time_s=0.4) as server, connect_vec(server.address, 2, shards=2, batch_size=1) as vec:
        vec.reset()
        vec.send(["sleep 9", "x"])
        assert messages(vec.recv()) == [(1, "x")]
        with pytest.raises(DeadlineExceeded):
            vec.recv()
        with pytest.raises(IllegalVerb, match=r"lane 0: .* interrupted; call reset"):
            vec.send(["x"], [0])
        vec.async_reset([0])
        assert messages(vec.recv()) == [(0, "")]
        vec.send(["y"])
        assert messages(vec.recv()) == [(0, "y")]


def test_a_session_that_is_lost(slow: Server):
    with connect_vec(slow.address, 4, shards=2, batch_size=2) as vec:
        vec.reset()
        worker = int(vec.client.state()[0].episode_id)
        vec.send(["sleep 30", "x", "y", "z"])
        os.kill(worker, signal.SIGKILL)
        delivered: Counter[int] = Counter()
        for _ in range(2):
            try:
                delivered.update(ids(vec.recv()))
            except OpenEnvError as error:
                delivered.update([*error.lane_errors])
        assert delivered == Counter(range(4))
        with pytest.raises(IllegalVerb, match="nothing is under way"):
            vec.recv()
        with pytest.raises(SessionLost):
            vec.send(["x"], [0])


def test_answers_may_wait_as_long_as_the_learner_needs(monkeypatch: pytest.MonkeyPatch):
    """No clock runs while nobody waits: the answers are there, only not read."""
    monkeypatch.setattr(channel, "GRACE_S", 0.1)
    with running(SLOW, step_time_s=0.2) as server, connect_vec(server.address, 2, shards=2, batch_size=1) as vec:
        vec.async_reset()
        first = ids(vec.recv())
        time.sleep(2.5)
        assert sorted(first + ids(vec.recv())) == [0, 1]
        assert vec.step(["a", "b"])[0]["message"] == ("a", "b")


def test_a_server_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(channel, "GRACE_S", 0.3)
    arguments = {"shards": 2, "batch_size": 1, "transport": "grpc"}  # by the local lane the workers answer without it
    with running(SLOW, step_time_s=0.3) as server, connect_vec(server.address, 2, **arguments) as vec:
        vec.reset()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            vec.send(["x", "y"])
            for _ in range(2):
                with pytest.raises(SessionLost, match="has not answered step in time"):
                    vec.recv()
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_sending_in_one_thread_and_receiving_in_another(slow: Server):
    """The sender keeps several batches in flight while the receiver waits."""
    turns = 40
    with connect_vec(slow.address, 6, shards=2, batch_size=1) as vec, ThreadPoolExecutor(1) as pool:
        vec.reset()
        free, ready = [*range(6)], threading.Condition()

        def receive() -> Counter[int]:
            seen: Counter[int] = Counter()
            while sum(seen.values()) < 6 * turns:
                try:
                    step = vec.recv()
                except IllegalVerb:  # the sender is late
                    time.sleep(0.001)
                    continue
                for lane, text in messages(step):
                    assert text == f"{lane}: {seen[lane]}"
                    seen[lane] += 1
                with ready:
                    free.extend(ids(step))
                    ready.notify()
            return seen

        received, sent = pool.submit(receive), Counter[int]()
        while sum(sent.values()) < 6 * turns:
            with ready:
                assert ready.wait_for(lambda: free, timeout=20)
                lanes = [free.pop(0) for _ in range(min(2, len(free)))]
            lanes = [lane for lane in lanes if sent[lane] < turns]
            if lanes:
                vec.send([f"{lane}: {sent[lane]}" for lane in lanes], lanes)
                sent.update(lanes)
        assert received.result(20) == sent == Counter(dict.fromkeys(range(6), turns))
