"""Few rows of columns by `struct`, where numpy would take most of the time: lanes in lock step pay for every call.

Only what is plain goes this way. Everything else (a number to convert, one out of bounds) is answered with None, and
the caller takes the way of `columns.py`, which converts it or says what is wrong with it.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec.arrays import BOOL, bounds, view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from openenv_grpc.codec.columns import ColumnLayout
    from openenv_grpc.specs import ArraySpec

_NAMES = ["?", "i1", "u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]
_FORMATS = {np.dtype(name): code for name, code in zip(_NAMES, "?bBhHiIqQfd", strict=True)}
_TYPES: dict[str, type] = {"b": bool, "i": int, "u": int, "f": float}
_MANY = 128
"""Rows beyond which numpy is quicker after all."""


class RowLayout:
    """Where the numbers and arrays of a payload of one row lie.

    Args:
        layout: Its columns.

    Attributes:
        size: Bytes of the payload.
        numbers: Names of the columns that are one number, in the order of `pack` and `unpack`.
        arrays: (name, dtype, shape, offset) of the other columns.
        plain: Whether rows of these columns can go this way; an array of truth values, each to be checked, cannot.
    """

    def __init__(self, layout: ColumnLayout) -> None:
        """Work out formats and limits."""
        blocks, self.size = layout.blocks(1)
        scalars = [(name, dtype, start) for name, dtype, shape, start in blocks if len(shape) == 1]
        self.numbers = [name for name, _, _ in scalars]
        self.arrays = [(name, dtype, shape[1:], start) for name, dtype, shape, start in blocks if len(shape) > 1]
        self.plain = all(dtype in _FORMATS for _, dtype, _ in scalars) and all(
            array[1] != BOOL for array in self.arrays
        )
        self._bools = [start for _, dtype, start in scalars if dtype == BOOL]
        self._limits: list[tuple[Any, Any, Any]] = [
            (_TYPES[dtype.kind], *_limits(layout.specs[name])) for name, dtype, _ in scalars if self.plain
        ]
        self._struct = struct.Struct(_format(scalars) if self.plain else "")

    def pack(self, values: Sequence[Any]) -> bytes | None:
        """A payload of numbers alone, in the order of `numbers`."""
        for value, (kind, low, high) in zip(values, self._limits, strict=True):
            if type(value) is not kind or not low <= value <= high:
                return None
        return self._struct.pack(*values)

    def unpack(self, buffer: bytes, offset: int) -> tuple[Any, ...] | None:
        """The numbers of a payload of `size` bytes, their bounds unchecked."""
        for start in self._bools:
            if buffer[offset + start] > 1:
                return None
        return self._struct.unpack_from(buffer, offset)

    def views(self, buffer: bytes, offset: int) -> dict[str, NDArray[Any]]:
        """The arrays of a payload, read-only. No copy."""
        return {name: view(buffer, dtype, shape, offset + start) for name, dtype, shape, start in self.arrays}


class NumberColumns:
    """Columns of one number each, of any number of rows.

    Args:
        layout: The columns.

    Attributes:
        plain: Whether they can go this way; truth values, of which each byte is to be checked, cannot.
    """

    def __init__(self, layout: ColumnLayout) -> None:
        """Work out the limits."""
        self._layout = layout
        self._specs = list(layout.specs.values())
        self.plain = all(spec.shape == () and spec.dtype in _FORMATS and spec.dtype != BOOL for spec in self._specs)
        self._limits = [_limits(spec) for spec in self._specs if self.plain]
        self._checks = [(spec.dtype.kind, *limits) for spec, limits in zip(self._specs, self._limits, strict=False)]
        self._structs = lru_cache(maxsize=64)(self._struct_of)

    def _struct_of(self, rows: int) -> struct.Struct:
        blocks, _ = self._layout.blocks(rows)
        return struct.Struct(_format([(name, dtype, start) for name, dtype, _, start in blocks], rows))

    def accepts(self, column: NDArray[Any], rows: int) -> bool:
        """Whether an array is the only column as it is: its bytes are the payload."""
        (spec,), ((low, high),) = self._specs, self._limits
        if column.dtype != spec.dtype or column.shape != (rows,) or spec.dtype.kind not in "iu":
            return False
        if rows > _MANY:
            return bool(low <= column.min() and column.max() <= high)
        numbers = column.tolist()
        return bool(low <= min(numbers) and max(numbers) <= high)

    def unpack(self, buffer: bytes, offset: int, size: int, rows: int) -> list[tuple[Any, ...]] | None:
        """Each column of a payload of so many bytes, where every number is within its bounds."""
        if size != self._layout.size(rows) or not rows:
            return None
        numbers = self._structs(rows).unpack_from(buffer, offset)
        columns = [numbers]
        if len(numbers) != rows:
            columns = [numbers[at : at + rows] for at in range(0, len(numbers), rows)]
        for column, (kind, low, high) in zip(columns, self._checks, strict=True):
            if kind == "f":
                if not all(low <= number <= high for number in column):
                    return None
            elif min(column) < low or max(column) > high:
                return None
        return columns


def _format(scalars: Sequence[tuple[str, np.dtype[Any], int]], rows: int = 1) -> str:
    end, codes = 0, ["<"]
    for _, dtype, start in scalars:
        codes.append(f"{start - end}x{rows}{_FORMATS[dtype]}")
        end = start + rows * dtype.itemsize
    return "".join(codes)


def _limits(spec: ArraySpec) -> tuple[float, float]:
    """Smallest and largest value that a column takes as it is. NaN is within none."""
    dtype = spec.dtype
    low, high = bounds(spec, dtype)
    least, most = (0, 1) if dtype == BOOL else _range(dtype)
    return least if low is None else max(low, least), most if high is None else min(high, most)


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind == "f":
        found = np.finfo(dtype)
        return float(found.min), float(found.max)
    whole = np.iinfo(dtype)
    return int(whole.min), int(whole.max)
