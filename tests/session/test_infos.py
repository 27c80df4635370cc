"""Infos of several lanes are laid out as Gymnasium lays them out."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openenv_grpc.codec import values
from openenv_grpc.session.infos import InfoRows, lay_out, read_infos
from openenv_grpc.v1 import session_pb2
from tests.helpers.same import assert_same

SHAPE = (2, 3)
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "lives": st.integers(-(1 << 62), 1 << 62),
    "speed": st.floats(allow_nan=False),
    "hit": st.booleans(),
    "word": st.text(max_size=3),
    "list": st.lists(st.integers(0, 9), max_size=2),
    "none": st.none(),
    "array": st.integers(0, 255).map(lambda value: np.full(SHAPE, value, np.uint8)),
}
FLAT = st.fixed_dictionaries({}, optional=KINDS)
INFOS = st.lists(st.fixed_dictionaries({}, optional=KINDS | {"more": FLAT}), min_size=1, max_size=5)


@given(INFOS)
def test_as_gymnasium_does(infos: list[dict[str, Any]]):
    vector = gymnasium.vector.VectorEnv[Any, Any, Any]()
    vector.num_envs = len(infos)
    expected: dict[str, Any] = {}
    for row, info in enumerate(infos):
        expected = vector._add_info(expected, info, row)
    assert_same(lay_out(dict(enumerate(infos)), len(infos)), expected)


def test_values_of_different_kinds_are_objects():
    """Gymnasium would cut 0.5 down to the integer 0, and raise for the arrays."""
    infos = {0: {"a": 1, "b": np.zeros(2)}, 1: {"a": 0.5, "b": np.zeros(3)}, 2: {}}
    found = lay_out(infos, 3)
    assert found["a"].tolist() == [1, 0.5, None]
    assert [None if array is None else len(array) for array in found["b"]] == [2, 3, None]
    assert found["_a"].tolist() == found["_b"].tolist() == [True, True, False]


def test_rows_are_made_when_looked_at_and_can_be_kept_and_sent():
    part = session_pb2.Transition()
    values.info_columns([{"lives": 3, "x": 0.5}, {"lives": 2, "x": 1.5}], part.info)
    rows = read_infos([(part.info, 2), (part.info, 2)])
    assert isinstance(rows, InfoRows)
    expected = [{"lives": 3, "x": 0.5}, {"lives": 2, "x": 1.5}] * 2
    assert_same(rows.laid_out(), lay_out(dict(enumerate(expected)), 4))
    for each in (rows, pickle.loads(pickle.dumps(rows)), copy.deepcopy(rows)):
        assert each == expected
        assert (each[1], each[1:3], len(each)) == (expected[1], expected[1:3], 4)
        assert repr(each) == repr(expected)


@pytest.mark.parametrize(
    "columns",
    [
        [[("a", [1, 2])], [("a", [1.0, 2.0])]],
        [[("a", [1, 2])], [("b", [1, 2])]],
        [[("a", [1, 2]), ("a", [3, 4])], [("a", [1, 2]), ("a", [3, 4])]],
    ],
    ids=["two kinds", "other keys", "a key twice"],
)
def test_what_is_not_the_same_everywhere_is_read_at_once(columns: Any):
    parts = []
    for part in columns:
        message = session_pb2.Transition()
        for key, found in part:
            kind = "numbers" if isinstance(found[0], float) else "integers"
            message.info.add(key=key, **{kind: found})
        parts.append((message.info, 2))
    rows = read_infos(parts)
    assert isinstance(rows, list)
    assert rows == [info for part, count in parts for info in values.read_info(part, count)]
