"""A bare gRPC stream: bytes in, bytes out, messages read by protobuf alone."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from openenv_probe.v1 import probe_pb2

from openenv_grpc.v1 import environment_pb2, session_pb2

SERVICE = "/openenv_grpc.v1.EnvironmentService/"
Request, Response = session_pb2.SessionRequest, session_pb2.SessionResponse
BIG = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Fault(NamedTuple):
    """What a status says."""

    code: str
    reason: str
    field: str
    message: str
    metadata: dict[str, str]
    retry_s: float


def fault(status: status_pb2.Status) -> Fault:
    """Read a status as any client would: google.rpc's code and standard details."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    assert info.domain == "openenv-grpc"
    field = bad.field_violations[0].field if bad.field_violations else ""
    code = code_pb2.Code.Name(status.code)
    return Fault(code, info.reason, field, status.message, dict(info.metadata), retry.retry_delay.ToNanoseconds() / 1e9)


def fault_of_call(error: grpc.RpcError) -> Fault:
    """The same for the status of a unary call."""
    call: Any = error
    for key, value in call.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            assert code_pb2.Code.Name(status.code) == call.code().name
            return fault(status)
    raise error


def opening(lanes: int = 1, **fields: Any) -> session_pb2.SessionRequest:
    """A request that opens a session."""
    return Request(open=session_pb2.Open(**{"lanes": lanes, "protocol_revision": 1} | fields))


class Stream:
    """One session's stream, opened by hand.

    Args:
        address: Of the server.
        timeout_s: Deadline of the whole stream, so that no test hangs.
    """

    def __init__(self, address: str, timeout_s: float = 30.0) -> None:
        self.address = address
        self._channel: Any = grpc.insecure_channel(address, options=BIG)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        method = self._channel.stream_stream(SERVICE + "Session")
        self.call: Any = method(self._requests(), timeout=timeout_s)
        self.opened = session_pb2.Opened()

    def worker(self, seq: int) -> int:
        """Process id of a probe environment's worker; takes one number."""
        state = self.ask(seq=seq, state={}).state.states[0]
        return int(probe_pb2.ProbeState.FromString(state).pid)

    def _requests(self) -> Iterator[bytes]:
        yield from iter(self._outgoing.get, None)

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Break the connection."""
        self._outgoing.put(None)
        self.call.cancel()
        self._channel.close()

    def send(self, request: session_pb2.SessionRequest | bytes) -> None:
        self._outgoing.put(request if isinstance(request, bytes) else request.SerializeToString())

    def half_close(self) -> None:
        """Say that no more requests will come."""
        self._outgoing.put(None)

    def receive(self) -> session_pb2.SessionResponse:
        return Response.FromString(next(self.call))

    def rest(self) -> list[session_pb2.SessionResponse]:
        """Everything until the stream's end."""
        return [Response.FromString(data) for data in self.call]

    def ask(
        self, request: session_pb2.SessionRequest | bytes | None = None, **fields: Any
    ) -> session_pb2.SessionResponse:
        """Send a request; the next answer is returned."""
        self.send(Request(**fields) if request is None else request)
        return self.receive()

    def refused(self, request: session_pb2.SessionRequest | bytes | None = None, **fields: Any) -> Fault:
        """Send a request that is refused in band; why is returned."""
        answer = self.ask(request, **fields)
        assert answer.HasField("status"), answer
        assert answer.WhichOneof("result") is None
        return fault(answer.status)

    def open(self, lanes: int = 1, **fields: Any) -> session_pb2.Opened:
        """Open the session; it must succeed."""
        answer = self.ask(opening(lanes, **fields))
        assert not answer.HasField("status"), answer
        self.opened = answer.open
        return answer.open


class Unary:
    """Unary calls, their messages serialized by protobuf alone, or given as bytes."""

    def __init__(self, address: str) -> None:
        self._channel: Any = grpc.insecure_channel(address, options=BIG)

    def __enter__(self) -> Unary:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def __call__(self, verb: str, request: Any = b"", timeout_s: float = 20.0) -> Any:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        answer = self._channel.unary_unary(SERVICE + verb)(data, timeout=timeout_s)
        return getattr(environment_pb2, f"{verb}Response").FromString(answer)

    def code(self, verb: str, data: bytes) -> str:
        """The status code of a call."""
        call = self._channel.unary_unary(SERVICE + verb).future(data, timeout=20)
        return str(call.code().name)

    def refused(self, verb: str, request: Any = b"") -> Fault:
        """A call that fails; why is returned."""
        try:
            answer = self(verb, request)
        except grpc.RpcError as error:
            return fault_of_call(error)
        raise AssertionError(answer)

    def health(self, service: str = "") -> str:
        """What the standard health service says."""
        stub = health_pb2_grpc.HealthStub(self._channel)
        status = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(status))

    def begin(self, verb: str, request: Any, timeout_s: float = 20.0) -> Any:
        """A call on its way, as a grpc future."""
        return self._channel.unary_unary(SERVICE + verb).future(request.SerializeToString(), timeout=timeout_s)
