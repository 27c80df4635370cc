"""Arrays ⇄ bytes: every dtype and shape survives, and nothing that does not fit is bent until it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from openenv_grpc.codec import arrays
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import ArraySpec
from openenv_grpc.v1 import array_pb2
from tests.codec import strategies


def message(dtype: str = "UINT8", shape: tuple[int, ...] = (), data: bytes = b"") -> array_pb2.Array:
    return array_pb2.Array(dtype=array_pb2.Dtype.Value(f"DTYPE_{dtype}"), shape=shape, data=data)


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_round_trip(data: st.DataObject) -> None:
    array = data.draw(strategies.dtypes().flatmap(lambda dtype: hnp.arrays(dtype, strategies.shapes(4))))
    sent = array_pb2.Array()
    arrays.fill(sent, array)
    found = arrays.from_message(array_pb2.Array.FromString(sent.SerializeToString()))
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()
    assert not found.flags.writeable


def test_every_dtype_of_the_wire_is_known() -> None:
    assert set(arrays.DTYPES) == set(array_pb2.Dtype.values()) - {0}


@pytest.mark.parametrize("change", [lambda a: a.T, lambda a: a[::-1], lambda a: a[:, 1:], lambda a: a.astype(">i4")])
def test_layout_in_memory_does_not_matter(change: Any) -> None:
    array = change(np.arange(12, dtype=np.int32).reshape(3, 4))
    sent = array_pb2.Array()
    arrays.fill(sent, array)
    assert np.array_equal(arrays.from_message(sent), array)
    cast = arrays.cast(array, ArraySpec(np.int32, array.shape))
    assert np.array_equal(cast, array)
    assert cast.dtype == np.dtype("<i4")


HOSTILE = {
    "no dtype": (message("UNSPECIFIED"), "dtype"),
    "unknown dtype": (array_pb2.Array(dtype=99), "dtype"),  # type: ignore[arg-type]
    "too few bytes": (message(shape=(2, 3), data=bytes(5)), "data"),
    "too many bytes": (message(shape=(2, 3), data=bytes(7)), "data"),
    "bytes for a scalar": (message("FLOAT64", data=bytes(4)), "data"),
    "product overflows 64 bits to the right length": (message(shape=(1 << 32, 1 << 32)), "data"),
    "longest axis there is": (message(shape=((1 << 64) - 1,)), "data"),
    "an axis of 2**63 beside an axis of zero": (message(shape=(0, 1 << 63)), "shape"),
    "axes that overflow beside an axis of zero": (message(shape=(1 << 62, 0, 1 << 62)), "shape"),
    "bytes that overflow beside an axis of zero": (message("COMPLEX128", shape=(0, 1 << 62)), "shape"),
    "33 axes": (message(shape=(1,) * 33, data=b"\0"), "shape"),
    "neither true nor false": (message("BOOL", (2,), b"\0\2"), None),
}


@pytest.mark.parametrize(("sent", "field"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_message_is_refused(sent: array_pb2.Array, field: str | None) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arrays.from_message(array_pb2.Array.FromString(sent.SerializeToString()))
    assert caught.value.field == field


def test_negative_axis_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="out of range"):
        message(shape=(-1,))


ACCEPTED = {
    "list of int for float": ([1, 2], "f4", (2,)),
    "list of float for float": ([0.1, 2], "f4", (2,)),
    "list of float for complex": ([1.5, 2.5], "c8", (2,)),
    "list of int for complex": ([1, 2], "c8", (2,)),
    "list of complex": ([1j], "c8", (1,)),
    "wide integers that fit": (np.array([0, 255]), "u1", (2,)),
    "narrow integers": (np.array([1, 2], np.int8), "i8", (2,)),
    "narrow floats": (np.array([1.5], np.float16), "f4", (1,)),
    "integers that a float holds": (np.array([1], np.int16), "f4", (1,)),
    "a number for a scalar": (3, "i4", ()),
    "infinity": ([np.inf, -np.inf, np.nan], "f2", (3,)),
    "nothing": ([], "u1", (0,)),
    "open axis": (np.zeros((2, 7), np.uint8), "u1", (2, -1)),
}


@pytest.mark.parametrize(("value", "dtype", "shape"), ACCEPTED.values(), ids=ACCEPTED)
def test_cast_accepts(value: Any, dtype: str, shape: tuple[int, ...]) -> None:
    found = arrays.cast(value, ArraySpec(dtype, shape))
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, np.asarray(value).astype(dtype), equal_nan=True)


REFUSED = {
    "float for int": (np.array([1.0]), ArraySpec("i8", (1,)), "dtype float64, expected int64"),
    "list of float for int": ([1.5], ArraySpec("i8", (1,)), "dtype float64, expected int64"),
    "wide float for narrow": (np.array([1.0]), ArraySpec("f4", (1,)), "dtype float64, expected float32"),
    "complex for float": ([1j], ArraySpec("f8", (1,)), "dtype complex128, expected float64"),
    "int for bool": ([1], ArraySpec("?", (1,)), "dtype int64, expected bool"),
    "too large": (np.array([256]), ArraySpec("u1", (1,)), "does not fit into uint8"),
    "too small": ([-1], ArraySpec("u8", (1,)), "does not fit into uint64"),
    "float too large": ([1e300], ArraySpec("f4", (1,)), "does not fit into float32"),
    "int too large for a float": ([100_000], ArraySpec("f2", (1,)), "does not fit into float16"),
    "float too large for complex": ([1e300], ArraySpec("c8", (1,)), "does not fit into complex64"),
    "large and small": ([1 << 63, 1], ArraySpec("i8", (2,)), "does not fit into int64"),
    "large and negative": ([1 << 63, -1], ArraySpec("u8", (2,)), "does not fit into 64 bits"),
    "large and real": ([1 << 63, 0.5], ArraySpec("u8", (2,)), "dtype float64, expected uint64"),
    "empty and complex": (np.empty(0, complex), ArraySpec("i8", (0,)), "dtype complex128, expected int64"),
    "beyond 64 bits": ([1 << 70], ArraySpec("i8", (1,)), "dtype object"),
    "text": ("abc", ArraySpec("i8", ()), "dtype <U3"),
    "ragged": ([[1], [1, 2]], ArraySpec("i8", (2, 2)), "not an array of int64"),
    "None": (None, ArraySpec("i8", ()), "dtype object"),
    "objects": (np.array([object()]), ArraySpec("i8", (1,)), "dtype object"),
    "times": (np.zeros(1, "m8[s]"), ArraySpec("i8", (1,)), "dtype timedelta64"),
    "structure": (np.zeros(1, "i4,i4"), ArraySpec("i8", (1,)), "expected int64"),
    "extended precision": (np.zeros(1, np.longdouble), ArraySpec("f8", (1,)), "expected float64"),
    "missing axis": ([1], ArraySpec("i8", ()), r"shape (1,), expected ()"),
    "long axis": ([1, 2], ArraySpec("i8", (1,)), "shape (2,), expected (1,)"),
    "wrong open axis": (np.zeros((3, 1), int), ArraySpec("i8", (2, -1)), "shape (3, 1), expected (2, -1)"),
    "below": ([[0, 1], [2, -1]], ArraySpec("i8", (2, 2), low=0), "-1 is not within [0, inf]"),
    "above": ([1.25], ArraySpec("f4", (1,), high=1), "1.25 is not within [-inf, 1]"),
    "nan where bounded": ([0.0, np.nan], ArraySpec("f4", (2,), low=-1), "nan is not within [-1, inf]"),
    "infinity where bounded": ([-np.inf], ArraySpec("f4", (1,), low=-1e300), "-inf is not within [-1e+300, inf]"),
    "complex magnitude": ([3 + 4j], ArraySpec("c8", (1,), high=4), "5.0 is not within [-inf, 4]"),
    "complex nan": ([complex(np.nan, 0)], ArraySpec("c8", (1,), high=4), "nan is not within"),
}


@pytest.mark.parametrize(("value", "spec", "complaint"), REFUSED.values(), ids=REFUSED)
def test_cast_refuses(value: Any, spec: ArraySpec, complaint: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        arrays.cast(value, spec)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("bound", [0.1, 0.7, 1.1, 1 / 3, 1e-300, 1e300])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_bound_itself_is_within_bounds(bound: float, dtype: str) -> None:
    nearest = np.clip(bound, 0, float(np.finfo(dtype).max)).astype(dtype)
    arrays.check_bounds(np.array([nearest]), ArraySpec(dtype, (1,), low=bound, high=bound))


@pytest.mark.parametrize(
    "array", [np.zeros((1,) * 33), np.zeros(1, object), np.zeros(1, np.longdouble), np.array(["a"])]
)
def test_array_that_cannot_be_sent(array: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"33 axes, at most 32|is not a numeric dtype or bool"):
        arrays.fill(array_pb2.Array(), array)


def test_view_shares_memory_and_is_as_writable_as_its_buffer() -> None:
    data = bytes(64) + np.arange(6, dtype="<f4").tobytes()
    found = arrays.view(data, np.dtype("<f4"), (2, 3), 64)
    assert np.shares_memory(found, np.frombuffer(data, np.uint8))
    assert not found.flags.writeable
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert arrays.view(bytearray(data), np.dtype("<f4"), (2, 3), 64).flags.writeable


def test_integers_of_which_numpy_would_make_floats() -> None:
    found = arrays.cast([[(1 << 64) - 1, 1], [0, 1 << 63]], ArraySpec("u8", (2, 2)))
    assert found.dtype == np.uint64
    assert found.tolist() == [[(1 << 64) - 1, 1], [0, 1 << 63]]
