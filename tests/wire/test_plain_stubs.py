"""The wire is what the .proto files say, and no more: plain stubs on one side, the library on the other."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from openenv_bare import BareActionColumns
from openenv_bare.client import AsyncBareEnv, BareEnv, BareVectorEnv

import openenv_grpc as oe
from openenv_grpc.errors import IllegalVerb, RemoteError
from tests.helpers import plain
from tests.helpers.packages import BARE
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Response, Stream, Unary

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(BARE) as found:
        yield found


@pytest.fixture(scope="module")
def plain_server(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server made of plain stubs, which describes itself as ours does."""
    directory = tmp_path_factory.mktemp("plain")
    with Unary(server.address) as unary:
        (directory / "description").write_bytes(unary("Describe").SerializeToString())
    address = f"unix:{directory}/sock"
    command = [sys.executable, str(HERE / "plain_server.py"), address, str(directory / "description")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=plain.environ()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield address
        process.terminate()


def test_a_plain_client_drives_our_server(server: Server):
    command = [sys.executable, str(HERE / "plain_client.py"), server.address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=plain.environ())
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 6


def test_our_client_drives_a_plain_server(plain_server: str):
    with BareEnv.connect(plain_server) as env:
        with pytest.raises(IllegalVerb):
            env.step(1)
        assert env.reset(seed=1).observation.position == 1
        result = env.step(2)
        assert (result.observation.position, result.observation.steps, result.reward) == (3, 1, 2.0)
        assert result.observation.pixels.tolist() == [3, 3, 3, 3]
        assert not result.observation.pixels.flags.writeable
        assert result.info == {"who": "plain"}
        with pytest.raises(RemoteError, match="INVALID_ARGUMENT: too far"):
            env.step(10)
        assert env.step(2).terminated
        assert env.state().position == 5


def test_the_generic_client_drives_a_plain_server(plain_server: str):
    with oe.connect(plain_server) as env:
        env.reset(seed=-4)
        assert env.step({"move": -1}).truncated


def test_our_vector_client_drives_a_plain_server(plain_server: str):
    with BareVectorEnv.connect(plain_server, 3) as vec:
        assert vec.reset(seed=[0, 1, 2]).observation.position.tolist() == [0, 1, 2]
        result = vec.step(BareActionColumns(move=np.array([5, 1, 1])))
        assert result.terminated.tolist() == [True, False, False]
        assert vec.step([1, 1, 1]).observation.position.tolist() == [0, 3, 4]
        assert vec.step([2], lanes=[1]).observation.position.tolist() == [5]
        assert [state.position for state in vec.state()] == [0, 5, 4]


def test_our_asyncio_client_drives_a_plain_server(plain_server: str):
    async def play() -> None:
        async with await AsyncBareEnv.connect(plain_server) as env:
            await env.reset(seed=0)
            results = await asyncio.gather(*(env.step(1) for _ in range(4)))
            assert sorted(result.observation.position for result in results) == [1, 2, 3, 4]
            with pytest.raises(RemoteError, match="too far"):
                await env.step(10)
            assert (await env.state()).position == 4

    asyncio.run(play())


def test_frames_on_the_wire_are_laid_out_as_the_proto_says(server: Server):
    with Stream(server.address) as stream:
        stream.open(lanes=3, shards=1, options={"size": {"integer": 1000}})
        stream.send(Request(seq=1, reset={}))
        data = next(stream.call)
    size = int.from_bytes(data[1:5], "little")
    assert data[0] == 1 << 3 | 5
    assert data[size : size + 2] == b"\xc2\x3e"  # field 1000, length-delimited
    payload = Response.FromString(data).payload
    assert data.endswith(payload)
    assert (len(data) - len(payload)) % 64 == 0
    assert len(payload) == 64 * 5 + 3 * 1000  # reward, terminated, truncated, position, steps, pixels
