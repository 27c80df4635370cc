"""Comparison of observations and infos, down to types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def assert_same(ours: Any, theirs: Any, path: str = "") -> None:
    """Mappings with the same keys, arrays of the same dtype, shape and values, and equal objects."""
    if isinstance(theirs, Mapping):
        assert isinstance(ours, Mapping), path
        assert ours.keys() == theirs.keys(), path
        for key in theirs:
            assert_same(ours[key], theirs[key], f"{path}.{key}")
    elif isinstance(theirs, np.ndarray) and theirs.dtype == object:
        assert isinstance(ours, np.ndarray), path
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), path
        for index, (one, two) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, two, f"{path}[{index}]")
    elif isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray), path
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), path
        np.testing.assert_array_equal(ours, theirs, err_msg=path)
    else:
        assert ours == theirs, path
