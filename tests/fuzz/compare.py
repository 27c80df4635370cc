"""Whether two values are the same: type, dtype, shape and every byte, not merely equal."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np


def same(a: Any, b: Any) -> bool:
    """Whether what came back is what was sent: tuples come back as lists, numpy's scalars as Python's."""
    return bool(plain(a) == plain(b))


def plain(value: Any) -> Any:
    """What `same` compares: to be had once where one value is compared with several."""
    kind = type(value)
    if kind in (int, str, bool, type(None)):
        return (kind is bool, value)
    if kind is np.ndarray:
        data = value.astype(value.dtype.newbyteorder("<"), copy=False)
        return ("array", data.dtype.str, data.shape, data.tobytes())
    if kind is float:
        return ("float", "nan" if value != value else value.hex())
    if isinstance(value, np.generic):
        return plain(value.item())
    if hasattr(kind, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in _names(kind)}
    if isinstance(value, dict | Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray):
        return ("bytes", bytes(value))
    return (False, value)


@functools.lru_cache(256)
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))
