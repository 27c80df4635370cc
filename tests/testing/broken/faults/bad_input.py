"""Servers that make do with bad input."""

from __future__ import annotations

import itertools
from typing import Any

from openenv_grpc.errors import InvalidArgument, from_status
from tests.testing.broken.fault import allow, fault, reason, refuse

LARGEST = 2**32 - 1


def field(answer: Any) -> str:
    """The field that a refusal names; empty where there is none."""
    return (from_status(answer.status).field or "") if answer.HasField("status") else ""


@fault("answer", "actions_out_of_bounds_are_refused")
def steps_with_numbers_out_of_bounds(talk: Any, request: Any, answer: Any) -> None:
    """A level out of its bounds is answered."""
    if field(answer).endswith(".level"):
        allow(answer, "step")


@fault("answer", "nan_is_refused_where_there_are_bounds")
def steps_with_nan(talk: Any, request: Any, answer: Any) -> None:
    """NaN is answered, whatever the bounds."""
    if "nan is not within" in answer.status.message:
        allow(answer, "step")


@fault("answer", "truth_values_other_than_0_and_1_are_refused")
def takes_2_for_true(talk: Any, request: Any, answer: Any) -> None:
    """A truth value of 2 is answered."""
    if field(answer) == "mask" and reason(answer) == "MALFORMED_FRAME":
        allow(answer, "step")


@fault("answer", "a_payload_of_another_length_is_refused")
def ignores_the_end_of_a_payload(talk: Any, request: Any, answer: Any) -> None:
    """A payload of another length is answered."""
    if field(answer) == "payload":
        allow(answer, "step")


@fault("answer", "a_wrong_number_of_actions_is_refused")
def ignores_actions_too_many(talk: Any, request: Any, answer: Any) -> None:
    """Two actions for one row are answered."""
    if field(answer) == "step.actions" and request.step.actions:
        allow(answer, "step")


@fault("answer", "arrays_that_do_not_fit_are_refused")
def steps_with_any_mask(talk: Any, request: Any, answer: Any) -> None:
    """A mask of another dtype or shape is answered."""
    if "mask" in field(answer) and reason(answer) == "INVALID_ARGUMENT":
        allow(answer, "step")


@fault("answer", "text_in_actions_must_be_utf8")
def does_not_say_which_text_of_an_action_is_bad(talk: Any, request: Any, answer: Any) -> None:
    """Text of an action that is not UTF-8 is refused with the action's name alone."""
    if field(answer).endswith(".verb"):
        refuse(answer, InvalidArgument("not an action", field="action[0]"))


@fault("answer", "lanes_beyond_the_session_are_refused")
def steps_a_lane_that_is_not_there(talk: Any, request: Any, answer: Any) -> None:
    """A step of the largest lane that can be named is answered."""
    if list(request.step.lanes) == [LARGEST]:
        allow(answer, "step")


@fault("request", "lanes_of_another_shard_are_refused")
def takes_any_lane_for_its_own(talk: Any, request: Any) -> None:
    """The second shard steps its own lane where the first one's is named."""
    if request.shard == 1 and list(request.step.lanes) == [0]:
        request.step.lanes[:] = [1]


@fault("answer", "lanes_must_increase")
def takes_lanes_in_any_order(talk: Any, request: Any, answer: Any) -> None:
    """A step of lanes that do not increase is answered."""
    if any(a >= b for a, b in itertools.pairwise(request.step.lanes)):
        allow(answer, "step")


@fault("request", "a_refused_step_changes_nothing")
def steps_before_it_looks(talk: Any, request: Any) -> None:
    """A step of a lane that is there and one that is not steps the first."""
    talk.notes["partly"] = list(request.step.lanes) == [0, LARGEST]
    if talk.notes["partly"]:
        del request.step.lanes[:]
        request.step.chunk = 2


@fault("answer", "a_refused_step_changes_nothing", name="steps_before_it_looks")
def refuses_what_it_has_done(talk: Any, request: Any, answer: Any) -> None:
    """It is refused all the same."""
    if talk.notes.get("partly"):
        refuse(answer, InvalidArgument("expected lanes of the shard", field="lanes"))


@fault("request", "options_nested_too_deep_are_refused")
def drops_lists_from_options(talk: Any, request: Any) -> None:
    """A reset option that is a list is dropped."""
    if request.HasField("reset"):
        for name in [name for name, value in request.reset.options.items() if value.HasField("list")]:
            del request.reset.options[name]


@fault("answer", "broken_arrays_in_options_are_refused")
def resets_with_broken_arrays(talk: Any, request: Any, answer: Any) -> None:
    """A reset option that is a broken array is answered."""
    if field(answer).startswith("reset.options.bad") and request.reset.options["bad"].HasField("array"):
        allow(answer, "reset")


@fault("answer", "a_wrong_number_of_snapshots_is_refused")
def restores_from_any_number_of_snapshots(talk: Any, request: Any, answer: Any) -> None:
    """A restore with more snapshots than lanes is answered."""
    if field(answer) == "restore.snapshots" and len(request.restore.snapshots) > 1:
        allow(answer, "restore")


@fault("answer", "a_snapshot_that_is_none_is_refused")
def restores_from_anything(talk: Any, request: Any, answer: Any) -> None:
    """A restore from no bytes is answered."""
    if list(request.restore.snapshots) == [b""]:
        allow(answer, "restore")
