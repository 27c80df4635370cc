"""Columns and records: two ways to write the same rows, and how frames are laid out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_grpc.testing.case import NotApplicable, Violation, case
from openenv_grpc.testing.frames import ALIGN, PAYLOAD_TAG, framed
from openenv_grpc.testing.rows import first_difference
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.testing.rows import Row

COLUMNS = session_pb2.LAYOUT_COLUMNS
RECORDS = session_pb2.LAYOUT_RECORDS
STEPS = 5


def _actions(session: Session) -> list[Any]:
    return [session.actions.sample() for _ in range(STEPS)]


def _whole(session: Session, actions: Sequence[Any]) -> list[Row]:
    """Like `Session.trace`, with whole actions."""
    rows: list[Row] = []
    for action in actions:
        rows.append(session.step([action], whole=True).row)
        if rows[-1].done:
            break
    return rows


def _compare(what: str, first: Sequence[Row], second: Sequence[Row]) -> None:
    difference = first_difference(first, second)
    if difference is not None:
        raise Violation(what, difference)


@case(needs=("seeds",))
def layouts_say_the_same(peer: Peer) -> None:
    """Records and columns hold the same values: the same seed and actions give the same rows in both layouts."""
    columns, records = peer.open(), peer.open(layout=RECORDS)
    actions = _actions(columns)
    one, two = ([session.reset([7]).row, *session.trace(actions)] for session in (columns, records))
    _compare("the rows of column layout in record layout", one, two)


@case()
def columns_are_the_default(peer: Peer) -> None:
    """A session opened without a layout, and one opened with COLUMNS, get outcomes as columns, never as messages."""
    for layout in (session_pb2.LAYOUT_UNSPECIFIED, COLUMNS):
        session = peer.begin(layout=layout)
        answer = session.step()
        if answer.transition.outcomes or not answer.response.payload:
            msg = f"columns with {session_pb2.Layout.Name(layout)}"
            raise Violation(msg, f"{len(answer.transition.outcomes)} outcomes in record layout")


@case()
def records_have_no_payload(peer: Peer) -> None:
    """In record layout an answer has one observation and one outcome per row, and no payload."""
    lanes = min(2, peer.target.limits.lanes)
    session = peer.begin(lanes=lanes, layout=RECORDS)
    answer = session.step()
    found = len(answer.transition.observations), len(answer.transition.outcomes), len(answer.response.payload)
    if found != (lanes, lanes, 0):
        msg = f"{lanes} observations, {lanes} outcomes and a payload of 0 bytes"
        raise Violation(msg, "{} observations, {} outcomes and a payload of {} bytes".format(*found))


@case(needs=("seeds", "chunks"))
def chunks_are_single_steps_in_records(peer: Peer) -> None:
    """In record layout, too, a chunk of actions gives the rows that the same actions give one by one."""
    one, two = peer.begin(layout=RECORDS), peer.begin(layout=RECORDS)
    actions = _actions(one)[: peer.target.limits.chunk]
    answer, singles = one.step(actions, chunk=len(actions)), two.trace(actions)
    _compare("the rows of single steps", singles, answer.rows[: len(singles)])


@case(needs=("seeds",))
def final_records_are_whole(peer: Peer) -> None:
    """In record layout a final observation is the whole last one of the old episode, as DISABLED shows it."""
    disabled, same_step = session_pb2.AUTORESET_MODE_DISABLED, session_pb2.AUTORESET_MODE_SAME_STEP
    last = peer.begin(layout=RECORDS, autoreset_mode=disabled).play_to_end().row
    finals = peer.begin(layout=RECORDS, autoreset_mode=same_step).play_to_end().finals
    if [final.seen for final in finals] != [last.seen]:
        msg = "the old episode's last observation as the one final observation"
        raise Violation(msg, f"{len(finals)} final observations" if len(finals) != 1 else "another one")


@case(needs=("seeds",))
def whole_actions_do_what_columns_do(peer: Peer) -> None:
    """Actions may come as whole records, without a payload: they do what the same actions do as columns."""
    one, two = peer.begin(), peer.begin()
    if not one.actions.columns:
        msg = "the action has no columns"
        raise NotApplicable(msg)
    actions = _actions(one)
    _compare("the rows of the same actions as columns", one.trace(actions), _whole(two, actions))


@case(needs=("seeds",))
def records_go_both_ways(peer: Peer) -> None:
    """A client without columns of its own sends whole actions and gets whole observations, the same as ever."""
    one, two = peer.begin(layout=RECORDS), peer.begin(layout=RECORDS)
    actions = _actions(one)
    _compare("the rows of the same actions as columns", one.trace(actions), _whole(two, actions))


@case()
def unknown_layouts_are_refused(peer: Peer) -> None:
    """Open with a layout that there is not is refused with INVALID_ARGUMENT, naming it."""
    peer.try_open(layout=77)[0].refused("INVALID_ARGUMENT", field="open.layout")


@case(needs=("seeds",))
def requests_may_say_where_their_payload_begins(peer: Peer) -> None:
    """A request with header_size and an aligned payload at its end is read like one without header_size."""
    one, two = peer.begin(), peer.begin()
    for action in _actions(one):
        request, rows = two.stepping([action])
        framed_row = two.exchange("step", framed(request), rows).row
        _compare("the row of a request without header_size", [one.step([action]).row], [framed_row])
        if framed_row.done:
            break


@case()
def answers_say_where_their_payload_begins(peer: Peer) -> None:
    """header_size of an answer is 0, or where field 1000 begins: last, its content at a multiple of 64 bytes."""
    session = peer.open()
    for ask in (session.reset, session.step):
        answer = ask()
        data, size = session.carrier.last, answer.ok().response.header_size
        begin = len(data) - len(answer.response.payload)
        if size and answer.response.payload:
            _check_place(data, size, begin)


def _check_place(data: bytes, size: int, begin: int) -> None:
    """Field 1000's tag is at header_size; the payload's content begins at `begin` if it is the last of the message."""
    if data[size : size + 2] != PAYLOAD_TAG or not size + 2 < begin <= size + 12:
        msg = "field 1000 as the last one, where header_size says"
        raise Violation(msg, f"header_size {size} in a message of {len(data)} bytes")
    if begin % ALIGN:
        msg = f"a payload that begins at a multiple of {ALIGN} bytes"
        raise Violation(msg, f"one that begins at {begin}")
