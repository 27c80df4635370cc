"""Requests that can be read and ask for what cannot be: each is refused by the field at fault, and changes nothing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from openenv_grpc.testing.case import NotApplicable, Violation, case
from openenv_grpc.testing.messages import DTYPES, blocks
from openenv_grpc.testing.rows import first_difference
from openenv_grpc.v1 import array_pb2, session_pb2, value_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.v1 import spec_pb2

LARGEST = 2**32 - 1
MOST_LEVELS = 32
"""Levels to which lists and maps may be nested."""


def _columns(session: Session, what: str, wanted: Callable[[spec_pb2.ColumnSpec], bool]) -> list[spec_pb2.ColumnSpec]:
    """The action columns that are there and of the kind wanted."""
    found = [column for column in session.actions.columns if 0 not in column.shape and wanted(column)]
    if not found:
        msg = f"the action has no {what}"
        raise NotApplicable(msg)
    return found


def _bounded(column: spec_pb2.ColumnSpec) -> bool:
    return DTYPES[column.dtype].kind in "iuf" and (column.HasField("low") or column.HasField("high"))


def _beyond(column: spec_pb2.ColumnSpec) -> Iterator[int | float]:
    """Values out of a column's bounds that its dtype can hold."""
    dtype = DTYPES[column.dtype]
    whole = dtype.kind in "iu"
    info: Any = np.iinfo(dtype) if whole else np.finfo(dtype)
    for name, away in (("low", -1), ("high", 1)):
        if column.HasField(name):
            bound = getattr(column, name)
            value = (math.ceil if away > 0 else math.floor)(bound) + away if whole else bound + away * (1 + abs(bound))
            if info.min <= value <= info.max:
                yield value


def _check_value(session: Session, column: spec_pb2.ColumnSpec, value: float) -> None:
    """One action with that value, in columns and as a whole record, is refused."""
    for whole in (False, True):
        action = session.actions.sample()
        session.actions.put(action, column, np.full(tuple(column.shape), value, DTYPES[column.dtype]))
        session.step([action], whole=whole).lives().refused("INVALID_ARGUMENT", field=column.name)


@case()
def actions_out_of_bounds_are_refused(peer: Peer) -> None:
    """An action with a number out of its column's bounds is refused, naming the field, and the session lives on."""
    session = peer.begin()
    for column in _columns(session, "bounds", _bounded):
        for value in _beyond(column):
            _check_value(session, column, value)
    session.check_usable()


@case()
def nan_is_refused_where_there_are_bounds(peer: Peer) -> None:
    """An action with NaN in a column that has a bound is refused, naming the field, and the session lives on."""
    session = peer.begin()
    for column in _columns(
        session, "bounded floats", lambda column: _bounded(column) and DTYPES[column.dtype].kind == "f"
    ):
        _check_value(session, column, math.nan)
    session.check_usable()


@case()
def truth_values_other_than_0_and_1_are_refused(peer: Peer) -> None:
    """A byte other than 0 and 1 in a boolean action column is refused with MALFORMED_FRAME, naming the column."""
    session = peer.begin()
    for column in _columns(session, "truth values", lambda column: column.dtype == array_pb2.DTYPE_BOOL):
        request, rows = session.stepping()
        end = next(end for found, _, end in blocks(session.actions.columns, rows) if found == column)
        request.payload = request.payload[: end - 1] + b"\2" + request.payload[end:]
        session.exchange("step", request).lives().refused("MALFORMED_FRAME", field=column.name)
    session.check_usable()


@case()
def a_payload_of_another_length_is_refused(peer: Peer) -> None:
    """A payload longer or shorter than the action columns need is refused with MALFORMED_FRAME, naming it."""
    session = peer.begin()
    size = len(session.actions.write([session.actions.sample()])[0])
    for other in (size + 1, size + 64, size - 1):
        if other > 0:  # an empty one would say that the actions are whole records
            request, _ = session.stepping()
            request.payload = request.payload[:other].ljust(other, b"\0")
            session.exchange("step", request).lives().refused("MALFORMED_FRAME", field="payload")
    session.check_usable()


@case()
def a_wrong_number_of_actions_is_refused(peer: Peer) -> None:
    """A step with more or fewer whole actions than rows is refused with INVALID_ARGUMENT, naming the actions."""
    session = peer.begin()
    actions = [session.actions.sample().SerializeToString() for _ in range(2)]
    for given in ([], actions):
        session.ask("step", {"actions": given}).lives().refused("INVALID_ARGUMENT", field="step.actions")
    session.check_usable()


@case()
def arrays_that_do_not_fit_are_refused(peer: Peer) -> None:
    """An array of another dtype or shape, or of fewer bytes, in a whole action is refused, naming the field."""
    session = peer.begin()
    fields = peer.target.messages.action.DESCRIPTOR.fields_by_name
    for column in _columns(session, "arrays", lambda column: fields[column.name].message_type is not None):
        for name, value in _misfits(column):
            action = session.actions.sample()
            array = getattr(action, column.name)
            array.ClearField(name)
            array.MergeFrom(type(array)(**{name: value}))
            answer = session.ask("step", {"actions": [action.SerializeToString()]})
            _check_named(answer.lives().refused("INVALID_ARGUMENT").field, column.name)
    session.check_usable()


def _misfits(column: spec_pb2.ColumnSpec) -> Iterator[tuple[str, Any]]:
    """Parts of an Array that fit the others, and not the column; the last one fits neither."""
    size = DTYPES[column.dtype].itemsize
    like = [number for number, dtype in DTYPES.items() if dtype.itemsize == size and number != column.dtype]
    yield from (("dtype", number) for number in like)
    yield "shape", [*column.shape, 1]
    yield "data", b""


def _check_named(found: str, name: str) -> None:
    """A refusal may name a part of the field."""
    if name not in found.split("."):
        msg = f"a refusal that names the field {name}"
        raise Violation(msg, found or "none")


@case()
def text_in_actions_must_be_utf8(peer: Peer) -> None:
    """An action with text that is not UTF-8 is refused with INVALID_ARGUMENT, naming the field."""
    session = peer.begin()
    texts = [
        field
        for field in peer.target.messages.action.DESCRIPTOR.fields
        if field.type == FieldDescriptor.TYPE_STRING and field.number < 16
    ]
    if not texts:
        msg = "the action has no text"
        raise NotApplicable(msg)
    for field in texts:
        request, _ = session.stepping()
        request.step.actions[0] += bytes([field.number << 3 | 2, 2, 0xFF, 0xFE])
        session.exchange("step", request).lives().refused("INVALID_ARGUMENT", field=field.name)
    session.check_usable()


@case()
def lanes_beyond_the_session_are_refused(peer: Peer) -> None:
    """A lane that the session does not have is refused with INVALID_ARGUMENT, naming the lanes."""
    session = peer.begin(lanes=min(2, peer.target.limits.lanes))
    for lane in (session.opening.lanes, LARGEST):
        session.step(lanes=[lane]).lives().refused("INVALID_ARGUMENT", field="lanes")
    session.check_usable()


@case(needs=("shards",))
def lanes_of_another_shard_are_refused(peer: Peer) -> None:
    """A lane that is another shard's is refused with INVALID_ARGUMENT, naming the lanes."""
    session = peer.open(lanes=2, shards=2)
    for shard in (0, 1):
        session.reset(shard=shard).ok()
    for shard in (0, 1):
        session.step(lanes=[1 - shard], shard=shard).lives().refused("INVALID_ARGUMENT", field="lanes")
        session.step(lanes=[shard], shard=shard).ok()


@case(needs=("lanes",))
def lanes_must_increase(peer: Peer) -> None:
    """Lanes that are named twice or in falling order are refused with INVALID_ARGUMENT, naming the lanes."""
    session = peer.begin(lanes=2)
    for lanes in ([0, 0], [1, 0], [1, 1]):
        session.step(lanes=lanes).lives().refused("INVALID_ARGUMENT", field="lanes")
    session.check_usable()


@case(needs=("seeds",))
def a_refused_step_changes_nothing(peer: Peer) -> None:
    """A step that is refused leaves its lanes as they were: the rows after it are those of a session without it."""
    one, two = peer.begin(), peer.begin()
    actions = [one.actions.sample() for _ in range(4)]
    rows = one.trace(actions[:2])
    one.step(actions[:2], lanes=[0, LARGEST]).lives().refused("INVALID_ARGUMENT", field="lanes")
    difference = first_difference(two.trace(actions), [*rows, *one.trace(actions[2:])])
    if difference is not None and not (rows and rows[-1].done):
        msg = "the rows of a session that was not refused anything"
        raise Violation(msg, difference)


def _check_option(peer: Peer, value: value_pb2.Value) -> None:
    """A reset with that option is refused."""
    session = peer.begin()
    reset = session_pb2.Reset()
    reset.options["bad"].CopyFrom(value)
    _check_named(session.ask("reset", reset).lives().refused("INVALID_ARGUMENT").field, "bad")
    session.step().ok()


@case()
def options_nested_too_deep_are_refused(peer: Peer) -> None:
    """A reset option nested beyond 32 levels is refused with INVALID_ARGUMENT, naming it, and no lane is reset."""
    value = value_pb2.Value(integer=1)
    for _ in range(MOST_LEVELS + 1):
        value = value_pb2.Value(list=value_pb2.ValueList(items=[value]))
    _check_option(peer, value)


@case()
def broken_arrays_in_options_are_refused(peer: Peer) -> None:
    """A reset option with an array that cannot be is refused with INVALID_ARGUMENT, naming it; no lane is reset."""
    short = array_pb2.Array(dtype=array_pb2.DTYPE_UINT8, shape=[3], data=b"xx")
    impossible = array_pb2.Array(dtype=array_pb2.DTYPE_UINT8, shape=[0, 2**62, 2**62])
    for array in (short, impossible, array_pb2.Array()):
        _check_option(peer, value_pb2.Value(array=array))


@case(needs=("snapshot",))
def a_wrong_number_of_snapshots_is_refused(peer: Peer) -> None:
    """A restore with more or fewer snapshots than lanes is refused with INVALID_ARGUMENT, naming them."""
    session = peer.begin()
    saved = list(session.ask("snapshot").ok().response.snapshot.snapshots)
    for given in ([], saved * 2):
        session.ask("restore", {"snapshots": given}).lives().refused("INVALID_ARGUMENT", field="restore.snapshots")
    session.check_usable()


@case(needs=("snapshot",))
def a_snapshot_that_is_none_is_refused(peer: Peer) -> None:
    """A restore from bytes that are no snapshot is refused with INVALID_ARGUMENT, and the session lives on."""
    session = peer.begin()
    for data in (b"", b"\xff\xfe no snapshot"):
        session.ask("restore", {"snapshots": [data]}).lives().refused("INVALID_ARGUMENT", field="restore.snapshots")
    session.check_usable()
