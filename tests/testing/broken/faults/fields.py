"""Servers that get the fields wrong that a session asks for."""

from __future__ import annotations

from typing import Any

from tests.testing.broken.fault import fault


def mask(talk: Any) -> list[str]:
    """The fields that the session has asked for."""
    return list(talk.requests[0].open.fields)


def flip(answer: Any) -> None:
    """Change the last byte of the payload."""
    answer.payload = answer.payload[:-1] + bytes([answer.payload[-1] ^ 1])


@fault("answer", "only_the_fields_asked_for_come")
def sends_another_column(talk: Any, request: Any, answer: Any) -> None:
    """A payload of some fields has another column behind them."""
    if mask(talk) and answer.payload:
        answer.payload += bytes(64)


@fault("answer", "only_the_fields_asked_for_come_in_records")
def sends_the_verb_in_every_record(talk: Any, request: Any, answer: Any) -> None:
    """In record layout the observation's verb comes, whether it is asked for or not."""
    if answer.step.outcomes and mask(talk) and "verb" not in mask(talk):
        answer.step.observations[0] += b"\x0a\x01x"


@fault("answer", "fields_asked_for_are_as_ever")
def sends_other_values_of_some_fields(talk: Any, request: Any, answer: Any) -> None:
    """The last byte of an observation of some fields is another one."""
    if mask(talk) and answer.payload and not answer.step.final_lanes:
        flip(answer)


@fault("answer", "the_order_of_fields_changes_nothing")
def stumbles_over_fields_named_twice(talk: Any, request: Any, answer: Any) -> None:
    """A field that is asked for twice has other values."""
    if len(set(mask(talk))) < len(mask(talk)) and answer.payload:
        flip(answer)


@fault("answer", "final_observations_have_the_fields_asked_for")
def sends_other_final_values_of_some_fields(talk: Any, request: Any, answer: Any) -> None:
    """The last byte of a final observation of some fields is another one."""
    if mask(talk) and answer.step.final_lanes:
        flip(answer)


@fault("answer", "opened_tells_all_columns")
def tells_the_columns_asked_for(talk: Any, request: Any, answer: Any) -> None:
    """Opened tells the columns that were asked for alone."""
    if answer.HasField("open") and mask(talk):
        wanted = [column for column in answer.open.spec.observation if column.name in mask(talk)]
        del answer.open.spec.observation[:]
        answer.open.spec.observation.extend(wanted)


@fault("request", "unknown_fields_are_refused")
def ignores_fields_that_it_does_not_know(talk: Any, request: Any) -> None:
    """A field that the observation does not have is dropped."""
    if "no_such_field" in request.open.fields:
        request.open.fields.remove("no_such_field")
