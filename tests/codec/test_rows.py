"""One row by struct says the same as columns by numpy, or stands aside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec.columns import ColumnLayout
from openenv_grpc.codec.rows import NumberColumns, RowLayout
from openenv_grpc.specs import ArraySpec
from tests.codec import strategies


def numbers() -> st.SearchStrategy[dict[str, ArraySpec]]:
    """Specs of up to five numbers by name."""
    plain = strategies.dtypes().filter(lambda dtype: dtype.kind != "c" and dtype != np.float16)
    return st.dictionaries(st.text("abc", min_size=1, max_size=2), plain.map(ArraySpec), min_size=1, max_size=5)


@given(specs=numbers(), data=st.data())
@settings(max_examples=80)
def test_what_it_packs_is_what_columns_hold(specs: dict[str, ArraySpec], data: st.DataObject):
    layout = ColumnLayout(specs)
    row = RowLayout(layout)
    values = [data.draw(strategies.elements(spec)) for spec in specs.values()]
    payload = row.pack(values)
    columns = {name: np.array([value], specs[name].dtype) for name, value in zip(specs, values, strict=True)}
    if payload is None:  # infinite or NaN
        assert not all(np.isfinite(value) for value in values)
        return
    assert payload == layout.join(columns, 1)
    assert row.size == len(payload)
    assert row.unpack(payload, 0) == tuple(values)


@given(layout=strategies.layouts(), data=st.data())
@settings(max_examples=60)
def test_what_it_reads_is_what_columns_hold(layout: dict[str, ArraySpec], data: st.DataObject):
    columns = data.draw(strategies.rows_of(layout, 1))
    layout_of = ColumnLayout(layout)
    row, payload = RowLayout(layout_of), bytes(64) + layout_of.join(columns, 1)
    read = layout_of.read(payload, 64, len(payload) - 64, 1)
    for name, array in row.views(payload, 64).items():
        assert not (array.size and array.flags.writeable)
        assert array.tobytes() == read[name][0].tobytes()
        assert (array.dtype, array.shape) == (read[name].dtype, read[name].shape[1:])
    if row.plain:
        found = row.unpack(payload, 64)
        assert found is not None
        assert np.array_equal(found, [read[name][0].item() for name in row.numbers], equal_nan=True)


BOUNDED = ArraySpec(np.int32, (), 0, 5)


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (BOUNDED, -1),
        (BOUNDED, 6),
        (BOUNDED, True),
        (BOUNDED, 2.0),
        (BOUNDED, "2"),
        (BOUNDED, np.int32(2)),
        (ArraySpec(np.uint8), 256),
        (ArraySpec(np.bool_), 1),
        (ArraySpec(np.float32), 1e39),
        (ArraySpec(np.float32), 1),
        (ArraySpec(np.float64, (), -1, 1), float("nan")),
        (ArraySpec(np.float64), float("inf")),
    ],
)
def test_it_stands_aside_for_what_is_not_plain(spec: ArraySpec, value: Any):
    assert RowLayout(ColumnLayout({"a": spec})).pack([value]) is None


@given(specs=numbers(), rows=st.integers(1, 5), data=st.data())
@settings(max_examples=80)
def test_what_it_reads_of_several_rows_is_what_columns_hold(
    specs: dict[str, ArraySpec], rows: int, data: st.DataObject
):
    layout = ColumnLayout(specs)
    columns = data.draw(strategies.rows_of(specs, rows))
    payload = bytes(8) + layout.join(columns, rows)
    numbers = NumberColumns(layout)
    assert numbers.plain is not any(spec.dtype == np.bool_ for spec in specs.values())
    if not numbers.plain:
        return
    found = numbers.unpack(payload, 8, len(payload) - 8, rows)
    assert numbers.unpack(payload + b"0", 8, len(payload) - 7, rows) is None
    if found is not None:
        assert [list(column) for column in found] == [column.tolist() for column in columns.values()]
    else:  # infinite numbers
        assert any(spec.dtype.kind == "f" for spec in specs.values())


@pytest.mark.parametrize(
    ("spec", "column"),
    [
        (BOUNDED, [0, 6]),
        (BOUNDED, [-1, 5]),
        (ArraySpec(np.float64, (), -1, 1), [0.0, float("nan")]),
        (ArraySpec(np.float64, (), -1, 1), [1.5, 0.0]),
    ],
)
def test_it_stands_aside_for_numbers_out_of_bounds_from_a_peer(spec: ArraySpec, column: list[Any]):
    layout = ColumnLayout({"a": spec})
    assert NumberColumns(layout).unpack(np.array(column, spec.dtype).tobytes(), 0, layout.size(2), 2) is None


@pytest.mark.parametrize(
    ("column", "good"),
    [
        (np.array([0, 5], np.int32), True),
        (np.array([0, 6], np.int32), False),
        (np.array([-1, 5], np.int32), False),
        (np.array([0, 5], np.int64), False),
        (np.array([0, 5], ">i4"), False),
        (np.array([[0], [5]], np.int32), False),
        (np.array([0, 5, 1], np.int32), False),
        (np.array([0, 9, 5], np.int32)[::2], True),
    ],
)
def test_which_arrays_are_a_payload_as_they_are(column: np.ndarray, good: bool):
    assert NumberColumns(ColumnLayout({"a": BOUNDED})).accepts(column, 2) is good


def test_columns_of_arrays_do_not_go_this_way():
    assert not NumberColumns(ColumnLayout({"a": ArraySpec(np.int32, (2,))})).plain
    assert not NumberColumns(ColumnLayout({"a": ArraySpec(np.complex64)})).plain
    assert not NumberColumns(ColumnLayout({"a": ArraySpec(np.bool_)})).plain


@pytest.mark.parametrize("rows", [1, 128, 129, 1000])
def test_bounds_of_many_rows(rows: int):
    numbers = NumberColumns(ColumnLayout({"a": BOUNDED}))
    column = np.full(rows, 5, np.int32)
    assert numbers.accepts(column, rows)
    column[-1] = 6
    assert not numbers.accepts(column, rows)


def test_it_stands_aside_for_a_truth_value_that_is_neither():
    row = RowLayout(ColumnLayout({"n": ArraySpec(np.int8), "a": ArraySpec(np.bool_)}))
    assert row.unpack(bytes(64) + b"\1", 0) == (0, True)
    assert row.unpack(bytes(64) + b"\2", 0) is None


@pytest.mark.parametrize("spec", [ArraySpec(np.complex64), ArraySpec(np.float16), ArraySpec(np.bool_, (2,))], ids=str)
def test_what_must_go_the_general_way_is_not_plain(spec: ArraySpec):
    assert not RowLayout(ColumnLayout({"a": spec})).plain
