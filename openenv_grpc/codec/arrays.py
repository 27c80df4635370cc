"""Arrays ⇄ bytes: dtypes on the wire, checked casts, read-only views."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import MAX_AXES
from openenv_grpc.v1 import array_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from openenv_grpc.specs import ArraySpec

_NAMES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]
DTYPES: dict[int, np.dtype[Any]] = {
    array_pb2.Dtype.Value(f"DTYPE_{name.upper()}"): np.dtype(name).newbyteorder("<") for name in _NAMES
}
NUMBERS = {dtype: number for number, dtype in DTYPES.items()}
BOOL = np.dtype(np.bool_)


def dtype_of(number: int) -> np.dtype[Any]:
    """The numpy dtype of a wire Dtype.

    Raises:
        InvalidArgument: The number is none that this revision knows.
    """
    try:
        return DTYPES[number]
    except KeyError:
        msg = f"{number} is not a known element type"
        raise InvalidArgument(msg, field="dtype") from None


def view(buffer: Any, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> NDArray[Any]:
    """A view of `shape` elements at `offset` in a buffer, writable when the buffer is. No copy; bounds are checked."""
    return np.empty(shape, dtype) if 0 in shape else np.ndarray(shape, dtype, buffer, offset)


def read_bools(array: NDArray[Any]) -> None:
    """Refuse bytes other than 0 and 1 in a bool array that came from a peer: numpy would take them for truth.

    Raises:
        InvalidArgument: There is such a byte.
    """
    small = array.size <= 4096  # where two methods of bytes are quicker than one ufunc
    if array.tobytes().strip(b"\0\1") if small else array.view(np.uint8).max() > 1:
        msg = "a truth value must be the byte 0 or 1"
        raise InvalidArgument(msg)


def bounds(spec: ArraySpec, dtype: np.dtype[Any]) -> tuple[float | None, float | None]:
    """The spec's bounds as numbers of a floating-point dtype: 0.1 and the float32 nearest to it count as equal."""
    return _bound(spec.low, dtype), _bound(spec.high, dtype)


def _bound(value: float | None, dtype: np.dtype[Any]) -> float | None:
    if value is None or dtype.kind != "f" or dtype.itemsize == 8 or not math.isfinite(value):
        return value
    info = np.finfo(dtype)
    return float(dtype.type(min(max(value, float(info.min)), float(info.max))))


def check_bounds(array: NDArray[Any], spec: ArraySpec) -> None:
    """Refuse values out of bounds, and NaN where there is a bound.

    Raises:
        InvalidArgument: Names the first value that is wrong.
    """
    if (spec.low is None and spec.high is None) or not array.size:
        return
    if array.dtype.kind == "c":
        with np.errstate(over="ignore"):
            array = np.abs(array)
    lowest, highest = bounds(spec, array.dtype)
    if (lowest is None or array.min() >= lowest) and (highest is None or array.max() <= highest):  # false for NaN
        return
    good = np.ones(array.shape, bool)
    if lowest is not None:
        good &= array >= lowest
    if highest is not None:
        good &= array <= highest
    bad = array[~good].flat[0]
    low = "-inf" if spec.low is None else f"{spec.low:g}"
    high = "inf" if spec.high is None else f"{spec.high:g}"
    msg = f"{bad} is not within [{low}, {high}]"
    raise InvalidArgument(msg)


def cast(value: Any, spec: ArraySpec, *, lead: tuple[int, ...] = (), any_shape: bool = False) -> NDArray[Any]:
    """A caller's value as an array of the spec's dtype and of shape `lead + spec.shape`, or of any shape at all.

    Integers may change width where every value fits; a change of kind that loses something (float to int, complex to
    float) is refused. An axis of -1 in the spec accepts any length.

    Raises:
        InvalidArgument: Wrong dtype, shape, or a value that does not fit or is out of bounds.
    """
    array = value if isinstance(value, np.ndarray) else _as_array(value, spec)
    if array.dtype != spec.dtype:
        array = _convert(array, spec)
    want = array.shape if any_shape else lead + spec.shape
    if len(array.shape) != len(want) or any(b not in (-1, a) for a, b in zip(array.shape, want, strict=True)):
        msg = f"shape {array.shape}, expected {want}"
        raise InvalidArgument(msg)
    check_bounds(array, spec)
    return array


def _as_array(value: Any, spec: ArraySpec) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        msg = f"not an array of {spec.dtype}: {error}"
        raise InvalidArgument(msg) from None
    if array.dtype.kind not in "biufc" and array.size:
        msg = f"dtype {array.dtype}, expected {spec.dtype}"
        raise InvalidArgument(msg)
    kind = spec.dtype.kind
    if array.size == 0:
        return np.empty(array.shape, spec.dtype)
    if array.dtype.kind == "f" and kind in "iu":
        return _integers(value, array)
    if (kind == "f" and array.dtype.kind in "iuf") or (kind == "c" and array.dtype.kind in "iufc"):
        return _narrow(array, spec.dtype)
    return array


def _integers(value: Any, floats: NDArray[Any]) -> NDArray[Any]:
    """Integers of which some need uint64 and some do not: numpy makes floats of such a list, and loses digits."""
    items = np.array(value, object)
    whole = all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in items.flat)
    if not whole:
        return floats
    if min(items.flat) < 0 or max(items.flat) >= 1 << 64:
        msg = "a value does not fit into 64 bits"
        raise InvalidArgument(msg)
    return items.astype(np.uint64)


def _narrow(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Python's numbers have no width of their own: give them the spec's, where they fit."""
    with np.errstate(over="raise"):
        try:
            return array.astype(dtype)
        except FloatingPointError:
            msg = f"a value does not fit into {dtype}"
            raise InvalidArgument(msg) from None


def _convert(array: NDArray[Any], spec: ArraySpec) -> NDArray[Any]:
    source, target = array.dtype, spec.dtype
    if np.can_cast(source, target, "safe"):
        return array.astype(target)
    if source.kind in "iu" and target.kind in "iu":
        info = np.iinfo(target)
        if array.size and (int(array.min()) < info.min or int(array.max()) > info.max):
            msg = f"a value does not fit into {target}"
            raise InvalidArgument(msg)
        return array.astype(target)
    msg = f"dtype {source}, expected {target}"
    raise InvalidArgument(msg)


def fill(message: Any, array: NDArray[Any]) -> None:
    """Write an array into an Array message (of whatever descriptor pool). One copy.

    Raises:
        InvalidArgument: Not a numeric or bool dtype, or too many axes.
    """
    dtype = array.dtype.newbyteorder("<")
    if dtype not in NUMBERS:
        msg = f"{array.dtype} is not a numeric dtype or bool"
        raise InvalidArgument(msg)
    if array.ndim > MAX_AXES:
        msg = f"{array.ndim} axes, at most {MAX_AXES} are allowed"
        raise InvalidArgument(msg)
    message.dtype = NUMBERS[dtype]
    message.shape[:] = array.shape
    message.data = np.ascontiguousarray(array, dtype).tobytes()


def from_message(message: array_pb2.Array) -> NDArray[Any]:
    """The array in a message, read-only.

    Raises:
        InvalidArgument: Unknown dtype, too many axes, or data of another length than dtype and shape say.
    """
    dtype, shape = dtype_of(message.dtype), tuple(message.shape)
    if len(shape) > MAX_AXES:
        msg = f"{len(shape)} axes, at most {MAX_AXES} are allowed"
        raise InvalidArgument(msg, field="shape")
    data = message.data
    if math.prod(shape) * dtype.itemsize != len(data):
        msg = f"{len(data)} bytes do not make {dtype}{list(shape)}"
        raise InvalidArgument(msg, field="data")
    if not data and math.prod(axis or 1 for axis in shape) * dtype.itemsize > np.iinfo(np.intp).max:
        msg = "an axis is too long"
        raise InvalidArgument(msg, field="shape")
    array = view(data, dtype, shape, 0)
    array.flags.writeable = False
    if dtype == BOOL:
        read_bools(array)
    return array


def stack(parts: Sequence[NDArray[Any]], axis: int) -> NDArray[Any]:
    """Join the same column of several shards along the lane axis, read-only.

    No copy of a single part, nor of parts that lie one behind the other in the same memory.
    """
    joined = parts[0] if len(parts) == 1 else None
    if joined is None and axis == 0:
        joined = _adjoined(parts)
    if joined is None:
        joined = np.concatenate(parts, axis=axis)
    joined.flags.writeable = False
    return joined


def _adjoined(parts: Sequence[NDArray[Any]]) -> NDArray[Any] | None:
    """One view of arrays that lie one behind the other in the same buffer; None when they do not."""
    first, base = parts[0], parts[0].base
    if not isinstance(base, np.ndarray):
        return None
    begin = end = _address(first)
    for part in parts:
        if part.base is not base or _address(part) != end or not part.flags.c_contiguous:
            return None
        end += part.nbytes
    rows = sum(len(part) for part in parts)
    return view(base, first.dtype, (rows, *first.shape[1:]), begin - _address(base))


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
