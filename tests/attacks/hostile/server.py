"""A server that replaces ours altogether: it describes echo, and answers as badly as it is told to.

Run as `python -m hostile.server MODE ADDRESS`. A mode is a function here: of `DESCRIBE`, which makes the answer to
Describe, or of `SESSION`, a generator that gets the requests and yields bytes.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import grpc
from google.rpc import status_pb2

from openenv_echo_server import EchoEnvironment
from openenv_grpc.codec import describe as wire
from openenv_grpc.codec.frame import encode, varint
from openenv_grpc.specs import PROTOCOL_REVISION, Limits
from openenv_grpc.v1 import environment_pb2, session_pb2, spec_pb2
from openenv_grpc.worker.describe import describe

MIB = 1 << 20
Frames = Iterator[bytes]


def description(limits: Limits | None = None) -> environment_pb2.DescribeResponse:
    """What an honest server of echo says."""
    spec = wire.environment_to_message(describe(EchoEnvironment, "echo", EchoEnvironment()))
    return environment_pb2.DescribeResponse(
        protocol_revision=PROTOCOL_REVISION, environment=spec, limits=wire.limits_to_message(limits or Limits())
    )


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field by hand."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def changed(**changes: Any) -> bytes:
    """The description with fields of its environment changed."""
    message = description()
    for name, value in changes.items():
        setattr(message.environment, name, value)
    return message.SerializeToString()


def named_columns(count: int) -> bytes:
    columns = b"".join(field(1, spec_pb2.ColumnSpec(name=f"{n:x}", dtype=1).SerializeToString()) for n in range(count))
    return description().SerializeToString() + field(3, field(8, columns))


DESCRIBE: dict[str, Callable[[], bytes]] = {
    "describe_garbage": lambda: b"\xff" * 1000,
    "describe_nothing": lambda: b"",
    "describe_300_mb": lambda: bytes(300 * MIB),
    "describe_long_documentation": lambda: changed(documentation="x" * (200 * MIB)),
    "describe_empty_columns": lambda: description().SerializeToString() + field(3, field(8, b"\x12\0" * (60 * MIB))),
    "describe_many_columns": lambda: named_columns(700_000),
    "describe_columns": lambda: named_columns(5000),
    "describe_options": lambda: description().SerializeToString() + field(3, b"\x4a\0" * 2000),
    "describe_no_time": lambda: description(Limits(step_time_s=math.nan)).SerializeToString(),
    "describe_empty_options": lambda: description().SerializeToString() + field(3, b"\x4a\0" * (60 * MIB)),
    "describe_empty_files": lambda: changed(descriptor_set=b"\x0a\0" * MIB),
    "describe_broken_files": lambda: changed(descriptor_set=b"\xff" * 1000),
    "describe_other_hash": lambda: changed(spec_hash="0" * 64),
    "describe_other_message": lambda: changed(state_message="google.protobuf.Any"),
    "describe_old": lambda: environment_pb2.DescribeResponse(protocol_revision=1).SerializeToString(),
}


def opened(**changes: Any) -> bytes:
    """The answer to Open, for one lane."""
    message = session_pb2.Opened(session_id="hostile", shards=[session_pb2.Shard(lanes=1)], autoreset_mode=3)
    message.spec.CopyFrom(description().environment.session)
    message.limits.CopyFrom(description().limits)
    for name, value in changes.items():
        if name == "shards":
            del message.shards[:]
            message.shards.extend(value)
        elif name == "limits":
            message.limits.CopyFrom(wire.limits_to_message(value))
        else:
            setattr(message, name, value)
    return encode(session_pb2.SessionResponse(open=message))


def wrong_columns(requests: Any) -> Frames:
    next(requests)
    message = session_pb2.SessionResponse.FromString(opened())
    message.header_size = 0
    message.open.spec.observation[0].dtype = 2
    message.open.spec.observation[0].shape.append(1 << 40)
    yield message.SerializeToString()


def wrong_shards(requests: Any) -> Frames:
    next(requests)
    yield opened(shards=[session_pb2.Shard(first_lane=0, lanes=0xFFFF_FFFF)])


def many_shards(requests: Any) -> Frames:
    next(requests)
    yield opened(shards=[session_pb2.Shard(first_lane=0, lanes=1)] * (4 * MIB))


def silent(requests: Any) -> Frames:
    next(requests)
    time.sleep(3600)
    yield b""


def ends_at_once(requests: Any) -> Frames:
    yield from ()


def not_opened(requests: Any) -> Frames:
    next(requests)
    yield b"\xff" * 1000


def endless_before(requests: Any) -> Frames:
    next(requests)
    while True:
        yield encode(session_pb2.SessionResponse(seq=7), bytes(MIB))


def endless_unasked(requests: Any) -> Frames:
    """Opens, and then never stops to talk, while the client rests."""
    next(requests)
    yield opened()
    while True:
        yield encode(session_pb2.SessionResponse(seq=7), bytes(MIB))


def endless_ended(requests: Any) -> Frames:
    """The same, with frames that may come unasked: each says that the session has ended."""
    next(requests)
    yield opened()
    while True:
        yield encode(session_pb2.SessionResponse(seq=7, ended=True), bytes(MIB))


def answering(*answers: Callable[[Any], bytes]) -> Callable[[Any], Frames]:
    """Opens, and gives these answers to what comes, the last one for ever."""

    def serve(requests: Any) -> Frames:
        next(requests)
        yield opened()
        for number, request in enumerate(requests):
            yield answers[min(number, len(answers) - 1)](session_pb2.SessionRequest.FromString(request))

    return serve


def _empty_infos(request: Any) -> bytes:
    return session_pb2.SessionResponse(seq=request.seq).SerializeToString() + field(7, b"\x32\0" * (60 * MIB))


def _escapes(request: Any) -> bytes:
    """Text that would set a terminal's title and clear it."""
    status = status_pb2.Status(code=2, message="\x1b]0;attack\x07\x1b[2J")
    return encode(session_pb2.SessionResponse(seq=request.seq, status=status))


SESSION: dict[str, Callable[[Any], Frames]] = {
    "wrong_columns": wrong_columns,
    "wrong_shards": wrong_shards,
    "many_shards": many_shards,
    "more_shards": lambda requests: (
        opened(shards=[one] * 5) for one in [session_pb2.Shard(lanes=1)] if next(requests)
    ),
    "session_silent": silent,
    "session_ends": ends_at_once,
    "session_garbage": not_opened,
    "endless_before": endless_before,
    "endless_unasked": endless_unasked,
    "endless_ended": endless_ended,
    "answer_garbage": answering(lambda request: b"\xff" * 1000),
    "answer_nothing": answering(lambda request: b""),
    "answer_other": answering(lambda request: encode(session_pb2.SessionResponse(seq=request.seq + 1, reset={}))),
    "answer_no_payload": answering(lambda request: encode(session_pb2.SessionResponse(seq=request.seq, reset={}))),
    "answer_long": answering(
        lambda request: encode(session_pb2.SessionResponse(seq=request.seq, reset={}), bytes(255 * MIB))
    ),
    "answer_too_long": answering(lambda request: bytes(300 * MIB)),
    "answer_empty_infos": answering(_empty_infos),
    "answer_escapes": answering(_escapes),
    "limits_for_ever": lambda requests: (opened(limits=Limits(step_time_s=1e300)) for _ in [next(requests)]),
}


class Service(grpc.GenericRpcHandler):
    """Both calls, as bytes.

    Args:
        mode: What to do.
    """

    def __init__(self, mode: str) -> None:
        """Prepare the answer to Describe."""
        self._session = SESSION.get(mode, ends_at_once)
        limits = Limits(step_time_s=1.0)  # what a client waits for
        self._description = DESCRIBE.get(mode, lambda: description(limits).SerializeToString())()

    def service(self, handler_call_details: Any) -> Any:
        """Find the handler of a call."""
        if handler_call_details.method.endswith("/Describe"):
            return grpc.unary_unary_rpc_method_handler(lambda request, context: self._description)
        return grpc.stream_stream_rpc_method_handler(lambda requests, context: self._session(requests))


def main(mode: str, address: str, compression: str = "") -> None:
    """Serve for ever."""
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_send_message_length", -1)],
        compression=grpc.Compression.Gzip if compression else None,
    )
    server.add_generic_rpc_handlers((Service(mode),))
    server.add_insecure_port(address)
    server.start()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
