"""A server that asks for a token: every call shows it or is refused, and nobody else hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

import openenv_grpc as oe
from openenv_grpc.cli.serve import main as serve
from openenv_grpc.cli.serve import take_token
from openenv_grpc.client import AsyncVectorEnvClient, EnvClient, VectorEnv, VectorEnvClient
from openenv_grpc.errors import InvalidArgument, Unauthenticated
from openenv_grpc.providers.base import EnvironmentSource, Lease
from openenv_grpc.server.app import ServerConfig
from openenv_grpc.server.probe import _length, is_healthy
from tests.cli.running import Cli
from tests.helpers.server import Server, running
from tests.helpers.stream import SERVICE, Request, Response, fault_of_call, opening

TOKEN = "s3cret" * 682 + "end."
"""As long as one may be."""
METHODS = [
    *(SERVICE + verb for verb in ("Describe", "Session", "Open", "Reset", "Step", "GetState", "Snapshot", "Restore")),
    SERVICE + "Close",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/there.is/None",
]
WRONG = {
    "none": [],
    "another": [("authorization", "Bearer " + TOKEN[:-1])],
    "a longer one": [("authorization", f"Bearer {TOKEN}x")],
    "no scheme": [("authorization", TOKEN)],
    "another scheme": [("authorization", f"Basic {TOKEN}")],
    "another key": [("token", f"Bearer {TOKEN}")],
    "binary": [("authorization-bin", f"Bearer {TOKEN}".encode())],
}
SHOWN = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    assert len(TOKEN) == 4096
    with running("echo", token=TOKEN) as found:
        yield found
        assert TOKEN[:32] not in found.text


@pytest.fixture
def channel(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.address) as found:
        yield found


def refusal(channel: Any, method: str, metadata: Sequence[tuple[str, Any]]) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        next(channel.stream_stream(method)(iter(()), metadata=metadata, timeout=10))
    return caught.value


@pytest.mark.parametrize("method", METHODS)
def test_no_method_is_reached_without_it(channel: Any, method: str):
    """Nor is it told whether there is such a method, and no request is waited for."""
    for metadata in WRONG.values():
        found = fault_of_call(refusal(channel, method, metadata))
        assert (found.code, found.reason, found.field) == ("UNAUTHENTICATED", "UNAUTHENTICATED", "")
        assert "token=" in found.message
        assert "OPENENV_TOKEN" in found.message


def test_all_kinds_of_methods_are_reached_with_it(channel: Any):
    request = opening().SerializeToString()
    stream = channel.stream_stream(SERVICE + "Session")(iter([request]), metadata=SHOWN)
    assert Response.FromString(next(stream)).open.session_id
    stream.cancel()
    session = Response.FromString(channel.unary_unary(SERVICE + "Open")(request, metadata=SHOWN)).open.session_id
    closing = Request(session_id=session).SerializeToString()
    assert Response.FromString(channel.unary_unary(SERVICE + "Close")(closing, metadata=SHOWN)).ended
    health = health_pb2_grpc.HealthStub(channel)
    assert health.Check(health_pb2.HealthCheckRequest(), metadata=SHOWN).status == 1
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]), metadata=SHOWN))
    assert SERVICE.strip("/") in {service.name for service in answer.list_services_response.service}


@pytest.mark.parametrize("transport", ["local", "grpc"])
def test_every_client_shows_it(server: Server, transport: str):
    shown: dict[str, Any] = {"token": TOKEN, "transport": transport}
    with oe.connect(server.address, **shown) as env, VectorEnvClient.connect(server.address, 2, **shown) as many:
        env.reset(seed=1)
        assert env.step("hi").observation.message == "hi"
        many.reset()
        assert env.transport == many.transport == transport
    with oe.connect_vec(server.address, 2, **shown) as vector:
        vector.reset()

    async def main() -> None:
        async with (
            oe.aio.connect(server.address, **shown) as env,
            oe.aio.connect_vec(server.address, 2, **shown) as many,
        ):
            await env.reset()
            await many.reset()
            assert env.transport == many.transport == transport

    asyncio.run(main())


@pytest.mark.parametrize("token", [None, "wrong-and-secret"])
def test_every_client_is_refused_without_it(server: Server, token: str | None):
    async def main() -> None:
        for connecting in (
            oe.aio.connect(server.address, token=token),
            oe.aio.connect_vec(server.address, token=token),
        ):
            with pytest.raises(Unauthenticated):
                await connecting

    asyncio.run(main())
    for connect in (
        lambda: EnvClient.connect(server.address, token=token),
        lambda: VectorEnvClient.connect(server.address, 2, token=token),
        lambda: VectorEnv.connect(server.address, 2, token=token),
    ):
        with pytest.raises(Unauthenticated, match="asks for a token") as caught:
            connect()
        assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("token", ["", "has spaces", "line\n", "tab\t", "schlüssel", "\x7f", "x" * 4097])
def test_one_that_could_not_be_sent_is_refused_by_both_sides(token: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InvalidArgument, match="printable ASCII") as caught:
        oe.connect("127.0.0.1:1", token=token)
    assert caught.value.field == "token"
    assert not token or token not in str(caught.value)
    monkeypatch.setenv("OPENENV_TOKEN", token)
    if not token:
        assert take_token() is None
        return
    with pytest.raises(InvalidArgument, match="printable ASCII") as caught:
        serve(["echo", "--address", "127.0.0.1:0"])
    assert caught.value.field == "OPENENV_TOKEN"
    assert token not in str(caught.value)


def test_what_a_server_starts_does_not_inherit_it(server: Server):
    with oe.connect(server.address, token=TOKEN):
        for pid in (server.parent, *server.workers):
            assert b"OPENENV_TOKEN" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_nothing_shows_it(server: Server):
    with oe.connect(server.address, token=TOKEN) as env:
        shown = [env, env.__dict__, env._carrier, env.server, EnvironmentSource("echo", tcp=True)]
    shown += [ServerConfig("echo", "127.0.0.1:0", token=TOKEN), Lease("id", "127.0.0.1:1", Any, token=TOKEN)]
    assert TOKEN not in " ".join(map(repr, shown))


class Given:
    """A provider whose only lease is a server that runs."""

    def __init__(self, server: Server) -> None:
        self._address = server.address
        self.sources: list[EnvironmentSource] = []

    async def create(self, source: EnvironmentSource, deadline: float) -> Lease:
        self.sources.append(source)
        return Lease("id", self._address, self, token=TOKEN)  # type: ignore[arg-type]

    async def destroy(self, lease_id: str) -> None:
        pass


def test_making_asks_for_tcp_and_passes_the_token_on(server: Server):
    given: Any = Given(server)
    with oe.make("echo", provider=given, tcp=True) as env, oe.make_vec("echo", 2, provider=given, tcp=True) as many:
        env.reset()
        many.reset()

    async def main() -> None:
        async with oe.aio.make("echo", provider=given, tcp=True) as env:
            await env.reset()
        many: AsyncVectorEnvClient[Any, Any, Any]
        async with oe.aio.make_vec("echo", 2, provider=given, tcp=True) as many:
            await many.reset()

    asyncio.run(main())
    with oe.make("echo", provider=given):
        pass
    assert [source.tcp for source in given.sources] == [True] * 4 + [False]


def test_the_commands_show_what_is_in_the_environment(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    cli = Cli(capsys)
    commands = [
        ["describe", server.address],
        ["check", server.address, "--case", "description", "--face", "unary"],
        ["rollout", "echo", "--address", server.address, "--episodes", "1", "--max-steps", "2"],
    ]
    for command in commands:
        monkeypatch.setenv("OPENENV_TOKEN", TOKEN)
        status, out, err = cli(*command)
        assert (status, err) == (0, "")
        assert TOKEN not in out
        for wrong, message in (("", "asks for a token"), ("other", "asks for a token"), ("a b", "printable ASCII")):
            monkeypatch.setenv("OPENENV_TOKEN", wrong)
            status, _, err = cli(*command)
            assert status
            assert message in err


def test_a_health_check_shows_it(server: Server):
    assert is_healthy(server.address, TOKEN)
    assert not is_healthy(server.address)
    assert not is_healthy(server.address, TOKEN[:-1])


@pytest.mark.parametrize(
    ("length", "written"),
    [(0, "00"), (126, "7e"), (127, "7f00"), (128, "7f01"), (254, "7f7f"), (255, "7f8001"), (4103, "7f881f")],
)
def test_a_health_check_writes_lengths_as_hpack_does(length: int, written: str):
    """RFC 7541, section 5.1, with a prefix of 7 bits."""
    assert _length(bytes(length)).hex() == written
