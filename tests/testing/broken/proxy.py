"""A broken server: a proxy in front of a good one that changes messages of one kind as they pass.

Frames that the fault leaves alone pass byte by byte; those that it changes are written anew by protobuf alone.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from openenv_grpc.v1 import session_pb2
from tests.testing.broken.fault import Fault, Talk

SERVICE = "/openenv_grpc.v1.EnvironmentService/"
VERBS = {"Open", "Reset", "Step", "GetState", "Snapshot", "Restore", "Close"}
DETAILS = "grpc-status-details-bin"
BIG = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
CODES = {code.value[0]: code for code in grpc.StatusCode}
_numbers = itertools.count()


@contextlib.contextmanager
def broken(address: str, fault: Fault | None) -> Iterator[str]:
    """The address of a server that is like the one at `address` but for the fault."""
    with tempfile.TemporaryDirectory(prefix="openenv-broken-") as directory, ThreadPoolExecutor(64) as pool:
        channel = grpc.insecure_channel(address, [*BIG, ("openenv.pool", next(_numbers))])
        server = grpc.server(pool, [Proxy(channel, fault)], options=BIG)
        there = f"unix:{directory}/env.sock"
        server.add_insecure_port(there)
        server.start()
        try:
            yield there
        finally:
            server.stop(None).wait(5)
            channel.close()


class Proxy(grpc.GenericRpcHandler):
    """Relays every call."""

    def __init__(self, channel: Any, fault: Fault | None) -> None:
        self._channel = channel
        self._fault = fault
        self._talks: dict[str, Talk] = {}

    def service(self, details: Any) -> Any:
        if details.method == SERVICE + "Session":
            return grpc.stream_stream_rpc_method_handler(self._stream)
        name = details.method.rpartition("/")[2]
        handler = self._verb if details.method.startswith(SERVICE) and name in VERBS else self._call
        return grpc.unary_unary_rpc_method_handler(lambda data, context: handler(details.method, data, context))

    # -- hooks ----------------------------------------------------------------------------------------------------

    def _pass_request(self, talk: Talk, data: bytes) -> list[bytes]:
        try:
            request = session_pb2.SessionRequest.FromString(data)
        except DecodeError:  # not for a fault to change
            talk.requests.append(session_pb2.SessionRequest())
            talk.unreadable = data
            return [data]
        talk.requests.append(request)
        talk.unreadable = b""
        return self._apply("request", data, request, talk, request)

    def _pass_answer(self, talk: Talk, request: Any, data: bytes) -> list[bytes]:
        answer = session_pb2.SessionResponse.FromString(data)
        talk.answers.append(session_pb2.SessionResponse.FromString(data))
        if talk.unreadable:
            return self._apply("unreadable", data, answer, talk, talk.unreadable, answer)
        return self._apply("answer", data, answer, talk, request, answer)

    def _apply(self, hook: str, data: bytes, message: Any, *arguments: Any) -> list[bytes]:
        before = type(message).FromString(data)
        found = self._fault.on(hook, *arguments) if self._fault is not None else None
        if found is None:
            return [data if message == before else _write(message)]
        return [item if isinstance(item, bytes) else _write(item) for item in found]

    # -- the stream -----------------------------------------------------------------------------------------------

    def _stream(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        talk, waiting = Talk(), deque[Any]()

        def outgoing() -> Iterator[bytes]:
            for data in requests:
                passed = self._pass_request(talk, data)
                waiting.extend([talk.requests[-1]] * len(passed))
                yield from passed
            talk.half_closed = True

        call = self._channel.stream_stream(SERVICE + "Session")(outgoing())
        context.add_callback(call.cancel)
        try:
            for data in call:
                yield from self._pass_answer(talk, _matching(waiting, data), data)
        except grpc.RpcError as error:
            _abort(context, error)
        finally:
            self._end(talk)

    def _end(self, talk: Talk) -> None:
        if self._fault is not None:
            self._fault.on("end", talk)

    # -- unary calls ----------------------------------------------------------------------------------------------

    def _call(self, method: str, data: bytes, context: Any) -> bytes:
        """Any call but a session's verbs."""
        answer = self._relay(method, data, context)
        name = method.rpartition("/")[2]
        found = self._fault.on(name, data, answer) if self._fault is not None else None
        return answer if found is None else found

    def _verb(self, method: str, data: bytes, context: Any) -> bytes:
        session_id = ""
        with contextlib.suppress(DecodeError):
            session_id = session_pb2.SessionRequest.FromString(data).session_id
        talk = self._talks.setdefault(session_id, Talk()) if session_id else Talk()
        talk.method = method.rpartition("/")[2]
        return self._exchange(talk, method, data, context)

    def _exchange(self, talk: Talk, method: str, data: bytes, context: Any) -> bytes:
        passed = self._pass_request(talk, data)
        request = talk.requests[-1]
        answers: list[bytes] = []
        for item in passed:
            try:
                answer = self._channel.unary_unary(method)(item, timeout=30)
            except grpc.RpcError as error:
                status = _status(error)
                if status is None:
                    _abort(context, error)
                answer = session_pb2.SessionResponse(status=status, seq=request.seq).SerializeToString()
            answers += self._pass_answer(talk, request, answer)
        if not answers:
            _wait_for_end(context)
        final = session_pb2.SessionResponse.FromString(answers[0])
        if final.open.session_id:
            self._talks[final.open.session_id] = talk
        if final.HasField("status"):
            details = ((DETAILS, final.status.SerializeToString()),)
            context.set_trailing_metadata(details)
            context.abort(CODES[final.status.code], final.status.message[:300])
        return answers[0]

    def _relay(self, method: str, data: bytes, context: Any) -> bytes:
        try:
            answer: bytes = self._channel.unary_unary(method)(data, timeout=30)
        except grpc.RpcError as error:
            _abort(context, error)
            raise
        return answer


def _write(message: Any) -> bytes:
    """A message whose fields are in the order of their numbers: header_size would not hold, so it is left out."""
    message.ClearField("header_size")
    message.ClearField("padding")
    data: bytes = message.SerializeToString()
    return data


def _matching(waiting: deque[Any], data: bytes) -> Any:
    """The request that an answer belongs to, by its number; the oldest where none has it. None for a goodbye."""
    seq = session_pb2.SessionResponse.FromString(data).seq
    for request in waiting:
        if request is not None and request.seq == seq:
            waiting.remove(request)
            return request
    return waiting.popleft() if waiting else None


def _status(error: Any) -> status_pb2.Status | None:
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS:
            return status_pb2.Status.FromString(value)
    return None


def _abort(context: Any, error: Any) -> None:
    context.set_trailing_metadata(tuple(error.trailing_metadata() or ()))
    context.abort(error.code(), error.details())


def _wait_for_end(context: Any) -> None:
    """Never answer."""
    ended = threading.Event()
    if context.add_callback(ended.set):
        ended.wait(60)
