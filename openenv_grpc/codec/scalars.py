"""Single values of a field, checked: numbers, text, enums, arrays."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec import arrays
from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from enum import IntEnum

    from openenv_grpc.codec.schema import Field
    from openenv_grpc.specs import ArraySpec

_RANGES = {dtype: (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)) for dtype in map(np.dtype, "bhiqBHIQ")}
_FLOATS = {4: struct.Struct("<f"), 8: struct.Struct("<d")}


def cast(value: Any, spec: ArraySpec, field: Field) -> Any:
    """An array checked against its spec; a field whose number of axes is open accepts any shape."""
    return arrays.cast(value, spec, any_shape=field.any_shape and spec is field.spec)


def number(value: Any, spec: ArraySpec) -> Any:
    """A Python number that fits the spec.

    Raises:
        InvalidArgument: Not a number, of the wrong kind, too large for the dtype or out of bounds.
    """
    kind = spec.dtype.kind
    if isinstance(value, np.ndarray | np.generic):
        if value.size != 1:
            msg = f"expected one {spec.dtype}, got an array of shape {value.shape}"
            raise InvalidArgument(msg)
        value = value.item()
    if kind == "b" and isinstance(value, bool):
        return value
    if kind in "iu" and isinstance(value, int) and not isinstance(value, bool):
        least, most = _RANGES[spec.dtype]
        if not least <= value <= most:
            shown = value if value.bit_length() <= 128 else "a number that large"
            msg = f"{shown} does not fit into {spec.dtype}"
            raise InvalidArgument(msg)
        check_number(value, spec)
        return int(value)
    if kind == "f" and isinstance(value, int | float) and not isinstance(value, bool):
        value = _rounded(value, spec.dtype)
        check_number(value, spec)
        return value
    msg = f"expected {spec.dtype}, got {type(value).__name__} {value!r:.40}"
    raise InvalidArgument(msg)


def _rounded(value: float, dtype: np.dtype[Any]) -> float:
    """The nearest number that the dtype holds: what the receiver will see."""
    layout = _FLOATS[dtype.itemsize]
    try:
        found: float = layout.unpack(layout.pack(float(value)))[0]
    except OverflowError:
        msg = f"the number does not fit into {dtype}"
        raise InvalidArgument(msg) from None
    return found


def check_number(value: float, spec: ArraySpec) -> None:
    """Refuse a number out of bounds, and NaN where there is a bound.

    Raises:
        InvalidArgument: It is.
    """
    if spec.low is None and spec.high is None:
        return
    low, high = arrays.bounds(spec, spec.dtype)
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        msg = f"{value} is not within [{low}, {high}]"
        raise InvalidArgument(msg)


def text(value: Any) -> str:
    """Text that can be sent.

    Raises:
        InvalidArgument: Not a str, or one that UTF-8 cannot write.
    """
    if not isinstance(value, str):
        msg = f"expected text, got {type(value).__name__}"
        raise InvalidArgument(msg)
    try:
        value.encode()
    except UnicodeEncodeError:
        msg = "text with lone surrogates cannot be sent"
        raise InvalidArgument(msg) from None
    return value


def to_enum(cls: type[IntEnum], value: int) -> int:
    """The enum's member, or the bare number where this side does not know it (proto3 enums are open)."""
    try:
        return cls(value)
    except ValueError:
        return value
