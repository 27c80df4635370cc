"""What a caller gives and gets: five-tuples, typed and generic actions, columns; and what is copied on the way."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from openenv_atari import AtariAction, AtariActionColumns, AtariEnv, AtariObservation, AtariVectorEnv
from openenv_atari.v1.atari_pb2 import AtariAction as AtariMessage
from openenv_atari_server import AtariEnvironment
from openenv_echo import AsyncEchoEnv, EchoAction, EchoEnv, EchoObservation, EchoState
from openenv_echo.v1.echo_pb2 import EchoAction as EchoMessage
from openenv_grpc import aio, connect
from openenv_grpc.client import VectorEnvClient
from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import IllegalVerb, InvalidArgument
from tests.helpers.pair import Pair
from tests.helpers.server import Server

FRAME = 210 * 160 * 3


def record(env: Any) -> list[bytes]:
    """Keep the bytes that a client receives from now on."""
    received: list[bytes] = []
    receive: Callable[[], bytes] = env._carrier.receive

    def spy() -> bytes:
        received.append(receive())
        return received[-1]

    env._carrier.receive = spy
    return received


def test_a_result_unpacks_like_gymnasiums(slow: Server):
    with connect(slow.address, greeting="hi") as env:
        observation, reward, terminated, truncated, info = env.reset()
        assert (observation.message, reward, terminated, truncated) == ("hi", 0.0, False, False)
        assert info["pid"] in slow.workers
        result = env.step("end it")
        observation, reward, terminated, truncated, info = result
        assert (observation.message, observation.length) == ("end it", 1)
        assert (reward, terminated, truncated, info) == (1.5, True, False, {"length": 6})
        assert type(reward) is float
        assert terminated is True
        assert truncated is False
        assert result.done
        with pytest.raises(IllegalVerb, match=r"reset\(\)"):
            env.step("more")


def test_columns_unpack_like_gymnasiums(slow: Server):
    with VectorEnvClient.connect(slow.address, 3, shards=2) as env:
        env.reset()
        result = env.step(["a", "cut b", "end"])
        observation, reward, terminated, truncated, info = result
        assert list(observation.message) == ["a", "cut b", "end"]
        assert observation.length.tolist() == [1, 1, 1]
        assert (reward.tolist(), reward.dtype) == ([1.5] * 3, np.float64)
        assert terminated.tolist() == [False, False, True]
        assert truncated.tolist() == [False, True, False]
        assert result.done.tolist() == [False, True, True]
        assert info["length"].tolist() == [1, 5, 3]
        assert info["_length"].all()
        for array in (observation.length, reward, terminated, truncated):
            assert not array.flags.writeable


def test_the_typed_client_knows_its_types(echo: Server):
    with EchoEnv.connect(echo.address) as env:
        assert env.reset(seed=3).observation == EchoObservation(message="", length=0)
        result = env.step(EchoAction(message="héllo"))
        assert result.observation == EchoObservation(message="héllo", length=5)
        assert type(result.observation) is EchoObservation
        state = env.state()
        assert type(state) is EchoState
        assert state.step_count == 1


def test_the_typed_client_takes_options(atari: Server):
    with AtariEnv.connect(atari.address, game="breakout", obs_type="ram", frameskip=2) as env:
        result = env.reset(seed=1)
        assert type(result.observation) is AtariObservation
        assert (result.observation.ram.shape, result.observation.screen.size) == ((128,), 0)
        env.step(AtariAction(action_id=1))
        state = env.state()
        assert (state.step_count, state.lives) == (1, 5)
        assert {"game": "breakout", "obs_type": "ram", "frameskip": 2}.items() <= dict(state.options).items()
        with pytest.raises(InvalidArgument, match="action_id"):
            env.step(AtariAction(action_id=4))
        assert env.state().step_count == 1


@pytest.mark.parametrize(
    "action", [EchoMessage(message="x"), {"message": "x"}, "x", EchoAction(message="x")], ids=lambda a: type(a).__name__
)
def test_the_generic_client_takes_any_form(echo: Server, action: Any):
    with connect(echo.address) as env:
        env.reset()
        result = env.step(action)
        assert (result.observation.message, result.observation.length) == ("x", 1)
        own = env.records_class("EchoAction")(message="y")
        assert env.step(own).observation.message == "y"
        assert type(env.state()) is env.records_class("openenv_echo.v1.EchoState")
        assert env.state().step_count == 2
        with pytest.raises(KeyError):
            env.records_class("Nothing")


def test_the_generic_client_takes_any_form_of_columns(atari: Server):
    generic = VectorEnvClient.connect(atari.address, 2, shards=1, obs_type="ram", repeat_action_probability=0.0)
    with generic as env:
        first = env.reset(seed=[5, 5])
        assert first.observation.ram.shape == (2, 128)
        forms: list[Any] = [
            np.array([2, 2]),
            np.array([2, 2], np.uint8),
            [2, 2],
            (2, 2),
            {"action_id": [2, 2]},
            AtariActionColumns(action_id=np.array([2, 2])),
            [AtariAction(action_id=2)] * 2,
            [AtariMessage(action_id=2)] * 2,
            [{"action_id": 2}] * 2,
        ]
        for form in forms:
            rams = env.step(form).observation.ram
            assert rams[0].tobytes() == rams[1].tobytes()
        assert env.state()[1].step_count == len(forms)


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ({"mesage": "x"}, "action.mesage"),
        ({}, "action.message"),
        (3, "action.message"),
        (None, "action.message"),
        (AtariAction(action_id=1), "action"),
        ({"message": "\ud800"}, "action.message"),
    ],
    ids=repr,
)
def test_a_wrong_action_is_refused_before_it_is_sent(echo: Server, action: Any, field: str):
    with connect(echo.address) as env:
        env.reset()
        sent: list[bytes] = []
        env._carrier.send = sent.append  # type: ignore[method-assign]
        with pytest.raises(InvalidArgument) as caught:
            env.step(action)
        assert caught.value.field == field
        assert not sent
        del env._carrier.send
        assert env.step("x").observation.length == 1


def test_the_same_from_asyncio(slow: Server, echo: Server):
    async def main() -> None:
        async with aio.connect(slow.address, greeting="hi") as env:
            observation, reward, _, _, info = await env.reset()
            assert (observation.message, reward, type(info["pid"])) == ("hi", 0.0, int)
            assert (await env.step({"message": "cut"})).truncated
        typed = await AsyncEchoEnv.connect(echo.address)
        async with typed:
            await typed.reset()
            assert (await typed.step(EchoAction(message="x"))).observation == EchoObservation(message="x", length=1)
        vec = await aio.connect_vec(slow.address, 3, shards=2)
        async with vec:
            await vec.reset()
            assert (await vec.step(["a", "b", "c"])).observation.message == ["a", "b", "c"]
            assert (await vec.step(["d"], lanes=[1])).lanes.tolist() == [1]

    asyncio.run(main())


def test_a_chunk_is_one_round_trip(slow: Server):
    with connect(slow.address) as env:
        env.reset()
        received = record(env)
        results = env.step_chunk(["a", "b", "end c", "d"])
        assert [result.observation.message for result in results] == ["a", "b", "end c"]
        assert len(received) == 1
        assert env.step_chunk([]) == []


def test_no_copy_after_receipt(atari: Server):
    with AtariEnv.connect(atari.address, transport="grpc") as env:
        received = record(env)
        results = [env.reset(seed=1), *(env.step(AtariAction(action_id=3)) for _ in range(3))]
        for result, data in zip(results, received, strict=True):
            screen = result.observation.screen
            assert np.shares_memory(screen, np.frombuffer(data, np.uint8))
            assert not screen.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                screen[0] = 1
            assert screen.tobytes() in data


def test_no_copy_of_columns_of_one_shard(atari: Server):
    with AtariVectorEnv.connect(atari.address, 3, shards=1, transport="grpc") as env:
        received = record(env)
        env.reset(seed=1)
        result = env.step(AtariActionColumns(action_id=np.arange(3)))
        assert result.observation.screen.shape == (3, 210, 160, 3)
        for array in (result.observation.screen, result.reward, result.terminated):
            assert np.shares_memory(array, np.frombuffer(received[-1], np.uint8))
            assert not array.flags.writeable


@pytest.mark.parametrize("transport", ["grpc", "local"])
def test_results_are_never_overwritten(atari: Server, transport: str):
    with AtariEnv.connect(atari.address, game="breakout", transport=transport) as env:
        results = [env.reset(seed=1), *(env.step(AtariAction(action_id=1)) for _ in range(20))]
        copies = [result.observation.screen.copy() for result in results]
        for _ in range(20):
            env.step(AtariAction(action_id=2))
        assert all((copy == result.observation.screen).all() for copy, result in zip(copies, results, strict=True))


def peak(function: Callable[..., Any], *args: Any) -> tuple[Any, int]:
    """What a call returns, and how many bytes more than before it held at its peak."""
    tracemalloc.start()
    try:
        return function(*args), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_encoding_copies_once():
    """The emulator renders into the slot, and the frame is joined from it: nothing else as large is ever held."""
    pair = Pair(AtariEnvironment, 1, 1, vector=False)
    pair.reset(seed=1)
    for _ in range(3):
        call = pair.client.step(AtariAction(action_id=0))
        packet, in_worker = peak(pair.shards[0].core.handle, call.frames[0], 0)
        data, in_server = peak(pair.shards[0].join, packet)
        received, in_client = peak(lambda: (pair.client.receive(data), call.result())[1])  # noqa: B023
        assert received.observation.screen.nbytes == FRAME
        assert in_worker < FRAME / 4
        assert FRAME < in_server < 1.25 * FRAME
        assert in_client < FRAME / 4


def test_join_allocates_the_frame_alone():
    block = np.zeros(10 << 20, np.uint8)
    data, held = peak(frames.join, b"header", block.data, 1 << 20, 8 << 20)
    assert len(data) == 6 + (8 << 20)
    assert held - len(data) < 4096
