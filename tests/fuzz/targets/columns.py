"""Columns: any layout of any columns to a payload and back, and payloads that a peer made up.

What may happen: a MalformedFrame or InvalidArgument that names the column. What may not: any other exception, a value
that comes back as another one, a row that `struct` reads differently than numpy, an action that arrives as another.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from openenv_grpc.codec import frame as frames
from openenv_grpc.codec.arrays import DTYPES
from openenv_grpc.codec.columns import ColumnLayout, TransitionLayout
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.rows import NumberColumns, RowLayout
from openenv_grpc.errors import InvalidArgument, OpenEnvError
from openenv_grpc.session.actions import ActionReader, ActionWriter
from openenv_grpc.specs import ArraySpec
from tests.codegen.kitchen import load
from tests.fuzz.any_record import array, record, whole
from tests.fuzz.compare import same
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil
from tests.fuzz.targets.values import python_value
from tests.helpers.pair import Request

_DTYPES = list(DTYPES.values())


def one_input(data: bytes) -> None:
    source = Source(data)
    how = source.below(4)
    if how == 3:
        _actions(source)
        return
    specs = {name: spec for name in "abcd"[: source.below(5)] if (spec := _spec(source)) is not None}
    rows = source.below(4)
    layout = ColumnLayout(specs)
    if how == 0:
        _cast(source, layout, rows)
        return
    columns = {name: array(source, spec, (rows, *spec.shape)) for name, spec in specs.items()}
    payload = _round_trip(layout, columns, rows, 64 * source.below(3))
    if rows == 1:
        _one_row(layout, columns, payload)
    _few_rows(layout, columns, payload, rows)
    _spoilt(source, layout, spoil(source, payload), rows)


def _spec(source: Source) -> ArraySpec | None:
    """Any spec that some value fits."""
    dtype, shape = source.pick(_DTYPES), tuple(source.below(4) for _ in range(source.below(3)))
    low, high = (source.float() if source.flag(3) and dtype.kind != "c" else None for _ in range(2))
    try:
        spec = ArraySpec(dtype, shape, low, high)
    except InvalidArgument:
        return None
    if dtype.kind == "b":
        return ArraySpec(dtype, shape)
    least, most = whole(spec) if dtype.kind in "iu" else (0, 0)
    return spec if least <= most else None


def _round_trip(layout: ColumnLayout, columns: dict[str, Any], rows: int, offset: int) -> bytes:
    payload = layout.join(columns, rows)
    found = layout.read(bytes(offset) + payload, offset, len(payload), rows)
    assert same(found, columns), (found, columns)
    layout.check(found)
    assert same(layout.cast(columns, (rows,)), {name: _or_nothing(layout, name, columns[name]) for name in columns})
    return payload


def _or_nothing(layout: ColumnLayout, name: str, column: Any) -> Any:
    return np.empty_like(column) if layout.specs[name].absent else column


def _one_row(layout: ColumnLayout, columns: dict[str, Any], payload: bytes) -> None:
    """The quick way of a single row says the same as numpy, or nothing."""
    row = RowLayout(layout)
    if not row.plain:
        return
    numbers = row.unpack(payload, 0)
    if numbers is not None:
        assert same(numbers, [columns[name].item() for name in row.numbers]), (numbers, columns)
        packed = row.pack(numbers)
        assert row.arrays or packed in (payload, None)
    assert same(row.views(payload, 0), {name: columns[name][0] for name, *_ in row.arrays})


def _few_rows(layout: ColumnLayout, columns: dict[str, Any], payload: bytes, rows: int) -> None:
    """The quick way of numbers alone says the same as numpy, or nothing."""
    numbers = NumberColumns(layout)
    found = numbers.unpack(payload, 0, len(payload), rows) if numbers.plain else None
    if found is not None:
        assert same(found, [columns[name].tolist() for name in layout.specs]), (found, columns)


def _spoilt(source: Source, layout: ColumnLayout, payload: bytes, rows: int) -> None:
    size = source.below(len(payload) + 1) if source.flag(4) else len(payload)
    rows, finals = (source.below(1 << 20), source.below(1 << 16)) if source.flag(4) else (rows, source.below(3))
    try:
        layout.check(layout.read(payload, 0, size, rows))
    except OpenEnvError:
        pass
    else:
        assert size == layout.size(rows)
    transition = TransitionLayout(layout.specs)
    whole_size = transition.size(rows, finals)
    data = payload.ljust(min(whole_size, 1 << 12), b"\1") if source.flag() else payload
    try:
        main, final = transition.read(frames.Frame(None, data, 0, len(data)), rows, finals)
    except OpenEnvError:
        return
    assert len(data) == whole_size
    assert all(len(column) == rows for column in main.values())
    assert all(len(column) == finals for column in final.values())


def _cast(source: Source, layout: ColumnLayout, rows: int) -> None:
    """A caller's values for columns, which may be anything."""
    given = {name: python_value(source) for name in layout.specs}
    try:
        found = layout.cast(given, (rows,))
    except InvalidArgument as error:
        assert str(error.field)[0] in layout.specs  # noqa: PT017 - not a test of pytest
        return
    for name, spec in layout.specs.items():
        assert (found[name].dtype, found[name].shape) == (spec.dtype, (rows, *spec.shape))
    layout.join(found, rows)


@functools.cache
def _codecs() -> tuple[RecordSet, ActionWriter, ActionReader]:
    records: RecordSet = load().RECORDS
    specs = {field.name: field.spec for field in records.action.columns if field.spec is not None}
    return records, ActionWriter(records, specs), ActionReader(records, specs)


def _actions(source: Source) -> None:
    """Actions of every kind of field, from the client's side to the worker's: in columns, as records, in chunks."""
    records, writer, reader = _codecs()
    lanes, chunk, name = 1 + source.below(2), source.below(3), records.action.full_name
    each = [[record(source, records, name) for _ in range(lanes)] for _ in range(max(chunk, 1))]
    if lanes == 1 and source.flag():
        batch = writer.single([row[0] for row in each] if chunk else each[0][0], chunk)
    else:
        batch = writer.batch(each if chunk else each[0], lanes, chunk)
    actions, payload = writer.write(batch, 0, lanes)
    rows = [action for row in each for action in row]
    if source.flag():
        actions, payload = [records.encode(name, action).SerializeToString() for action in rows], b""
    data = frames.encode(Request(seq=1, step={"actions": actions}), payload)
    assert same(_read(reader, data, len(rows)), rows)
    try:
        found = _read(reader, spoil(source, data), len(rows))
    except OpenEnvError:
        return
    assert len(found) == len(rows)


def _read(reader: ActionReader, data: bytes, rows: int) -> list[Any]:
    frame = frames.decode(data, Request, 1 << 20)
    return reader.read(frame.header.step.actions, frame, rows)
