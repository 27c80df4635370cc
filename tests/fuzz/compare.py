"""Whether two values are the same: type, dtype, shape and every byte, not merely equal."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


def same(a: Any, b: Any) -> bool:
    """Whether what came back is what was sent: tuples come back as lists, numpy's scalars as Python's."""
    return _plain(a) == _plain(b)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        data = value.astype(value.dtype.newbyteorder("<"))
        return ("array", data.dtype.str, data.shape, data.tobytes())
    if isinstance(value, np.generic):
        value = value.item()
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return ("float", "nan" if value != value else value.hex())
    if isinstance(value, bytes | bytearray):
        return ("bytes", bytes(value))
    return (type(value) is bool, value)
