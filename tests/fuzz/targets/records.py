"""Records of the codegen, one field of every kind: to bytes and back, and from bytes that a peer made up.

What may happen: an InvalidArgument for values that cannot be sent and bytes that cannot be believed. What may not: any
other exception, a good record that comes back as another one, typed records and those made from a description that
disagree, a record that was read and cannot be sent.
"""

from __future__ import annotations

import functools
from typing import Any

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import EnvironmentSpec, SessionSpec
from tests.codegen.kitchen import load
from tests.fuzz.any_record import record
from tests.fuzz.compare import plain
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil
from tests.fuzz.targets.values import python_value

NAMES = [f"openenv_kitchen.v1.{name}" for name in ("KitchenAction", "KitchenObservation", "KitchenState", "Dish")]


@functools.cache
def _sets() -> tuple[RecordSet, RecordSet]:
    """The typed records, and those that a client makes from a server's description."""
    typed: RecordSet = load().RECORDS
    names = (typed.action.full_name, typed.observation.full_name, typed.state.full_name)
    files = wire.descriptor_set(typed.action.descriptor.file)
    spec = EnvironmentSpec("kitchen", "", files, *names, typed.spec_hash, SessionSpec({}, {}))
    return typed, wire.records_of(spec)


def one_input(data: bytes) -> None:
    source = Source(data)
    name, how = source.pick(NAMES), source.below(4)
    typed, dynamic = _sets()
    if how == 0:
        _odd(source, typed, name)
        return
    good = None if how == 3 else record(source, typed, name)
    if good is None:
        message = source.rest()
    else:
        sent, expected = typed.encode(name, good).SerializeToString(), plain(good)
        assert plain(typed.decode(typed.parse(name, sent))) == expected, good
        assert plain(dynamic.decode(dynamic.parse(name, sent))) == expected, good
        message = spoil(source, sent)
        if message == sent:
            return
    _read(typed, dynamic, name, message)


def _read(typed: RecordSet, dynamic: RecordSet, name: str, data: bytes) -> None:
    """Bytes of a peer: both sets must see the same, or refuse them for the same reason."""
    ours, theirs = _decode(typed, name, data), _decode(dynamic, name, data)
    expected = plain(ours)
    assert plain(theirs) == expected, (ours, theirs)
    if not isinstance(ours, tuple):
        again = typed.encode(name, ours).SerializeToString()
        assert plain(typed.decode(typed.parse(name, again))) == expected, ours


def _decode(records: RecordSet, name: str, data: bytes) -> Any:
    try:
        return records.decode(records.parse(name, data))
    except InvalidArgument as error:
        return error.field, error.message


def _odd(source: Source, records: RecordSet, name: str) -> None:
    """A record with a value that may be anything: refused by its field, or sent."""
    schema = records.schemas[name]
    good = record(source, records, name)
    fields = {field.attr: getattr(good, field.attr) for field in schema.fields}
    for _ in range(1 + source.below(2)):
        key = source.pick(schema.fields).attr if not source.flag(8) else source.text()
        fields[key] = python_value(source)
    try:
        message = records.encode(name, fields)
    except InvalidArgument as error:
        assert error.field is None or isinstance(error.field, str)  # noqa: PT017 - not a test of pytest
        return
    records.decode(records.parse(name, message.SerializeToString()))
