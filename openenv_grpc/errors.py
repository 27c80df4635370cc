"""Every error this library raises, and the one table that maps them to status codes.

The law of this file: an error is either *local* (the caller broke a rule; calling again the same way fails again) or
*remote* (the server, the environment or the network failed), whichever side noticed it. Each class has one
`google.rpc` code and one reason; `to_status` and `from_status` are the only translation between the two worlds.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from google.protobuf import duration_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

DOMAIN = "openenv-grpc"
"""The `domain` of every `google.rpc.ErrorInfo` this library writes."""
MAX_DELAY_S = 86_400.0
"""The longest delay before another try that is believed."""


class OpenEnvError(Exception):
    """Root of all errors of this library.

    Attributes:
        message: What went wrong and what to do about it.
        field: The field of the request that is at fault, as a dotted path, or None.
        metadata: Further facts, such as the signal that ended a worker.
        retry_after_s: Seconds after which trying again may succeed, or None.
        partial: When some lanes, or some actions of a chunk, went well before this error: their result, else None.
        lane_errors: The error of each lane that failed, when several lanes were asked.
    """

    code: ClassVar[int] = code_pb2.UNKNOWN
    reason: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Keep the facts; `field` is put in front of the message that a person reads."""
        super().__init__(f"{field}: {message}" if field else message)
        self.message = message
        self.field = field
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.partial: Any = None
        self.lane_errors: dict[int, OpenEnvError] = {}

    def under(self, prefix: str) -> OpenEnvError:
        """The same error, its field seen from one level further out."""
        path = f"{prefix}.{self.field}" if self.field else prefix
        return type(self)(self.message, field=path, metadata=self.metadata, retry_after_s=self.retry_after_s)


class LocalError(OpenEnvError):
    """The caller broke a rule."""


class InvalidArgument(LocalError):
    """A value is wrong: type, shape, range, unknown name. Nothing was changed by the call."""

    code = code_pb2.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class IllegalVerb(LocalError):
    """The call is not allowed now, such as a step before the first reset. Nothing was changed by the call."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "ILLEGAL_VERB"


class SessionClosed(IllegalVerb):
    """The session was closed by its own client."""

    reason = "SESSION_CLOSED"


class SequenceError(LocalError):
    """A request's `seq` is neither the next one nor a repetition of the last one."""

    code = code_pb2.ABORTED
    reason = "SEQUENCE"


class Unsupported(LocalError):
    """The environment has not got the capability: seeds it cannot honour, snapshots it cannot take."""

    code = code_pb2.UNIMPLEMENTED
    reason = "UNSUPPORTED"


class MessageTooLarge(LocalError):
    """A message is larger than the server's or the client's limit."""

    code = code_pb2.OUT_OF_RANGE
    reason = "MESSAGE_TOO_LARGE"


class ProtocolMismatch(LocalError):
    """Client and server speak different revisions of the protocol, or the peer speaks another one altogether."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "PROTOCOL_MISMATCH"


class SpecMismatch(LocalError):
    """The client was generated from other messages than the server serves."""

    code = code_pb2.FAILED_PRECONDITION
    reason = "SPEC_MISMATCH"


class Unauthenticated(LocalError):
    """The server asks for a token, and the call shows none, or another. Nothing was changed by the call."""

    code = code_pb2.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class RemoteError(OpenEnvError):
    """The server, the environment or the network failed."""


class ServerUnavailable(RemoteError):
    """Nobody answers at the address."""

    code = code_pb2.UNAVAILABLE
    reason = "SERVER_UNAVAILABLE"


class ServerDraining(RemoteError):
    """The server is shutting down; it finishes what runs and opens nothing new."""

    code = code_pb2.UNAVAILABLE
    reason = "SERVER_DRAINING"


class ServerFull(RemoteError):
    """All sessions, lanes or places in line are taken; `retry_after_s` says when to try again."""

    code = code_pb2.RESOURCE_EXHAUSTED
    reason = "SERVER_FULL"


class MalformedFrame(RemoteError):
    """A peer's message breaks the rules of the frame; `field` names the part."""

    code = code_pb2.INVALID_ARGUMENT
    reason = "MALFORMED_FRAME"


class EnvironmentFailed(RemoteError):
    """The environment raised; `metadata["exception"]` names the type. The session lives on."""

    code = code_pb2.UNKNOWN
    reason = "ENVIRONMENT_FAILED"


class EnvironmentCrashed(RemoteError):
    """A worker process died; `metadata` has `signal` or `exit_code`. The session has ended."""

    code = code_pb2.INTERNAL
    reason = "ENVIRONMENT_CRASHED"


class DeadlineExceeded(RemoteError):
    """The request ran out of time and was interrupted; its lanes must be reset before they step again."""

    code = code_pb2.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class SessionLost(RemoteError):
    """The session no longer exists on the server. Its environments are gone; open a new one."""

    code = code_pb2.NOT_FOUND
    reason = "SESSION_LOST"


ERRORS: tuple[type[OpenEnvError], ...] = (
    InvalidArgument,
    IllegalVerb,
    SessionClosed,
    SequenceError,
    Unsupported,
    MessageTooLarge,
    ProtocolMismatch,
    SpecMismatch,
    Unauthenticated,
    ServerUnavailable,
    ServerDraining,
    ServerFull,
    MalformedFrame,
    EnvironmentFailed,
    EnvironmentCrashed,
    DeadlineExceeded,
    SessionLost,
)
"""All concrete errors: this table, read by reason, is the whole mapping to and from the wire."""

_BY_REASON = {error.reason: error for error in ERRORS}


def to_status(error: OpenEnvError) -> status_pb2.Status:
    """Translate an error for the wire, with ErrorInfo and, where they apply, BadRequest and RetryInfo details."""
    status = status_pb2.Status(code=error.code, message=_sendable(str(error)))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in error.metadata.items():
        info.metadata[_sendable(key)] = _sendable(value)
    status.details.add().Pack(info)
    if error.field:
        field, description = _sendable(error.field), _sendable(error.message)
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _sendable(text: str) -> str:
    """Text without the lone surrogates that a caller's bad names may hold."""
    return text.encode(errors="replace").decode()


def from_status(status: status_pb2.Status) -> OpenEnvError:
    """Translate a status from the wire; one without our reason becomes a plain RemoteError that shows its code."""
    info = error_details_pb2.ErrorInfo()
    bad = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad, retry):
            if detail.Is(message.DESCRIPTOR):
                with contextlib.suppress(DecodeError):  # a peer's nonsense must not hide its message
                    detail.Unpack(message)
    kind = _BY_REASON.get(info.reason) if info.domain == DOMAIN else None
    if kind is None:
        names = code_pb2.Code.DESCRIPTOR.values_by_number
        name = names[status.code].name if status.code in names else str(status.code)
        return RemoteError(harmless(f"{name}: {status.message}"))
    violation = bad.field_violations[0] if bad.field_violations else None
    return kind(
        harmless(violation.description if violation else status.message),
        field=violation.field if violation else None,
        metadata=dict(info.metadata),
        retry_after_s=_delay_s(retry),
    )


def harmless(text: str) -> str:
    """Text that a terminal only shows: what would move its cursor or worse is replaced."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _delay_s(retry: error_details_pb2.RetryInfo) -> float | None:
    """When to try again: a peer's number, which may be negative or longer than any sleep can be."""
    if not retry.HasField("retry_delay"):
        return None
    seconds: float = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return min(max(seconds, 0.0), MAX_DELAY_S)
