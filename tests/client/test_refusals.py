"""What a client is told when it cannot connect: what is wrong there, and what to do about it."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc

from openenv_atari import AsyncAtariEnv, AtariEnv
from openenv_echo import EchoEnv
from openenv_grpc import aio, connect
from openenv_grpc.client import VectorEnvClient, channel
from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import (
    EnvironmentFailed,
    InvalidArgument,
    MalformedFrame,
    OpenEnvError,
    ProtocolMismatch,
    RemoteError,
    ServerFull,
    ServerUnavailable,
    SpecMismatch,
    Unsupported,
    from_status,
)
from openenv_grpc.specs import PROTOCOL_REVISION
from openenv_grpc.v1 import environment_pb2, session_pb2
from tests.client.environments import GREEDY, SLOW, UNBUILDABLE
from tests.helpers.server import Server, running

SERVICE = "openenv_grpc.v1.EnvironmentService"


def refused(address: str, **kwargs: Any) -> OpenEnvError:
    """The error that connecting ends with, which is the same from asyncio."""
    with pytest.raises(OpenEnvError) as caught:
        connect(address, **kwargs)

    async def main() -> None:
        with pytest.raises(OpenEnvError) as other:
            await aio.connect(address, **kwargs)
        assert type(other.value) is type(caught.value)
        assert other.value.field == caught.value.field

    asyncio.run(main())
    return caught.value


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("http://127.0.0.1:50051", "is a URL; give host:port or unix:/path"),
        ("grpc://localhost:1", "is a URL"),
        ("unix:///run/env.sock", "is a URL"),
        ("unix:env.sock", "absolute path"),
        ("unix:", "absolute path"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
        ("127.0.0.1", "neither host:port nor unix:/path"),
        ("localhost:", "neither host:port nor unix:/path"),
        (":50051", "neither host:port nor unix:/path"),
        ("localhost:http", "neither host:port nor unix:/path"),
        ("localhost:0", "neither host:port nor unix:/path"),
        ("localhost:65536", "neither host:port nor unix:/path"),
        ("localhost:²", "neither host:port nor unix:/path"),
        ("", "neither host:port nor unix:/path"),
        ("atari", "neither host:port nor unix:/path"),
    ],
)
def test_an_address_that_cannot_be(address: str, hint: str):
    error = refused(address)
    assert isinstance(error, InvalidArgument)
    assert error.field == "address"
    assert hint in str(error)


def test_nobody_there(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"unix:{tmp_path}/none.sock"):
        error = refused(address)
        assert isinstance(error, ServerUnavailable)
        assert f"no server answers at {address}" in str(error)
        assert f"openenv-grpc serve ENVIRONMENT --address {address}" in str(error)
        assert "openenv_grpc.make()" in str(error)
    assert "there is no such socket" in str(error)


def test_a_socket_that_nobody_listens_on(tmp_path: Path):
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert isinstance(refused(f"unix:{path}"), ServerUnavailable)


def test_an_http_server():
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            error = refused(f"127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()
    assert isinstance(error, ServerUnavailable)
    assert "no server answers" in str(error)


@pytest.fixture
def pretend() -> Iterator[Callable[..., str]]:
    """Starts gRPC servers with the handlers given, in this process; the address is returned."""
    servers: list[grpc.Server] = []

    def start(**handlers: grpc.RpcMethodHandler[Any, Any]) -> str:
        server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        if handlers:
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        else:
            health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None).wait()


def description(server: Server) -> environment_pb2.DescribeResponse:
    """What a real server says about itself."""
    with grpc.insecure_channel(server.address) as wire:
        answer = wire.unary_unary(f"/{SERVICE}/Describe")(b"", timeout=5)
    return environment_pb2.DescribeResponse.FromString(answer)


def saying(answer: bytes) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)


def test_another_grpc_server(pretend: Callable[..., str]):
    address = pretend()
    error = refused(address)
    assert isinstance(error, ProtocolMismatch)
    assert f"the server at {address} does not speak openenv_grpc.v1" in str(error)


@pytest.mark.parametrize(("change", "which"), [(-1, "server"), (1, "client")], ids=["older", "newer"])
def test_another_revision(pretend: Callable[..., str], echo: Server, change: int, which: str):
    said = description(echo)
    said.protocol_revision += change
    error = refused(pretend(Describe=saying(said.SerializeToString())))
    assert isinstance(error, ProtocolMismatch)
    assert error.field == "protocol_revision"
    assert f"speaks protocol revision {PROTOCOL_REVISION + change}, this client {PROTOCOL_REVISION}" in str(error)
    assert str(error).endswith(f"upgrade the {which}")


@pytest.mark.parametrize("answer", [b"\xff\xff", b"<html>"])
def test_a_description_that_is_none(pretend: Callable[..., str], answer: bytes):
    assert isinstance(refused(pretend(Describe=saying(answer))), ProtocolMismatch)


def broken_descriptions(said: environment_pb2.DescribeResponse) -> Iterator[environment_pb2.DescribeResponse]:
    for name, value in (
        ("descriptor_set", b"\xff"),
        ("descriptor_set", b""),
        ("action_message", "no.Such"),
        ("spec_hash", "0" * 64),
    ):
        changed = environment_pb2.DescribeResponse()
        changed.CopyFrom(said)
        setattr(changed.environment, name, value)
        yield changed


def test_a_description_that_contradicts_itself(pretend: Callable[..., str], echo: Server):
    for said in broken_descriptions(description(echo)):
        error = refused(pretend(Describe=saying(said.SerializeToString())))
        assert isinstance(error, ProtocolMismatch | SpecMismatch), error


def test_the_wrong_typed_client(atari: Server):
    with pytest.raises(SpecMismatch) as caught:
        EchoEnv.connect(atari.address)
    text = str(caught.value)
    assert caught.value.field == "spec_hash"
    assert "the server's atari has other messages than this client" in text
    assert "openenv_grpc.connect()" in text
    assert "client only: openenv_echo.v1.EchoAction.message" in text


def test_an_older_typed_client(atari: Server, monkeypatch: pytest.MonkeyPatch):
    """The differences are listed, and only they."""
    records = AtariEnv.RECORDS
    lines = channel._lines

    def older(found: Any) -> set[str]:
        renamed = "lives_left = " if found is records else "lives = "
        return {line.replace("lives = ", renamed) for line in lines(found)}

    monkeypatch.setattr(records, "spec_hash", "0" * 64)
    monkeypatch.setattr(channel, "_lines", older)
    with pytest.raises(SpecMismatch) as caught:
        AtariEnv.connect(atari.address)
    differences = str(caught.value).partition("connect(). ")[2].split("; ")
    assert [line.partition(" = ")[0] for line in differences] == [
        "client only: openenv_atari.v1.AtariState.lives_left",
        "server only: openenv_atari.v1.AtariState.lives",
    ]

    async def main() -> None:
        with pytest.raises(SpecMismatch, match="lives_left"):
            await AsyncAtariEnv.connect(atari.address)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "field", "hint"),
    [
        ({"gmae": "pong"}, "options.gmae", "did you mean game?"),
        ({"nonsense": 1}, "options.nonsense", "there are: game, obs_type"),
        ({"game": "pnog"}, "options.game", "did you mean pong?"),
        ({"game": 3}, "options.game", "expected str, got int"),
        ({"obs_type": "rbg"}, "options.obs_type", "did you mean rgb?"),
        ({"frameskip": True}, "options.frameskip", "expected int, got bool"),
        ({"frameskip": 0}, "options.frameskip", "0 is not"),
        ({"game": object}, "options.game", "type"),
    ],
)
def test_a_wrong_option(atari: Server, options: dict[str, Any], field: str, hint: str):
    error = refused(atari.address, **options)
    assert isinstance(error, InvalidArgument)
    assert error.field == field
    assert hint in str(error)


def test_wrong_arguments(atari: Server):
    for arguments, field in (
        ({"num_envs": 0}, "open.lanes"),
        ({"num_envs": -1}, "num_envs"),
        ({"num_envs": 2.0}, "num_envs"),
        ({"num_envs": 2, "shards": 3}, "open.shards"),
        ({"num_envs": 2, "shards": -1}, "shards"),
        ({"num_envs": 1 << 20}, "open.lanes"),
        ({"num_envs": 2, "fields": ["sceen"]}, "open.fields"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            VectorEnvClient.connect(atari.address, **arguments)  # type: ignore[arg-type]
        assert caught.value.field == field


def test_wrong_calls_change_nothing(slow: Server):
    with VectorEnvClient.connect(slow.address, 2, shards=2) as env:
        env.reset()
        for call, field in (
            (lambda: env.reset(seed=[1]), "seed"),
            (lambda: env.reset(seed=1.5), "seed"),  # type: ignore[arg-type]
            (lambda: env.reset(seed=1 << 63), "seed"),
            (lambda: env.step(["x"]), "action"),
            (lambda: env.step("xy"), "action"),
            (lambda: env.step(["x"], lanes=[2]), "lanes"),
            (lambda: env.step(["x", "y"], lanes=[1, 0]), "lanes"),
            (lambda: env.step([], lanes=[]), "lanes"),
            (lambda: env.step(["x", "y"], timeout_s=0), "timeout_s"),
            (lambda: env.step(["x", "y"], timeout_s=-1), "timeout_s"),
            (lambda: env.step_chunk([]), "actions"),
        ):
            with pytest.raises(InvalidArgument) as caught:
                call()
            assert (caught.value.field or "").partition(".")[0] == field
        with pytest.raises(Unsupported):
            env.snapshot()
        assert [state.step_count for state in env.state()] == [0, 0]


def test_a_full_server():
    with running(SLOW, sessions=1) as server, connect(server.address):
        error = refused(server.address)
        assert isinstance(error, ServerFull)
        assert error.retry_after_s
        assert "all 1 sessions are taken" in str(error)
        assert isinstance(refused(server.address, wait_s=0.1), ServerFull)


def test_a_place_in_line():
    with running(SLOW, sessions=1) as server, connect(server.address) as first:
        threading.Timer(0.3, first.close).start()
        with connect(server.address, wait_s=5) as second:
            second.reset()


def test_an_environment_that_cannot_be_built():
    with running(UNBUILDABLE) as server:
        error = refused(server.address)
        assert isinstance(error, EnvironmentFailed)
        assert "the engine is missing" in str(error)


def test_an_option_that_nobody_could_give():
    with running(GREEDY) as server:
        error = refused(server.address)
        assert isinstance(error, InvalidArgument)
        assert error.field == "options.shards"
        assert "rename it" in str(error)


def test_a_server_that_opens_nothing(pretend: Callable[..., str], echo: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(channel, "GRACE_S", 0.2)
    said = description(echo)
    said.limits.step_time_s = 0.2
    hang = threading.Event()

    def session(requests: Any, context: Any) -> Iterator[bytes]:
        hang.wait(20)
        yield from ()

    handler = grpc.stream_stream_rpc_method_handler(session)
    error = refused(pretend(Describe=saying(said.SerializeToString()), Session=handler))
    hang.set()
    assert isinstance(error, ServerUnavailable)
    assert "opened no session within 0.4 s" in str(error)


def test_answers_that_break_the_protocol(pretend: Callable[..., str], echo: Server):
    said = description(echo).SerializeToString()
    answers: dict[str, bytes] = {
        "nothing": b"",
        "garbage": b"\xff" * 20,
        "no shards": frames.encode(session_pb2.SessionResponse(open=session_pb2.Opened(session_id="x"))),
        "a step": frames.encode(session_pb2.SessionResponse(seq=1, step={})),
    }
    for what, answer in answers.items():

        def session(requests: Any, context: Any, answer: bytes = answer) -> Iterator[bytes]:
            next(requests)
            yield answer

        handler = grpc.stream_stream_rpc_method_handler(session)
        error = refused(pretend(Describe=saying(said), Session=handler))
        assert isinstance(error, MalformedFrame), what


def test_an_error_without_our_reason_shows_its_code():
    error = from_status(status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="not you"))
    assert type(error) is RemoteError
    assert str(error) == "PERMISSION_DENIED: not you"
