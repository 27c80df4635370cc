"""How episodes end, and what each autoreset mode does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.testing.case import NotApplicable, Violation, case
from openenv_grpc.testing.peer import MOST_STEPS
from openenv_grpc.testing.rows import first_difference
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer
    from openenv_grpc.testing.rows import Row

NEXT_STEP = session_pb2.AUTORESET_MODE_NEXT_STEP
SAME_STEP = session_pb2.AUTORESET_MODE_SAME_STEP
DISABLED = session_pb2.AUTORESET_MODE_DISABLED


def _ends(row: Row) -> str:
    return f"terminated {row.terminated}, truncated {row.truncated}"


@case(needs=("ending_action",))
def terminated_is_told(peer: Peer) -> None:
    """An episode that reaches a terminal state says terminated and not truncated."""
    row = peer.begin(autoreset_mode=DISABLED).play_to_end().row
    if not row.terminated or row.truncated:
        msg = "terminated True, truncated False after the ending action"
        raise Violation(msg, _ends(row))


@case(needs=("truncating_action",))
def truncated_is_told(peer: Peer) -> None:
    """An episode that is cut short says truncated and not terminated."""
    row = peer.begin(autoreset_mode=DISABLED).play_to_end("truncating_action").row
    if row.terminated or not row.truncated:
        msg = "terminated False, truncated True after the truncating action"
        raise Violation(msg, _ends(row))


@case()
def modes_are_granted(peer: Peer) -> None:
    """Opened tells the autoreset mode that was asked for, and NEXT_STEP where none was."""
    for asked, wanted in ((0, NEXT_STEP), (NEXT_STEP, NEXT_STEP), (SAME_STEP, SAME_STEP), (DISABLED, DISABLED)):
        found = peer.open(autoreset_mode=asked).opened.autoreset_mode
        if found != wanted:
            name = session_pb2.AutoresetMode.Name
            msg = f"{name(wanted)} when {name(asked)} is asked for"
            raise Violation(msg, found)


@case()
def disabled_step_after_done(peer: Peer) -> None:
    """With autoreset DISABLED a step after the end is refused with ILLEGAL_VERB, until the lane is reset."""
    session = peer.begin(autoreset_mode=DISABLED)
    session.play_to_end()
    session.step().lives().refused("ILLEGAL_VERB")
    session.check_usable()


@case()
def next_step_resets(peer: Peer) -> None:
    """With autoreset NEXT_STEP the step after the end resets: its action is ignored, its reward 0, and nothing ends."""
    session = peer.begin(autoreset_mode=NEXT_STEP)
    session.play_to_end()
    ending = peer.target.hints.ending_action
    row = session.step(None if ending is None else [session.act(ending)]).row
    if row.reward or row.done:
        msg = "the step after the end to reset the lane, with reward 0 and no end"
        raise Violation(msg, f"reward {row.reward:g}, {_ends(row)}")
    session.step().ok()


@case()
def next_step_answers_have_no_finals(peer: Peer) -> None:
    """Only SAME_STEP answers final observations: the end of an episode under NEXT_STEP and DISABLED has none."""
    for mode in (NEXT_STEP, DISABLED):
        answer = peer.begin(autoreset_mode=mode).play_to_end().transition
        if answer.final_lanes or answer.final_observations:
            msg = f"no final lanes under {session_pb2.AutoresetMode.Name(mode)}"
            raise Violation(msg, list(answer.final_lanes))


@case()
def same_step_resets_at_once(peer: Peer) -> None:
    """With autoreset SAME_STEP the step that ends an episode names the lane in final_lanes, and the next one steps."""
    session = peer.begin(autoreset_mode=SAME_STEP)
    found = list(session.play_to_end().transition.final_lanes)
    if found != [0]:
        msg = "final_lanes [0] in the answer that ends the episode of lane 0"
        raise Violation(msg, found)
    session.step().ok()


@case(needs=("seeds",))
def same_step_final_observation(peer: Peer) -> None:
    """With autoreset SAME_STEP the final observation is the last one of the old episode, as DISABLED shows it."""
    last = peer.begin(autoreset_mode=DISABLED).play_to_end().row
    answer = peer.begin(autoreset_mode=SAME_STEP).play_to_end()
    if len(answer.transition.final_lanes) != 1:
        msg = "one final observation"
        raise Violation(msg, len(answer.transition.final_lanes))
    if answer.finals[0].seen != last.seen:
        msg = "the final observation to be the old episode's last"
        raise Violation(msg, "another one")


@case(needs=("seeds",))
def modes_play_the_same_episode(peer: Peer) -> None:
    """The autoreset mode changes nothing before the end: the same seed and actions give the same rows in all modes."""
    sessions = [peer.open(autoreset_mode=mode) for mode in (NEXT_STEP, SAME_STEP, DISABLED)]
    actions = [sessions[0].actions.sample() for _ in range(5)]
    traces = [[session.reset([3]).row, *session.trace(actions)] for session in sessions]
    if any(trace[-1].done for trace in traces):
        msg = "the episode ends within five random steps"
        raise NotApplicable(msg)
    for session, trace in zip(sessions[1:], traces[1:], strict=True):
        difference = first_difference(traces[0], trace)
        if difference is not None:
            mode = session_pb2.AutoresetMode.Name(session.opened.autoreset_mode)
            msg = f"the rows of NEXT_STEP under {mode}"
            raise Violation(msg, difference)


@case(needs=("ending_action", "lanes"))
def an_end_concerns_its_own_lane(peer: Peer) -> None:
    """The end of one lane's episode leaves the other lanes of the session in theirs."""
    session = peer.begin(lanes=2, autoreset_mode=DISABLED)
    ending = session.act(peer.target.hints.ending_action or {})
    for _ in range(MOST_STEPS):
        rows = session.step([ending], lanes=[1]).rows
        if rows[0].done:
            break
    if session.step(lanes=[0]).row.done:
        msg = "lane 0 ends by itself within one step"
        raise NotApplicable(msg)
    session.step(lanes=[1]).refused("ILLEGAL_VERB")


@case()
def a_new_episode_begins_undone(peer: Peer) -> None:
    """A reset after an episode's end begins one that is not over: the lane steps without another reset."""
    session = peer.begin(autoreset_mode=DISABLED)
    session.play_to_end()
    row = session.reset().row
    if row.done:
        msg = "the first row of a new episode to be neither terminated nor truncated"
        raise Violation(msg, _ends(row))
    session.step().ok()
