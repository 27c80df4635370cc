"""Several threads, or tasks, on one client: calls are pipelined, and each gets its own answer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from openenv_grpc import aio, connect
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.errors import EnvironmentFailed
from tests.helpers.server import Server

NAP = "sleep 0.3"
LONG_NAP = "sleep 1"


def spied(env: Any, name: str) -> list[float]:
    """When a carrier's method returns, from now on."""
    times: list[float] = []
    method: Callable[..., Any] = getattr(env._carrier, name)

    def spy(*args: Any) -> Any:
        result = method(*args)
        times.append(time.monotonic())
        return result

    setattr(env._carrier, name, spy)
    return times


def assert_at_the_same_time(results: list[Any]) -> None:
    """By the clock of the machine, which all processes share."""
    began, ended = ([result.info[name][0] for result in results] for name in ("began", "ended"))
    assert max(began) < min(ended)


def test_shards_work_at_the_same_time(slow: Server):
    with VectorEnvClient.connect(slow.address, 2, shards=2) as env, ThreadPoolExecutor(2) as pool:
        env.reset()
        texts = [f"{NAP} lane {lane}" for lane in range(2)]
        results = list(pool.map(lambda lane: env.step([texts[lane]], lanes=[lane]), range(2)))
        assert_at_the_same_time(results)
        assert [result.observation.message for result in results] == [[texts[0]], [texts[1]]]
        assert [result.lanes.tolist() for result in results] == [[0], [1]]


def test_a_quick_shard_need_not_wait_for_a_slow_one(slow: Server):
    with VectorEnvClient.connect(slow.address, 2, shards=2) as env, ThreadPoolExecutor(1) as pool:
        env.reset()
        waiting = pool.submit(env.step, [LONG_NAP], lanes=[0])
        time.sleep(0.1)  # it is the one that takes the frames by now
        for number in range(5):
            assert env.step([str(number)], lanes=[1]).observation.message == [str(number)]
        assert not waiting.done()
        assert waiting.result().observation.message == [LONG_NAP]


def test_calls_on_one_lane_are_pipelined(slow: Server):
    with connect(slow.address) as env, ThreadPoolExecutor(4) as pool:
        env.reset()
        sent, received = spied(env, "send"), spied(env, "receive")
        results = list(pool.map(env.step, [f"{NAP} {name}" for name in "abcd"]))
        assert sent[-1] < received[0]  # all four were on their way before the first was answered
        assert [result.observation.message[-1] for result in results] == list("abcd")
        assert sorted(result.observation.length for result in results) == [1, 2, 3, 4]


def test_many_threads_get_their_own_answers(slow: Server):
    with VectorEnvClient.connect(slow.address, 4, shards=2) as env:
        env.reset()
        wrong: list[Any] = []

        def work(lane: int, name: str) -> None:
            for number in range(40):
                text = f"{name} {number}"
                result = env.step([text], lanes=[lane])
                if result.observation.message != [text] or result.lanes.tolist() != [lane]:
                    wrong.append((text, result))
                if number % 10 == 0 and len(env.state()) != 4:
                    wrong.append(text)

        threads = [threading.Thread(target=work, args=(index % 4, f"thread {index}")) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert not wrong
        assert [state.step_count for state in env.state()] == [80] * 4


def test_an_error_goes_to_the_thread_that_caused_it(slow: Server):
    with connect(slow.address) as env, ThreadPoolExecutor(8) as pool:
        env.reset()
        calls = [pool.submit(env.step, f"raise {number}" if number % 2 else str(number)) for number in range(40)]
        for number, call in enumerate(calls):
            if number % 2:
                with pytest.raises(EnvironmentFailed, match=f"ValueError: {number}$"):
                    call.result(10)
            else:
                assert call.result(10).observation.message == str(number)


def test_a_session_opened_in_one_thread_is_used_and_closed_in_others(slow: Server):
    env = connect(slow.address)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(env.reset).result(10)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(env.step, "x").result(10).observation.length == 1
        pool.submit(env.close).result(10)
    assert env.closed


def test_tasks_share_shards(slow: Server):
    async def main() -> None:
        async with aio.connect_vec(slow.address, 2, shards=2) as env:
            await env.reset()
            texts = [[f"{NAP} lane {lane}"] for lane in range(2)]
            results = await asyncio.gather(*(env.step(texts[lane], lanes=[lane]) for lane in range(2)))
            assert_at_the_same_time(results)
            assert [result.observation.message for result in results] == texts

            slow_one = asyncio.ensure_future(env.step([LONG_NAP], lanes=[0]))
            await asyncio.sleep(0.1)
            for number in range(5):
                await env.step([str(number)], lanes=[1])
            assert not slow_one.done()
            await slow_one

    asyncio.run(main())


def test_tasks_are_pipelined_and_get_their_own_answers(slow: Server):
    async def main() -> None:
        async with aio.connect(slow.address) as env:
            await env.reset()
            sent: list[float] = []
            send = env._carrier.send

            async def spy(frame: bytes) -> None:
                await send(frame)
                sent.append(time.monotonic())

            env._carrier.send = spy  # type: ignore[method-assign]
            results = await asyncio.gather(*(env.step(f"{NAP} {number}") for number in range(4)))
            assert max(sent) < results[0].info["ended"]
            many = await asyncio.gather(*(env.step(str(number)) for number in range(60)))
            assert [result.observation.message for result in many] == list(map(str, range(60)))
            assert many[-1].observation.length == 64

    asyncio.run(main())


def test_tasks_get_their_own_errors(slow: Server):
    async def main() -> None:
        async with aio.connect(slow.address) as env:
            await env.reset()
            calls = (env.step(f"raise {number}" if number % 2 else str(number)) for number in range(20))
            for number, result in enumerate(await asyncio.gather(*calls, return_exceptions=True)):
                if number % 2:
                    assert isinstance(result, EnvironmentFailed)
                    assert result.message == f"ValueError: {number}"
                else:
                    assert result.observation.message == str(number)

    asyncio.run(main())
