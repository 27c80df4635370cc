"""The observation fields that a session asks for: they come, and nothing else changes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from openenv_grpc.testing.case import Violation, case
from openenv_grpc.testing.rows import first_difference
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.testing.answers import Answer
    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.testing.rows import Row

STEPS = 4


def _masks(peer: Peer) -> list[list[str]]:
    """Every other field, and the others: together all, in the order of their numbers."""
    fields = sorted(peer.target.messages.observation.DESCRIPTOR.fields, key=lambda field: field.number)
    names = [field.name for field in fields]
    return [mask for mask in (names[::2], names[1::2]) if mask]


def _trace(session: Session, actions: Sequence[Any]) -> list[Row]:
    return [session.reset([5]).row, *session.trace(actions)]


def _part(peer: Peer, row: Row, mask: Sequence[str]) -> Row:
    """What a row of all fields says of those in the mask."""
    rest = peer.target.messages.observation.FromString(row.rest)
    for field in rest.DESCRIPTOR.fields:
        if field.name not in mask:
            rest.ClearField(field.name)
    columns = {name: value for name, value in row.columns.items() if name in mask}
    return dataclasses.replace(row, columns=columns, rest=rest.SerializeToString(deterministic=True))


def _check_records(session: Session, answer: Answer) -> None:
    """Records hold nothing beyond the mask."""
    for data in answer.transition.observations:
        beyond = [field.name for field, _ in session.observations.record(data).ListFields()]
        beyond = [name for name in beyond if name not in session.opening.fields]
        if beyond:
            msg = f"records of {', '.join(session.opening.fields)} alone"
            raise Violation(msg, f"{', '.join(beyond)} too")


@case()
def only_the_fields_asked_for_come(peer: Peer) -> None:
    """A session that asks for some observation fields gets no column and no record field of the others."""
    seeds = [1] if peer.target.capabilities.seeds else []
    for mask in _masks(peer):
        session = peer.open(fields=mask)
        for answer in (session.reset(seeds), session.step()):
            _check_records(session, answer)
            wanted, found = session.observations.size(1, 0), len(answer.response.payload)
            if found != wanted:
                msg = f"a payload of {wanted} bytes with the columns of {', '.join(mask)}"
                raise Violation(msg, f"{found} bytes")


@case()
def only_the_fields_asked_for_come_in_records(peer: Peer) -> None:
    """In record layout, too, a session that asks for some observation fields gets none of the others."""
    for mask in _masks(peer):
        session = peer.begin(fields=mask, layout=session_pb2.LAYOUT_RECORDS)
        _check_records(session, session.step())


@case(needs=("seeds",))
def fields_asked_for_are_as_ever(peer: Peer) -> None:
    """The fields that a session asks for hold what they hold in a session that asks for none."""
    whole = peer.open()
    actions = [whole.actions.sample() for _ in range(STEPS)]
    rows = _trace(whole, actions)
    for mask in _masks(peer):
        difference = first_difference([_part(peer, row, mask) for row in rows], _trace(peer.open(fields=mask), actions))
        if difference is not None:
            msg = f"{', '.join(mask)} as in a session that asks for no fields"
            raise Violation(msg, difference)


@case(needs=("seeds",))
def the_order_of_fields_changes_nothing(peer: Peer) -> None:
    """Fields that are asked for in another order, or twice, come in the order of the columns, once."""
    for mask in _masks(peer):
        one, two = peer.open(fields=mask), peer.open(fields=[*reversed(mask), mask[0]])
        actions = [one.actions.sample() for _ in range(STEPS)]
        difference = first_difference(_trace(one, actions), _trace(two, actions))
        if difference is not None:
            msg = f"{', '.join(mask)} in the order of the columns"
            raise Violation(msg, difference)


@case(needs=("seeds",))
def final_observations_have_the_fields_asked_for(peer: Peer) -> None:
    """With autoreset SAME_STEP the final observation has the fields asked for, as the whole one has them."""
    mode, mask = session_pb2.AUTORESET_MODE_SAME_STEP, _masks(peer)[0]
    whole = peer.begin(autoreset_mode=mode).play_to_end().finals
    found = peer.begin(autoreset_mode=mode, fields=mask).play_to_end().finals
    difference = first_difference([_part(peer, row, mask) for row in whole], found)
    if difference is not None:
        msg = f"{', '.join(mask)} of the whole final observation"
        raise Violation(msg, difference)


@case()
def opened_tells_all_columns(peer: Peer) -> None:
    """Opened tells all of an observation's columns, whichever fields are asked for."""
    wanted = [column.name for column in peer.open().opened.spec.observation]
    for mask in _masks(peer):
        found = [column.name for column in peer.open(fields=mask).opened.spec.observation]
        if found != wanted:
            msg = f"the columns {', '.join(wanted)}"
            raise Violation(msg, ", ".join(found))


@case()
def unknown_fields_are_refused(peer: Peer) -> None:
    """Open with a field that the observation does not have is refused with INVALID_ARGUMENT, naming the fields."""
    answer, _ = peer.try_open(fields=[_masks(peer)[0][0], "no_such_field"])
    answer.refused("INVALID_ARGUMENT", field="open.fields")
