"""The gRPC face: one short handler per verb, bytes in, bytes out.

Messages are not parsed by gRPC: the handlers get frames as they came and send frames as workers made them.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any

import grpc

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import (
    InvalidArgument,
    MessageTooLarge,
    OpenEnvError,
    ServerUnavailable,
    SessionClosed,
    from_status,
    to_status,
)
from openenv_grpc.server.stream import SessionStream
from openenv_grpc.session.packet import FAILED
from openenv_grpc.session.shard import status_frame
from openenv_grpc.specs import PROTOCOL_REVISION, IsolationTier
from openenv_grpc.v1 import environment_pb2, session_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from google.rpc import status_pb2

    from openenv_grpc.server.sessions import SessionTable
    from openenv_grpc.specs import EnvironmentSpec, Isolation

    Context = grpc.aio.ServicerContext[bytes, bytes]

log = logging.getLogger(__name__)
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
MAX_OPEN_BYTES = 1 << 20
"""Options are read value by value, in the process that serves everybody: they stay small."""
MAX_STATUS_BYTES = 3 << 10
"""A unary call's status travels in HTTP/2 metadata, of which clients accept 8 KiB, encoded."""
SERVICE = "openenv_grpc.v1.EnvironmentService"
OPEN_TIMEOUT_S = 30.0
"""How long a stream may stay without its first request."""
UNARY_VERBS = {
    "Reset": "reset",
    "Step": "step",
    "GetState": "state",
    "Snapshot": "snapshot",
    "Restore": "restore",
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class EnvironmentServicer:
    """Answers the calls of EnvironmentService.

    Args:
        table: The session table.
        version: Version of this software.
        isolation: What holds this server, for Describe; None where nobody has told it.
    """

    def __init__(self, table: SessionTable, version: str, isolation: Isolation | None = None) -> None:
        """Not ready until `spec` is set."""
        self.spec: EnvironmentSpec | None = None
        self.failure: OpenEnvError | None = None
        self._table = table
        self._version = version
        self._isolation = isolation

    def handler(self) -> Any:
        """All methods, for `grpc.aio.Server.add_generic_rpc_handlers`."""
        unary = grpc.unary_unary_rpc_method_handler
        methods: dict[str, Any] = {
            "Describe": unary(self.describe),
            "Session": grpc.stream_stream_rpc_method_handler(self.session),
            "Open": unary(_answering_errors(self.open)),
            "Close": unary(_answering_errors(self.close)),
        }
        for method, verb in UNARY_VERBS.items():
            methods[method] = unary(_answering_errors(functools.partial(self.verb, verb)))
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _ready(self) -> EnvironmentSpec:
        if self.failure is not None:
            raise self.failure
        if self.spec is None:
            msg = "the environment is still being built; try again"
            raise ServerUnavailable(msg, retry_after_s=1.0)
        return self.spec

    async def describe(self, request: bytes, context: Context) -> bytes:
        """Say who this server is."""
        try:
            spec = self._ready()
        except OpenEnvError as error:
            await abort(context, to_status(error))
            raise
        answer = environment_pb2.DescribeResponse(
            protocol_revision=PROTOCOL_REVISION,
            server_version=self._version,
            environment=wire.environment_to_message(spec),
            limits=wire.limits_to_message(self._table.limits),
            isolation_tier=int(IsolationTier.PROCESS),  # type: ignore[arg-type]
            open_sessions=len(self._table.sessions),
            draining=self._table.draining,
            isolation=None if self._isolation is None else wire.isolation_to_message(self._isolation),
        )
        return answer.SerializeToString()

    # -- the stream -----------------------------------------------------------------------------------------------

    async def session(self, _: Any, context: Context) -> None:
        """Serve one session for as long as its stream lasts."""
        opening = await asyncio.wait_for(context.read(), OPEN_TIMEOUT_S)
        if opening is _EOF:
            return
        stream = SessionStream(context, self._table.limits.message_bytes)
        try:
            request = self._read_opening(opening)
            if not request.HasField("open"):
                msg = "the first request of a stream must open the session"
                raise InvalidArgument(msg, field="verb")
            session, answer = await self._table.open(request, self._ready(), stream.put)
        except OpenEnvError as error:
            await context.write(status_frame(0, 0, error, ended=True))
            return
        await stream.run(session, answer)

    def _read_opening(self, data: bytes) -> session_pb2.SessionRequest:
        if len(data) > MAX_OPEN_BYTES:
            msg = f"{len(data)} bytes, at most {MAX_OPEN_BYTES} are allowed to open a session"
            raise MessageTooLarge(msg, field="open")
        request: session_pb2.SessionRequest = frames.decode(data, session_pb2.SessionRequest, MAX_OPEN_BYTES).header
        return request

    # -- unary calls ----------------------------------------------------------------------------------------------

    async def open(self, data: bytes, context: Context) -> bytes:
        """Open a session without a stream."""
        request = self._read_opening(data)
        request.open.SetInParent()
        _, answer = await self._table.open(request, self._ready(), None)
        return answer

    async def close(self, data: bytes, context: Context) -> bytes:
        """End a session; one that has ended already is no error."""
        request = frames.decode(data, session_pb2.SessionRequest, self._table.limits.message_bytes).header
        session = self._table.sessions.get(request.session_id)
        if session is not None:
            session.end(SessionClosed("the session was closed"))
        return frames.encode(session_pb2.SessionResponse(ended=True, close={}))

    async def verb(self, verb: str, data: bytes, context: Context) -> bytes:
        """Send one request to its session and wait for the answer."""
        decoded = frames.decode(data, session_pb2.SessionRequest, self._table.limits.message_bytes)
        request = decoded.header
        if request.WhichOneof("verb") is None:
            data = frames.with_empty(decoded, verb)
        elif request.WhichOneof("verb") != verb:
            msg = f"this call carries {verb} alone"
            raise InvalidArgument(msg, field="verb")
        future: asyncio.Future[tuple[bytes, int]] = asyncio.get_running_loop().create_future()

        session = self._table.find(request.session_id)

        def deliver(frame: bytes, flags: int) -> None:
            session.touch()
            if not future.done():
                future.set_result((frame, flags))

        session.submit(request, data, deliver)
        frame, flags = await future
        if flags & FAILED:
            answer = frames.decode(frame, session_pb2.SessionResponse, self._table.limits.message_bytes).header
            await abort(context, answer.status)
        return frame


def _answering_errors(
    handler: Callable[[bytes, Context], Awaitable[bytes]],
) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """Turn our errors into the call's own status."""

    async def answer(data: bytes, context: Context) -> bytes:
        try:
            return await handler(data, context)
        except OpenEnvError as error:
            await abort(context, to_status(error))
            raise

    return answer


async def abort(context: Context, status: status_pb2.Status) -> None:
    """End a unary call with a status and its details, in the standard trailing metadata."""
    if status.ByteSize() > MAX_STATUS_BYTES:
        error = from_status(status)
        metadata = {key: _cut(value, 100) for key, value in list(error.metadata.items())[:4]}
        field = _cut(error.field, 200) if error.field else None
        retry = error.retry_after_s
        status = to_status(type(error)(_cut(error.message, 1000), field=field, metadata=metadata, retry_after_s=retry))
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    await context.abort(code, _cut(status.message, 300), details)


def _cut(text: str, size: int) -> str:
    """At most so many bytes of a text."""
    data = text.encode()
    return text if len(data) <= size else data[:size].decode(errors="ignore") + " …"
