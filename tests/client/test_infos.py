"""Infos of several lanes are laid out as Gymnasium lays them out."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openenv_grpc.client.infos import lay_out
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
