"""Answers and refusals as a case sees them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from openenv_grpc.errors import DOMAIN, ERRORS
from openenv_grpc.testing.case import Violation
from openenv_grpc.testing.rows import Observations, Row

if TYPE_CHECKING:
    from openenv_grpc.v1 import session_pb2

CODES = {error.reason: code_pb2.Code.Name(error.code) for error in ERRORS}
"""The code that belongs to each reason; docs/errors.md has the table."""


class Refusal(NamedTuple):
    """What a status says."""

    code: str
    reason: str
    field: str
    message: str
    metadata: dict[str, str]
    retry_s: float

    def __str__(self) -> str:
        """One line for a person."""
        reason = self.reason or "no reason"
        return f"{self.code} ({reason}{', field ' + self.field if self.field else ''}): {self.message:.200}"


def read_status(status: status_pb2.Status) -> Refusal:
    """A status and its standard details."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        for message in (info, bad, retry):
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
    known = code_pb2.Code.DESCRIPTOR.values_by_number
    return Refusal(
        known[status.code].name if status.code in known else str(status.code),
        info.reason if info.domain == DOMAIN else "",
        bad.field_violations[0].field if bad.field_violations else "",
        status.message,
        dict(info.metadata),
        retry.retry_delay.ToNanoseconds() / 1e9,
    )


def status_of_call(error: Any) -> status_pb2.Status:
    """The status that a unary call ended with; gRPC's own, without details, has no reason."""
    code, text = error.code(), error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            status = status_pb2.Status.FromString(value)
            if code_pb2.Code.Name(status.code) != code.name:
                msg = "the same code in the call's status and in its details"
                raise Violation(msg, f"{code.name} and {status.code}")
            return status
    return status_pb2.Status(code=code.value[0], message=text)


class Answer:
    """The answer to one request.

    Attributes:
        verb: What was asked.
        response: What came, of either face.
    """

    def __init__(
        self, verb: str, response: session_pb2.SessionResponse, observations: Observations | None, rows: int
    ) -> None:
        """Nothing is checked yet.

        Args:
            verb: What was asked.
            response: What came.
            observations: Reads rows; None where there are none to read.
            rows: How many there must be.
        """
        self.verb = verb
        self.response = response
        self._observations = observations
        self._rows = rows

    @property
    def refusal(self) -> Refusal | None:
        """Why the request was refused; None when it was not."""
        return read_status(self.response.status) if self.response.HasField("status") else None

    def ok(self) -> Answer:
        """This answer, if it has the result that was asked for.

        Raises:
            Violation: It was refused, or answers something else.
        """
        if self.refusal is not None:
            msg = f"an answer to {self.verb}"
            raise Violation(msg, self.refusal)
        result = self.response.WhichOneof("result")
        if result != self.verb:
            msg = f"the result {self.verb}"
            raise Violation(msg, f"the result {result}")
        return self

    def refused(self, *reasons: str, field: str = "") -> Refusal:
        """The refusal, if it is as documented and the session lives on.

        Args:
            reasons: Reasons of docs/errors.md, any of which will do.
            field: The field that the refusal must name; a longer path that ends with it will do.

        Raises:
            Violation: Another reason, code or field, or no refusal at all.
        """
        found, wanted = self.refusal, " or ".join(f"{CODES[reason]} ({reason})" for reason in reasons)
        if field:
            wanted += f" that names the field {field}"
        if found is None:
            msg = f"{self.verb} refused with {wanted}"
            raise Violation(msg, f"the result {self.response.WhichOneof('result')}")
        named = not field or found.field == field or found.field.endswith("." + field)
        if found.reason not in reasons or found.code != CODES[found.reason] or not named:
            raise Violation(wanted, found)
        if self.response.WhichOneof("result") is not None:
            msg = "no result beside a refusal"
            raise Violation(msg, f"the result {self.response.WhichOneof('result')}")
        return found

    def ended_with(self, code: str) -> None:
        """Check that a call has ended with a status of gRPC's own, which has no reason.

        Raises:
            Violation: With another code, or it has an answer.
        """
        found = self.refusal
        if found is None or found.code != code:
            raise Violation(code, found or f"the result {self.response.WhichOneof('result')}")

    def lives(self) -> Answer:
        """This answer, if the session has not ended with it.

        Raises:
            Violation: It says that it has.
        """
        if self.response.ended:
            msg = f"a session that lives on after {self.verb}"
            raise Violation(msg, "an answer that says ended")
        return self

    @property
    def transition(self) -> session_pb2.Transition:
        """The result of reset or step.

        Raises:
            Violation: There is none.
        """
        self.ok()
        found: session_pb2.Transition = getattr(self.response, self.verb)
        return found

    @cached_property
    def rows(self) -> list[Row]:
        """The rows of a reset or step, action by action where there is a chunk.

        Raises:
            Violation: They cannot be read.
        """
        assert self._observations is not None
        return self._observations.rows(self.transition, self.response.payload, self._rows)

    @cached_property
    def finals(self) -> list[Row]:
        """The last observations of ended episodes, one per lane of `final_lanes`."""
        assert self._observations is not None
        return self._observations.finals(self.transition, self.response.payload, self._rows)

    @property
    def row(self) -> Row:
        """The only row."""
        return self.rows[0]


def describe_call(error: grpc.RpcError) -> str:
    """A broken call in words."""
    call: Any = error
    return f"{call.code().name}: {call.details()}"
