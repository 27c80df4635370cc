"""Columns ⇄ payload: any columns of any rows lie where the rule says, and a payload of another size is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec.columns import OUTCOME, ColumnLayout, TransitionLayout
from openenv_grpc.codec.frame import Frame
from openenv_grpc.errors import InvalidArgument, MalformedFrame
from openenv_grpc.specs import ArraySpec
from tests.codec import strategies

SPECS = {
    "flag": ArraySpec(np.bool_),
    "speed": ArraySpec(np.float32, (3,), low=-1, high=1),
    "gone": ArraySpec(np.uint8, (0,)),
    "count": ArraySpec(np.int16, (2, 1)),
}


def same(a: Any, b: Any) -> bool:
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def columns(rows: int) -> dict[str, Any]:
    return {name: np.ones((rows, *spec.shape), spec.dtype) for name, spec in SPECS.items()}


@given(data=st.data(), rows=st.integers(0, 5), offset=st.integers(0, 3))
@settings(max_examples=80, deadline=None)
def test_round_trip(data: st.DataObject, rows: int, offset: int) -> None:
    specs = data.draw(strategies.layouts())
    given_columns = data.draw(strategies.rows_of(specs, rows))
    layout = ColumnLayout(specs)
    payload = layout.join(given_columns, rows)
    assert len(payload) == layout.size(rows)
    buffer = bytes(64 * offset) + payload
    found = layout.read(buffer, 64 * offset, len(payload), rows)
    assert list(found) == list(specs)
    for name, array in found.items():
        assert same(array, given_columns[name])
        assert array.size == 0 or np.shares_memory(array, np.frombuffer(buffer, np.uint8))
        assert array.size == 0 or not array.flags.writeable


@given(specs=strategies.layouts(), rows=st.integers(0, 5))
@settings(max_examples=80, deadline=None)
def test_columns_begin_at_multiples_of_64_and_do_not_overlap(specs: dict[str, ArraySpec], rows: int) -> None:
    blocks, size = ColumnLayout(specs).blocks(rows)
    end = 0
    for name, _, shape, start in blocks:
        assert start % 64 == 0
        assert shape == (rows, *specs[name].shape)
        nbytes = rows * specs[name].nbytes
        assert nbytes == 0 or end <= start <= end + 63
        end = max(end, start + nbytes) if nbytes else end
    assert rows == 0 or size == end


def test_layout_is_the_documented_one() -> None:
    payload = ColumnLayout(SPECS).join(columns(2), 2)
    assert len(payload) == 128 + 2 * 4
    assert payload[:2] == b"\1\1"
    assert payload[2:64] == bytes(62)
    assert np.array_equal(np.frombuffer(payload, "<f4", 6, 64), np.ones(6))
    assert np.array_equal(np.frombuffer(payload, "<i2", 4, 128), np.ones(4))


@pytest.mark.parametrize("change", [-1, 1, 64])
def test_payload_of_another_size_is_refused(change: int) -> None:
    layout = ColumnLayout(SPECS)
    payload = layout.join(columns(2), 2) + bytes(64)
    with pytest.raises(MalformedFrame, match=r"payload: \d+ bytes, expected 136 for 2 rows"):
        layout.read(payload, 0, layout.size(2) + change, 2)


def test_truth_value_that_is_neither_is_refused() -> None:
    payload = bytearray(ColumnLayout(SPECS).join(columns(2), 2))
    payload[1] = 2
    with pytest.raises(MalformedFrame, match="flag: a truth value must be the byte 0 or 1"):
        ColumnLayout(SPECS).read(bytes(payload), 0, len(payload), 2)


BAD = {
    "wrong dtype": ("count", np.ones((2, 2, 1)), "dtype float64, expected int16"),
    "too large": ("count", np.full((2, 2, 1), 40_000), "a value does not fit into int16"),
    "wrong rows": ("speed", np.ones((3, 3), np.float32), r"shape \(3, 3\), expected \(2, 3\)"),
    "no rows": ("speed", np.ones(3, np.float32), r"shape \(3,\), expected \(2, 3\)"),
    "out of bounds": ("speed", np.full((2, 3), 2, np.float32), r"2.0 is not within \[-1, 1\]"),
    "nan": ("speed", np.full((2, 3), np.nan, np.float32), r"nan is not within \[-1, 1\]"),
    "no array": ("flag", ["yes", "no"], "dtype <U3"),
}


@pytest.mark.parametrize(("name", "value", "complaint"), BAD.values(), ids=BAD)
def test_bad_column_is_refused_by_name(name: str, value: Any, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name}: .*{complaint}"):
        ColumnLayout(SPECS).cast({**columns(2), name: value}, (2,))


def test_check_names_the_column_out_of_bounds() -> None:
    with pytest.raises(InvalidArgument, match=r"^speed: 2.0 is not within"):
        ColumnLayout(SPECS).check({**columns(2), "speed": np.full((2, 3), 2, np.float32)})


def test_good_columns_are_cast_and_absent_ones_made() -> None:
    loose = {"flag": [True, False], "speed": [[0, 0.5, 1], [0, 0, 0]], "gone": None, "count": np.ones((2, 2, 1), int)}
    found = ColumnLayout(SPECS).cast(loose, (2,))
    assert {name: (array.dtype, array.shape) for name, array in found.items()} == {
        name: (spec.dtype, (2, *spec.shape)) for name, spec in SPECS.items()
    }


@pytest.mark.parametrize("finals", [0, 1, 3])
def test_transition_layout_round_trip(finals: int) -> None:
    layout = TransitionLayout(SPECS)
    outcome = {name: np.arange(3).astype(spec.dtype) for name, spec in OUTCOME.items()}
    main, final = outcome | columns(3), columns(finals)
    payload = layout.main.join(main, 3)
    if finals:
        payload = payload.ljust(layout.final_offset(3), b"\0") + layout.final.join(final, finals)
    assert len(payload) == layout.size(3, finals)
    found, found_final = layout.read(Frame(None, payload, 0, len(payload)), 3, finals)
    assert all(same(found[name], main[name]) for name in main)
    assert set(found_final) == (set(SPECS) if finals else set())
    assert all(same(found_final[name], final[name]) for name in found_final)
    with pytest.raises(MalformedFrame, match="payload"):
        layout.read(Frame(None, payload, 0, len(payload) - 1), 3, finals)
