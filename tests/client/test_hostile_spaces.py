"""Spaces of columns that a hostile server describes: gymnasium's own space, or one of our errors."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from openenv_grpc.client.spaces import action_space, single_action_space
from openenv_grpc.errors import Unsupported
from openenv_grpc.specs import ArraySpec
from tests.codegen.kitchen import load

I64, U64 = np.iinfo(np.int64), np.iinfo(np.uint64)
INF = math.inf


def core(spec: ArraySpec, lanes: int = 3, name: str = "a_float64") -> Any:
    """As much of a client's core as spaces need: an action of one field, which has this spec."""
    schema = load().RECORDS.action
    field = next(field for field in schema.columns if field.name == name)
    action = dataclasses.replace(schema, fields=(field,))
    return SimpleNamespace(
        records=SimpleNamespace(action=action), spec=SimpleNamespace(action={name: spec}), lanes=lanes
    )


FOUND = {
    "bounds between numbers": (ArraySpec("i4", (), 0.5, 3.5), spaces.Discrete(3, start=1)),
    "bounds between numbers of an array": (ArraySpec("i4", (2,), -1.5, 3.5), spaces.Box(-1, 3, (2,), np.int32)),
    "bounds beyond the dtype": (ArraySpec("u1", (), -INF, 1e300), spaces.Discrete(256)),
    "bounds beyond the dtype of an array": (ArraySpec("i1", (2,), -1e9, INF), spaces.Box(-128, 127, (2,), np.int8)),
    "all of int64": (ArraySpec("i8", (), -1e300, 1e300), spaces.Box(I64.min, I64.max, (), np.int64)),
    "more than int64": (ArraySpec("u8", (), 0, 2.0**64), spaces.Box(0, U64.max, (), np.uint64)),
    "the end of uint64": (ArraySpec("u8", (), U64.max, U64.max), spaces.Box(U64.max, U64.max, (), np.uint64)),
    "half of int64": (ArraySpec("i8", (), 2.0**62, 2.0**62 + 2048), spaces.Discrete(2049, start=1 << 62)),
    "beyond float16": (ArraySpec("f2", (2,), -1e300, 1e300), spaces.Box(-65504, 65504, (2,), np.float16)),
    "infinite bounds": (ArraySpec("f8", (), -INF, INF), spaces.Box(-INF, INF, (), np.float64)),
}


@pytest.mark.parametrize(("spec", "space"), FOUND.values(), ids=FOUND)
def test_bounds_are_those_that_the_dtype_can_reach(spec: ArraySpec, space: Any):
    assert single_action_space(core(spec)) == space
    assert action_space(core(spec)).shape[:1] == (3,)


NONE = {
    "no integer": ArraySpec("i8", (), 0.2, 0.8),
    "above the dtype": ArraySpec("u1", (3,), 256, 300),
    "below the dtype": ArraySpec("u1", (), None, -1),
    "infinity for an integer": ArraySpec("i8", (), INF, INF),
    "infinity for a float": ArraySpec("f4", (), INF),
    "nothing above": ArraySpec("f8", (), None, -INF),
    "complex": ArraySpec("c8", (2,)),
    "complex scalar": ArraySpec("c16", (), 0, 1),
}


@pytest.mark.parametrize("spec", NONE.values(), ids=NONE)
def test_what_no_space_can_say_is_unsupported(spec: ArraySpec):
    for space in (single_action_space, action_space):
        with pytest.raises(Unsupported, match=r"KitchenAction\.a_float64"):
            space(core(spec))


def test_enums_within_their_bounds():
    assert single_action_space(core(ArraySpec("i4"), name="doneness")) == spaces.Discrete(4, start=-1)
    assert single_action_space(core(ArraySpec("i4", (), -9, 1), name="doneness")) == spaces.Discrete(3, start=-1)
    with pytest.raises(Unsupported, match=r"KitchenAction\.doneness"):
        single_action_space(core(ArraySpec("i4", (), 3, 9), name="doneness"))


def test_spaces_that_would_fill_the_memory():
    spec = ArraySpec("f8", (1 << 20,), 0)
    assert single_action_space(core(spec)).shape == (1 << 20,)
    with pytest.raises(Unsupported, match="at most 268435456"):
        action_space(core(spec, lanes=33))
