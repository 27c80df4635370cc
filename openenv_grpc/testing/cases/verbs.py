"""The order of verbs: what is legal when, how requests are numbered, and what a refusal leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.testing.carriers import Stream, Unary
from openenv_grpc.testing.case import STREAM, UNARY, Violation, case
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer


@case()
def step_before_reset(peer: Peer) -> None:
    """A step before the first reset is refused with ILLEGAL_VERB; after a reset the session steps."""
    session = peer.open()
    session.step().lives().refused("ILLEGAL_VERB")
    session.check_usable()


@case()
def state_before_reset(peer: Peer) -> None:
    """The state before the first reset is refused with ILLEGAL_VERB; after a reset it is answered."""
    session = peer.open()
    session.ask("state").lives().refused("ILLEGAL_VERB")
    session.reset().ok()
    session.ask("state").ok()


@case()
def states_are_records(peer: Peer) -> None:
    """State answers one serialized State per lane asked for."""
    lanes = min(2, peer.target.limits.lanes)
    session = peer.begin(lanes=lanes)
    for wanted, named in ((lanes, []), (1, [lanes - 1])):
        states = session.ask("state", {"lanes": named}).ok().response.state.states
        if len(states) != wanted:
            msg = f"{wanted} states for {wanted} lanes"
            raise Violation(msg, len(states))
        if peer.target.messages.state is not None:
            for state in states:
                peer.target.messages.state.FromString(state)


@case()
def double_reset(peer: Peer) -> None:
    """A reset in the middle of an episode begins another one: it is answered, and the session steps on."""
    session = peer.begin()
    session.step().ok()
    session.reset().ok()
    session.reset().ok()
    session.step().ok()


@case(needs=("lanes",))
def verbs_reach_the_lanes_named(peer: Peer) -> None:
    """A reset that names one lane of two resets that one: the other is as fresh as before."""
    session = peer.open(lanes=2)
    found = list(session.reset(lanes=[1]).transition.lanes)
    if found != [1]:
        msg = "an answer that names lane 1, as the request did"
        raise Violation(msg, found)
    session.step(lanes=[0]).lives().refused("ILLEGAL_VERB")
    answer = session.step(lanes=[1]).lives()
    if answer.refusal is not None:  # lanes may be stepped as one
        answer.refused("UNSUPPORTED", field="step.lanes")
        session.reset(lanes=[0]).ok()
        session.step().ok()


@case(needs=("no_snapshot",))
def snapshot_without_the_capability(peer: Peer) -> None:
    """Where Describe says that environments cannot be saved, snapshot is refused with UNSUPPORTED."""
    session = peer.begin()
    session.ask("snapshot").lives().refused("UNSUPPORTED")
    session.check_usable()


@case(needs=("snapshot",))
def snapshot_before_reset(peer: Peer) -> None:
    """A snapshot before the first reset is refused with ILLEGAL_VERB."""
    session = peer.open()
    session.ask("snapshot").lives().refused("ILLEGAL_VERB")
    session.check_usable()


@case(faces=STREAM)
def second_open(peer: Peer) -> None:
    """Open on a stream whose session is open is refused as a wrong verb, and the session lives on."""
    session = peer.begin()
    session.ask("open", peer.opening()).lives().refused("INVALID_ARGUMENT", field="verb")
    session.check_usable()


@case(faces=STREAM)
def first_request_must_open(peer: Peer) -> None:
    """A stream whose first request is not Open is refused, and ends."""
    for verb in ("reset", "step", "close"):
        stream = peer.stream()
        request = session_pb2.SessionRequest(seq=1)
        getattr(request, verb).SetInParent()
        stream.send(request)
        answer = stream.receive(f"a refusal of {verb}")
        if not answer.HasField("status"):
            msg = f"{verb} refused on a stream without a session"
            raise Violation(msg, f"the result {answer.WhichOneof('result')}")
        stream.wait_for_end()


@case(faces=UNARY)
def calls_carry_their_own_verb(peer: Peer) -> None:
    """A unary call whose message carries another verb than its own is refused, and uses up no number."""
    session = peer.begin()
    assert isinstance(session.carrier, Unary)
    request = session.request("state", seq=session.seqs[0] + 1)
    call = session.carrier.begin("reset", request)
    answer = session.carrier.finish(call)
    if not answer.HasField("status"):
        msg = "Reset with the verb state refused"
        raise Violation(msg, f"the result {answer.WhichOneof('result')}")
    session.check_usable()


@case(faces=UNARY)
def an_unset_verb_is_an_empty_one(peer: Peer) -> None:
    """A unary call whose verb is unset does what the same call with an empty verb does."""
    session = peer.open()
    for verb in ("reset", "state"):
        request = session.request(verb)
        request.ClearField(verb)
        session.exchange(verb, request).ok()


@case()
def answers_echo_shard_and_number(peer: Peer) -> None:
    """An answer carries the shard and the number of its request."""
    lanes = min(2, peer.target.limits.lanes, peer.target.limits.shards)
    session = peer.open(lanes=lanes, shards=lanes)
    last = lanes - 1
    for verb in ("reset", "state", "reset"):
        answer = session.ask(verb, shard=last).ok().response
        if (answer.shard, answer.seq) != (last, session.seqs[last]):
            msg = f"shard {last} and number {session.seqs[last]}"
            raise Violation(msg, f"shard {answer.shard} and number {answer.seq}")


@case()
def a_repeated_number_is_answered_again(peer: Peer) -> None:
    """The number of the last request again is answered with the last answer again, and nothing is done twice."""
    session = peer.begin()
    first = session.step()
    again = session.step(seq=session.seqs[0])
    before, after = first.ok().row.key, again.ok().row.key
    if before != after or first.response.seq != again.response.seq:
        msg = "the last answer again"
        raise Violation(msg, "another answer")
    session.step().ok()


@case()
def a_skipped_number_is_refused(peer: Peer) -> None:
    """A number that is neither the next nor the last is refused with SEQUENCE and is not used up."""
    session = peer.begin()
    for seq in (session.seqs[0] + 2, session.seqs[0] + 1000):
        session.ask("state", seq=seq).lives().refused("SEQUENCE", field="seq")
    session.check_usable()


@case()
def a_refused_verb_uses_its_number(peer: Peer) -> None:
    """A request that its shard has refused has used its number up: the next one has the next."""
    session = peer.begin()
    session.ask("state", {"lanes": [session.opening.lanes]}).lives().refused("INVALID_ARGUMENT", field="lanes")
    session.ask("state").ok()


@case()
def use_after_close(peer: Peer) -> None:
    """After Close is answered the session is gone: the stream ends, a unary call gets SESSION_LOST."""
    session = peer.begin()
    answer = session.ask("close").ok()
    if not answer.response.ended:
        msg = "an answer to close that says ended"
        raise Violation(msg, "one that does not")
    if isinstance(session.carrier, Stream):
        session.carrier.wait_for_end()
        return
    session.step().refused("SESSION_LOST")


@case(needs=("failing_action",))
def an_environment_that_raises_is_an_answer(peer: Peer) -> None:
    """A step in which the environment raises is refused with ENVIRONMENT_FAILED, and the session lives on."""
    session = peer.begin()
    session.step([session.act(peer.target.hints.failing_action or {})]).lives().refused("ENVIRONMENT_FAILED")
    session.check_usable()
