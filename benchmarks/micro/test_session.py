"""Sessions: each verb through both cores without I/O; opening one, and a step's whole way, on a real server."""

from __future__ import annotations

import pytest

import openenv_grpc as oe
from openenv_echo_server import EchoEnvironment
from openenv_grpc.providers.base import EnvironmentSource
from openenv_grpc.providers.local import LocalProvider
from openenv_grpc.providers.running import start
from tests.helpers.pair import Pair


@pytest.fixture(params=[1, 32], ids=["1 lane", "32 lanes"])
def pair(request):
    made = Pair(EchoEnvironment, request.param)
    made.reset()
    return made


def test_reset_through_the_cores(benchmark, pair):
    benchmark(pair.reset)


def test_step_through_the_cores(benchmark, pair):
    lanes = pair.client.lanes
    action = {"message": "hello"}
    result = benchmark(pair.step, action if lanes == 1 else [action] * lanes)
    assert not result.done if lanes == 1 else not result.done.any()


def test_state_through_the_cores(benchmark, pair):
    assert benchmark(pair.state)


@pytest.fixture(scope="module")
def address():
    lease = start(LocalProvider(), EnvironmentSource("echo"))
    yield lease.address
    lease.destroy()


def test_session_open_on_a_server(benchmark, address):
    benchmark.pedantic(lambda: oe.connect(address).close(), rounds=30, warmup_rounds=2)


def test_step_on_a_server(benchmark, address):
    """The relay hop and gRPC are what this has over a step through the cores."""
    with oe.connect(address) as env:
        env.reset()
        assert benchmark(env.step, "hello").observation.message == "hello"
