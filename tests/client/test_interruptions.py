"""A call that is cut short in the client leaves the session in step: the next answer belongs to the next call."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from openenv_grpc import aio, connect, connect_vec
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.errors import DeadlineExceeded, IllegalVerb, SessionLost
from tests.client.environments import SLOW
from tests.helpers.server import Server, running


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Raises KeyboardInterrupt in this thread after so many seconds, as Ctrl-C does.

    Python drops an exception that is raised in a destructor or in a weak reference's callback, also this one. Whoever
    sees that nothing happened presses again, and so does this fixture.
    """
    timers: list[threading.Timer] = []
    unraisable = sys.unraisablehook

    def after(seconds: float) -> None:
        timers.append(threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR1)))
        timers[-1].start()

    def raise_it(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def dropped(problem: Any) -> None:
        if problem.exc_type is KeyboardInterrupt:
            after(0.2)  # not sooner: starting a thread may take that long, and drops it once more
        else:
            unraisable(problem)

    before = signal.signal(signal.SIGUSR1, raise_it)
    monkeypatch.setattr(sys, "unraisablehook", dropped)
    yield after
    for timer in timers:
        timer.join()
    signal.signal(signal.SIGUSR1, before)


def test_ctrl_c_that_python_drops_is_pressed_again(interrupt: Any):
    """The fixture itself: a test that waits for a dropped interrupt would wait for ever."""

    class Busy:
        def __del__(self) -> None:
            time.sleep(0.2)

    def work() -> None:
        Busy()  # gone at once
        time.sleep(5)

    interrupt(0.05)
    with pytest.raises(KeyboardInterrupt):
        work()


def test_ctrl_c_in_a_step_then_step_again(slow: Server, interrupt: Any):
    with connect(slow.address) as env:
        env.reset()
        interrupt(0.15)
        with pytest.raises(KeyboardInterrupt):
            env.step("sleep 0.4")
        for number in range(5):
            result = env.step(f"after {number}")
            assert (result.observation.message, result.observation.length) == (f"after {number}", number + 2)
        assert env.state().step_count == 6


def test_ctrl_c_when_the_answer_is_there_before_the_next_call(slow: Server, interrupt: Any):
    with connect(slow.address) as env:
        env.reset()
        interrupt(0.1)
        with pytest.raises(KeyboardInterrupt):
            env.step("sleep 0.25")
        time.sleep(0.3)
        assert env.step("after").observation.message == "after"
        assert env.step("more").observation.length == 3


def test_ctrl_c_twice(slow: Server, interrupt: Any):
    with VectorEnvClient.connect(slow.address, 2, shards=2) as env:
        env.reset()
        for _ in range(2):
            interrupt(0.1)
            with pytest.raises(KeyboardInterrupt):
                env.step(["sleep 0.3", "x"])
        assert env.step(["a", "b"]).observation.message == ["a", "b"]
        assert [state.step_count for state in env.state()] == [3, 3]


def test_ctrl_c_in_recv_loses_nothing(slow: Server, interrupt: Any):
    with connect_vec(slow.address, 2, shards=2) as vec:
        vec.reset()
        for number in range(1, 3):
            vec.send(["sleep 0.2", "sleep 0.5"])
            for after in (0.1, 0.25):  # before any answer; between both
                interrupt(after)
                with pytest.raises(KeyboardInterrupt):
                    vec.recv()
            observation, *_, info = vec.recv()
            assert dict(zip(info["env_id"].tolist(), observation["message"], strict=True)) == {
                0: "sleep 0.2",
                1: "sleep 0.5",
            }
            assert observation["length"].tolist() == [number, number]


def test_ctrl_c_at_any_moment(slow: Server, interrupt: Any):
    """Whatever was being done, each later answer is that of its own call."""
    rng, interrupted = random.Random(1), 0
    env = connect(slow.address)
    env.reset()
    for attempt in range(40):
        number = 0
        try:
            interrupt(rng.uniform(0.0, 0.02))
            while True:
                text = f"sleep 0.001 {attempt} {number}"
                assert env.step(text).observation.message == text
                number += 1
        except KeyboardInterrupt:
            interrupted += 1
        if is_lost(env):
            env.close()
            env = connect(slow.address)
            env.reset()
    env.close()
    assert interrupted == 40


def is_lost(env: Any) -> bool:
    """Whether it was interrupted in the middle of sending or receiving. That is said, not hidden; and rare."""
    try:
        env.state()
    except SessionLost as error:
        assert "interrupted while" in str(error)  # noqa: PT017
        return True
    return False


def test_ctrl_c_while_another_thread_waits(slow: Server, interrupt: Any):
    with VectorEnvClient.connect(slow.address, 2, shards=2) as env:
        env.reset()
        results: list[Any] = []
        other = threading.Thread(target=lambda: results.append(env.step(["sleep 0.5 other"], lanes=[1])))
        interrupt(0.2)
        other_started = threading.Timer(0.05, other.start)
        other_started.start()
        with pytest.raises(KeyboardInterrupt):
            env.step(["sleep 0.4 mine"], lanes=[0])  # this thread takes the frames for both
        other_started.join()
        other.join(5)
        assert results[0].observation.message == ["sleep 0.5 other"]
        assert env.step(["a"], lanes=[0]).observation.message == ["a"]


def test_closing_after_ctrl_c(slow: Server, interrupt: Any):
    env = connect(slow.address)
    env.reset()
    interrupt(0.1)
    with pytest.raises(KeyboardInterrupt), env:
        env.step("sleep 30")
    assert env.closed


def test_a_request_that_was_never_sent_ends_the_session(slow: Server, monkeypatch: pytest.MonkeyPatch):
    def interrupted(frame: bytes) -> None:
        raise KeyboardInterrupt

    with connect(slow.address) as env:
        env.reset()
        monkeypatch.setattr(env._carrier, "send", interrupted)
        with pytest.raises(KeyboardInterrupt):
            env.step("x")
        monkeypatch.undo()
        with pytest.raises(SessionLost, match="while a request was being sent"):
            env.step("y")


def test_a_cancelled_step_then_step_again(slow: Server):
    async def main() -> None:
        async with aio.connect(slow.address) as env:
            await env.reset()
            step = asyncio.ensure_future(env.step("sleep 0.3"))
            await asyncio.sleep(0.1)
            step.cancel()
            with pytest.raises(asyncio.CancelledError):
                await step
            for number in range(5):
                result = await env.step(f"after {number}")
                assert (result.observation.message, result.observation.length) == (f"after {number}", number + 2)

    asyncio.run(main())


def test_steps_cancelled_at_any_moment(slow: Server):
    async def main() -> None:
        rng, cancelled = random.Random(2), 0
        async with aio.connect_vec(slow.address, 2, shards=2) as env:
            await env.reset()
            for attempt in range(60):
                texts = [f"sleep 0.001 {attempt} a", f"sleep 0.001 {attempt} b"]
                step = asyncio.ensure_future(env.step(texts))
                for _ in range(rng.randrange(6)):
                    await asyncio.sleep(0)
                await asyncio.sleep(rng.choice([0, 0, 0.001, 0.003]))
                step.cancel()
                try:
                    assert (await step).observation.message == texts
                except asyncio.CancelledError:
                    cancelled += 1
                assert (await env.step(["x", str(attempt)])).observation.message == ["x", str(attempt)]
        assert cancelled > 20

    asyncio.run(main())


def test_a_step_that_times_out_then_step_again(slow: Server):
    async def main() -> None:
        async with aio.connect(slow.address) as env:
            await env.reset()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(env.step("sleep 0.3"), 0.1)
            assert (await env.step("after")).observation.message == "after"

    asyncio.run(main())


def test_a_deadline_interrupts_the_environment(slow: Server):
    with connect(slow.address) as env:
        env.reset()
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"reset\(\)"):
            env.step("sleep 10", timeout_s=0.2)
        assert time.monotonic() - began < 1.0
        with pytest.raises(IllegalVerb, match=r"reset\(\)"):
            env.step("x")
        env.reset()
        assert env.step("x").observation.message == "x"


def test_the_environment_goes_on_while_nobody_waits():
    """An interrupted call is still executed, once."""
    with running(SLOW) as server, connect(server.address) as env:
        env.reset()

        async def main() -> None:
            async with aio.connect(server.address) as other:
                await other.reset()
                step = asyncio.ensure_future(other.step("sleep 0.2"))
                await asyncio.sleep(0.05)
                step.cancel()
                assert (await other.state()).step_count == 1

        asyncio.run(main())
        assert env.step("x").observation.length == 1
