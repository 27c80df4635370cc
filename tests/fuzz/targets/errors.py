"""Statuses from a peer: `google.rpc.Status` with details that may be anything.

What may happen: an OpenEnvError is made of it, which written and read again is the same. What may not: any exception,
and a time to wait that no one can wait.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from openenv_grpc.errors import DOMAIN, ERRORS, OpenEnvError, from_status, to_status
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil

_REASONS = [error.reason for error in ERRORS] + ["", "NONE_SUCH"]


def one_input(data: bytes) -> None:
    source = Source(data)
    try:
        status = status_pb2.Status.FromString(source.rest() if source.flag(4) else spoil(source, _good(source)))
    except DecodeError:
        return
    error = from_status(status)
    assert isinstance(error, OpenEnvError)
    assert str(error) == str(error.under("x").under("y")).removeprefix("y.x").removeprefix(".").removeprefix(": ")
    assert error.retry_after_s is None or 0 <= error.retry_after_s < 1e12
    if type(error) in ERRORS:
        again = from_status(to_status(error))
        assert (type(again), again.message, again.metadata) == (type(error), error.message, error.metadata)
        assert (again.field or None) == (error.field or None)


def _good(source: Source) -> bytes:
    """A status as our own servers write it, or as somebody else's might."""
    status = status_pb2.Status(code=source.integer(-(1 << 31), (1 << 31) - 1), message=source.text())
    for _ in range(source.below(4)):
        detail, kind = status.details.add(), source.below(4)
        if kind == 0:
            reason, domain = source.pick(_REASONS), DOMAIN if not source.flag(4) else source.text()
            detail.Pack(
                error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata={source.text(): source.text()})
            )
        elif kind == 1:
            violation = {"field": source.text(), "description": source.text()}
            detail.Pack(error_details_pb2.BadRequest(field_violations=[violation] * source.below(3)))
        elif kind == 2:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.seconds, retry.retry_delay.nanos = (
                source.integer(),
                source.integer(-(1 << 31), (1 << 31) - 1),
            )
            detail.Pack(retry)
        else:
            detail.type_url = "type.googleapis.com/google.rpc." + source.pick(
                ("ErrorInfo", "BadRequest", "RetryInfo", "x")
            )
            detail.value = source.blob()
    return status.SerializeToString()
