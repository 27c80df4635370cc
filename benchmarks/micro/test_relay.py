"""The relay hop: a frame from the server's session to its worker and back, without gRPC around it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from openenv_echo_server import EchoEnvironment
from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import SessionClosed
from openenv_grpc.server.session import Session
from openenv_grpc.server.sessions import SessionTable
from openenv_grpc.server.workers import Workers
from openenv_grpc.session.calls import OpenRequest
from openenv_grpc.session.client import ClientCore
from openenv_grpc.specs import Limits
from openenv_grpc.v1 import session_pb2
from openenv_grpc.worker.describe import capabilities_of, records_of

HOPS = 100


class Relay:
    """One session of one lane, as the server has it: a worker process and the link to it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._session, self.client = self._loop.run_until_complete(self._open())

    async def _open(self) -> tuple[Session, ClientCore]:
        self._workers = Workers(f"{EchoEnvironment.__module__}:EchoEnvironment", "echo", print)
        await self._workers.start()
        spec = await self._workers.describe(())
        request = OpenRequest()
        opening = frames.decode(request.encode(spec.spec_hash), session_pb2.SessionRequest, 1 << 20).header
        session, answer = await SessionTable(self._workers, Limits()).open(opening, spec, None)
        records, able = records_of(EchoEnvironment), capabilities_of(EchoEnvironment)
        return session, ClientCore(records, able, request, answer, vector=False, max_message_bytes=1 << 26)

    def carry(self, begin: Any, times: int) -> None:
        """So many calls, one after the other."""
        self._loop.run_until_complete(self._carry(begin, times))

    async def _carry(self, begin: Any, times: int) -> None:
        for _ in range(times):
            call = begin()
            arrived = self._loop.create_future()
            (data,) = call.frames
            request = frames.decode(data, session_pb2.SessionRequest, 1 << 20).header
            self._session.submit(request, data, lambda frame, _, arrived=arrived: arrived.set_result(frame))
            self.client.receive(await arrived)
            call.result()

    def close(self) -> None:
        """End the worker and its parent."""
        self._loop.run_until_complete(self._close())
        self._loop.close()

    async def _close(self) -> None:
        self._session.end(SessionClosed("the benchmark is over"))
        await self._workers.stop()


@pytest.fixture
def relay():
    made = Relay()
    made.carry(made.client.reset, 1)
    yield made
    made.close()


def test_100_steps_through_the_relay(benchmark, relay):
    """With both cores' work in it (`test_step_through_the_cores`): what is left is sockets, wake-ups and the loop."""
    benchmark(relay.carry, lambda: relay.client.step({"message": "hello"}), HOPS)
