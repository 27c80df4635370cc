"""Servers that get the end of an episode wrong."""

from __future__ import annotations

import struct
from typing import Any

from openenv_grpc.errors import IllegalVerb
from openenv_grpc.v1 import session_pb2
from tests.testing.broken.fault import allow, fault, reason, refuse

TERMINATED, TRUNCATED = 64, 128
"""Where the two columns of a payload of up to 64 rows begin; the reward's is in front."""
SAME_STEP = session_pb2.AUTORESET_MODE_SAME_STEP
NEXT_STEP = session_pb2.AUTORESET_MODE_NEXT_STEP
DISABLED = session_pb2.AUTORESET_MODE_DISABLED


def mode(talk: Any) -> int:
    """The autoreset mode in force."""
    return int(talk.answers[0].open.autoreset_mode)


def ended(answer: Any) -> bool:
    """Whether the first row says that its episode has ended."""
    return len(answer.payload) > TRUNCATED and bool(answer.payload[TERMINATED] or answer.payload[TRUNCATED])


def put(answer: Any, at: int, data: bytes) -> None:
    """Overwrite a part of the payload."""
    answer.payload = answer.payload[:at] + data + answer.payload[at + len(data) :]


@fault("answer", "terminated_is_told")
def calls_every_end_truncated_too(talk: Any, request: Any, answer: Any) -> None:
    """A terminated episode is truncated as well."""
    if ended(answer):
        put(answer, TRUNCATED, b"\1")


@fault("answer", "truncated_is_told")
def calls_every_end_terminated(talk: Any, request: Any, answer: Any) -> None:
    """A truncated episode is terminated instead."""
    if ended(answer):
        put(answer, TERMINATED, b"\1")
        put(answer, TRUNCATED, b"\0")


@fault("answer", "modes_are_granted")
def says_another_default_mode(talk: Any, request: Any, answer: Any) -> None:
    """A session opened without a mode says DISABLED, and has NEXT_STEP."""
    if answer.HasField("open") and not request.open.autoreset_mode:
        answer.open.autoreset_mode = DISABLED


@fault("answer", "disabled_step_after_done")
def steps_beyond_the_end(talk: Any, request: Any, answer: Any) -> None:
    """With autoreset off, a step after the end is answered."""
    if request.HasField("step") and reason(answer) == "ILLEGAL_VERB" and ended(talk.answers[-2]):
        allow(answer, "step")


@fault("answer", "next_step_resets")
def rewards_the_step_that_resets(talk: Any, request: Any, answer: Any) -> None:
    """The step that resets a lane has a reward."""
    if mode(talk) == NEXT_STEP and request.HasField("step") and ended(talk.answers[-2]):
        put(answer, 0, struct.pack("<d", 1.0))


@fault("answer", "next_step_answers_have_no_finals")
def names_final_lanes_in_every_mode(talk: Any, request: Any, answer: Any) -> None:
    """An episode's end names a final lane with autoreset off."""
    if mode(talk) == DISABLED and request.HasField("step") and ended(answer):
        answer.step.final_lanes.append(0)


@fault("answer", "same_step_resets_at_once")
def names_another_final_lane(talk: Any, request: Any, answer: Any) -> None:
    """The final lane is numbered one too high."""
    if answer.step.final_lanes:
        answer.step.final_lanes[0] += 1


@fault("answer", "same_step_final_observation")
def gives_another_final_observation(talk: Any, request: Any, answer: Any) -> None:
    """The last byte of the final observation is another one."""
    if answer.step.final_lanes and answer.payload:
        put(answer, len(answer.payload) - 1, bytes([answer.payload[-1] ^ 1]))


@fault("answer", "modes_play_the_same_episode")
def plays_another_episode_in_one_mode(talk: Any, request: Any, answer: Any) -> None:
    """With SAME_STEP, observations before the end are others."""
    if mode(talk) == SAME_STEP and request.HasField("step") and answer.payload and not ended(answer):
        put(answer, len(answer.payload) - 1, bytes([answer.payload[-1] ^ 1]))


@fault("answer", "an_end_concerns_its_own_lane")
def ends_all_lanes_at_once(talk: Any, request: Any, answer: Any) -> None:
    """After the end of one lane's episode the other lane has to be reset too."""
    if list(request.step.lanes) == [0] and len(talk.answers) > 1 and ended(talk.answers[-2]):
        refuse(answer, IllegalVerb("the episode has ended"))


@fault("answer", "a_new_episode_begins_undone")
def begins_with_the_end(talk: Any, request: Any, answer: Any) -> None:
    """The first row after an end says terminated still."""
    if request.HasField("reset") and answer.payload and len(talk.answers) > 1 and ended(talk.answers[-2]):
        put(answer, TERMINATED, b"\1")
