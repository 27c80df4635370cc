"""The two faces as bare gRPC: bytes out, bytes in, with a limit on every wait."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError

from openenv_grpc.client.channel import SERVICE
from openenv_grpc.testing.answers import describe_call, status_of_call
from openenv_grpc.testing.case import Violation
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

METHODS = {
    "open": "Open",
    "reset": "Reset",
    "step": "Step",
    "state": "GetState",
    "snapshot": "Snapshot",
    "restore": "Restore",
    "close": "Close",
}
"""The unary call of each verb."""
ENDED = object()


class Stream:
    """One stream of the Session method. A thread reads it, so that every wait can end.

    Args:
        channel: A gRPC channel.
        timeout_s: Seconds that one answer may take.
        metadata: What its calls carry.

    Attributes:
        last: The last answer as it came; empty before the first.
    """

    def __init__(self, channel: Any, timeout_s: float, metadata: Any = None) -> None:
        """Begin the call; nothing is sent yet."""
        self.last = b""
        self._timeout_s = timeout_s
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Any] = queue.SimpleQueue()
        method = channel.stream_stream(SERVICE + "Session")
        self._call: Any = method(iter(self._outgoing.get, None), metadata=metadata)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for data in self._call:
                self._incoming.put(data)
        except grpc.RpcError as error:
            self._incoming.put(error)
        self._incoming.put(ENDED)

    def send(self, request: Message | bytes) -> None:
        """Send a request, or bytes that are none."""
        self._outgoing.put(request if isinstance(request, bytes) else request.SerializeToString())

    def receive(self, what: str = "an answer") -> session_pb2.SessionResponse:
        """The next answer.

        Raises:
            Violation: None came in time, or the stream has ended.
        """
        item = self._next(what)
        if item is ENDED:
            raise Violation(what, "the end of the stream")
        if isinstance(item, grpc.RpcError):
            raise Violation(what, f"a broken stream, {describe_call(item)}")
        self.last = item
        try:
            return session_pb2.SessionResponse.FromString(item)
        except DecodeError:
            msg = "a SessionResponse"
            raise Violation(msg, f"{len(item)} bytes that are none") from None

    def _next(self, what: str) -> Any:
        try:
            return self._incoming.get(timeout=self._timeout_s)
        except queue.Empty:
            raise Violation(what, f"nothing within {self._timeout_s:g} s") from None

    def half_close(self) -> None:
        """Say that no request will follow."""
        self._outgoing.put(None)

    @property
    def answered(self) -> bool:
        """Whether something has come that is not taken yet."""
        return not self._incoming.empty()

    def wait_for_end(self) -> None:
        """Wait until the server ends the stream in order.

        Raises:
            Violation: Something else comes first.
        """
        msg = "the end of the stream"
        item = self._next(msg)
        if isinstance(item, grpc.RpcError):
            raise Violation(msg, f"a broken stream, {describe_call(item)}")
        if item is not ENDED:
            raise Violation(msg, f"another answer of {len(item)} bytes")

    def wait_for_break(self, code: str) -> None:
        """Wait until the stream breaks with a status of gRPC's own.

        Raises:
            Violation: Something else comes first.
        """
        msg = f"the stream broken with {code}"
        item = self._next(msg)
        if not isinstance(item, grpc.RpcError):
            raise Violation(msg, "the end of the stream" if item is ENDED else f"an answer of {len(item)} bytes")
        call: Any = item
        if call.code().name != code:
            raise Violation(msg, describe_call(item))

    def close(self) -> None:
        """Break it off."""
        self._outgoing.put(None)
        self._call.cancel()


class Unary:
    """Unary calls that answer what a stream would.

    Args:
        channel: A gRPC channel.
        timeout_s: Seconds that one answer may take.
        metadata: What its calls carry.

    Attributes:
        last: The last answer as it came; empty before the first.
    """

    def __init__(self, channel: Any, timeout_s: float, metadata: Any = None) -> None:
        """Nothing is sent yet."""
        self._channel = channel
        self.last = b""
        self._timeout_s = timeout_s
        self._metadata = metadata
        self._calls: list[Any] = []

    def begin(self, verb: str, request: Message | bytes) -> Any:
        """A call on its way; `finish` waits for it."""
        data = request if isinstance(request, bytes) else request.SerializeToString()
        method = self._channel.unary_unary(SERVICE + METHODS[verb])
        call = method.future(data, timeout=self._timeout_s, metadata=self._metadata)
        self._calls.append(call)
        return call

    @property
    def answered(self) -> bool:
        """Whether no call waits any more."""
        return all(call.done() for call in self._calls)

    def finish(self, call: Any) -> session_pb2.SessionResponse:
        """The answer; a call's own status stands where a stream has one in band.

        Raises:
            Violation: It did not come in time, or cannot be read.
        """
        try:
            data = call.result()
        except grpc.RpcError as error:
            if call.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not call.trailing_metadata():
                msg = "an answer"
                raise Violation(msg, f"nothing within {self._timeout_s:g} s") from None
            return session_pb2.SessionResponse(status=status_of_call(error))
        self.last = data
        try:
            return session_pb2.SessionResponse.FromString(data)
        except DecodeError:
            msg = "an answer of the verb's own type"
            raise Violation(msg, f"{len(data)} bytes that are none") from None

    def close(self) -> None:
        """Cancel what runs."""
        for call in self._calls:
            with contextlib.suppress(grpc.RpcError):
                call.cancel()
