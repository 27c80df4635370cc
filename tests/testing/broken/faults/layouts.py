"""Servers that say one thing in columns and another in records, or lay their frames out wrongly."""

from __future__ import annotations

from typing import Any

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.v1 import session_pb2
from tests.testing.broken.fault import fault, is_bare, refuse
from tests.testing.broken.faults.fields import flip

COLUMNS = session_pb2.LAYOUT_COLUMNS
RECORDS = session_pb2.LAYOUT_RECORDS


def layout(talk: Any) -> int:
    """The layout that the session has asked for."""
    return int(talk.requests[0].open.layout)


def whole(request: Any) -> bool:
    """Whether a step has whole actions."""
    return bool(request.step.actions and not request.payload)


@fault("answer", "layouts_say_the_same")
def rewards_records(talk: Any, request: Any, answer: Any) -> None:
    """In record layout every step has a higher reward."""
    for outcome in answer.step.outcomes:
        outcome.reward += 1


@fault("request", "columns_are_the_default")
def writes_records_where_columns_are_asked_for(talk: Any, request: Any) -> None:
    """A session that asks for columns gets records."""
    if request.open.layout == COLUMNS:
        request.open.layout = RECORDS


@fault("answer", "records_have_no_payload")
def writes_a_payload_beside_records(talk: Any, request: Any, answer: Any) -> None:
    """In record layout there is a payload."""
    if answer.step.outcomes:
        answer.payload = bytes(8)


@fault("answer", "chunks_are_single_steps_in_records")
def rewards_the_last_record_of_a_chunk(talk: Any, request: Any, answer: Any) -> None:
    """In record layout the last row of a chunk has a higher reward."""
    if answer.step.chunk and answer.step.outcomes:
        answer.step.outcomes[-1].reward += 1


@fault("answer", "final_records_are_whole")
def writes_the_first_record_for_the_last(talk: Any, request: Any, answer: Any) -> None:
    """In record layout the final observation is the new episode's first."""
    if answer.step.outcomes and answer.step.final_lanes:
        answer.step.final_observations[:] = answer.step.observations


@fault("answer", "whole_actions_do_what_columns_do")
def sees_something_else_after_whole_actions(talk: Any, request: Any, answer: Any) -> None:
    """In column layout, a step of whole actions has another observation."""
    if whole(request) and answer.step.observations and answer.payload:
        flip(answer)


@fault("answer", "records_go_both_ways")
def wants_columns_from_everybody(talk: Any, request: Any, answer: Any) -> None:
    """In record layout, whole actions are refused."""
    if layout(talk) == RECORDS and whole(request):
        refuse(answer, InvalidArgument("expected a payload", field="payload"))


@fault("request", "unknown_layouts_are_refused")
def takes_an_unknown_layout_for_the_default(talk: Any, request: Any) -> None:
    """A layout that there is not is the default."""
    if request.open.layout > RECORDS:
        request.open.layout = 0


@fault("answer", "requests_may_say_where_their_payload_begins")
def reads_something_else_after_a_header_size(talk: Any, request: Any, answer: Any) -> None:
    """A step with header_size has another observation, but for the library's client: all of its requests have one."""
    if is_bare(talk) and request.header_size and answer.payload:
        flip(answer)


@fault("answer", "answers_say_where_their_payload_begins")
def says_that_its_payload_begins_elsewhere(talk: Any, request: Any, answer: Any) -> list[bytes] | None:
    """header_size of an answer is 7, but for the library's client: it gives up on such an answer."""
    if not answer.payload or not is_bare(talk):
        return None
    answer.ClearField("padding")
    answer.header_size = 7
    return [answer.SerializeToString()]
