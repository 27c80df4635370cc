"""Options and infos: `Value` messages from a peer, and Python values on their way there and back.

What may happen: an InvalidArgument that says which value is at fault. What may not: any other exception, and a value
that comes back as another one than it was.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from openenv_grpc.codec import values
from openenv_grpc.codec.arrays import DTYPES
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.v1 import session_pb2, value_pb2
from tests.fuzz.compare import same
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil

_DTYPES = [
    *DTYPES.values(),
    np.dtype(">i4"),
    np.dtype("U3"),
    np.dtype(object),
    np.dtype("M8[s]"),
    np.dtype(np.longdouble),
]


def one_input(data: bytes) -> None:
    source = Source(data)
    how = source.below(4)
    if how == 0:
        _from_peer(source)
    elif how == 1:
        _info_from_peer(source)
    elif how == 2:
        _round_trip(source)
    else:
        _info_round_trip(source)


def python_value(source: Source, depth: int = 0, odd: bool = True) -> Any:
    """A value such as a caller may give; with `odd`, now and then one that cannot be sent."""
    kind = source.below(12 if depth < 4 else 8)
    if kind < 7:
        number = source.integer() if kind != 6 else source.float()
        return (
            None,
            bool(number & 1) if kind == 1 else None,
            number,
            source.text(),
            source.blob(8),
            _array(source, odd),
            number,
        )[kind]
    if kind == 7:
        return (
            source.pick(
                (1 << 64, -(1 << 65), object(), 1j, {1: 2}, "\ud800", {"\ud800": 1}, np.float32(2), np.int64(3), {4})
            )
            if odd
            else 7
        )
    if kind in (8, 9):
        return [python_value(source, depth + 1, odd) for _ in range(source.below(4))]
    if kind == 10:
        return {source.text(): python_value(source, depth + 1, odd) for _ in range(source.below(4))}
    return _deep(source, odd)


def _deep(source: Source, odd: bool) -> Any:
    """Lists and maps within each other, around the limit of 32 levels."""
    value: Any = source.below(3)
    for _ in range(source.below(40 if odd else 26)):
        value = [value] if source.flag() else {"k": value}
    return value


def _array(source: Source, odd: bool) -> Any:
    dtype = source.pick(_DTYPES if odd else _DTYPES[: len(DTYPES)])
    shape = tuple(source.below(3) for _ in range(source.below(4)))
    if dtype.kind in "OUM":
        return np.zeros(shape, dtype)
    count = int(np.prod(shape, dtype=int)) * dtype.itemsize
    raw = source.take(count).ljust(count, b"\1")
    return np.frombuffer(bytes(b & 1 for b in raw) if dtype.kind == "b" else raw, dtype).reshape(shape)


def _from_peer(source: Source) -> None:
    try:
        message = value_pb2.Value.FromString(
            source.rest() if source.flag() else spoil(source, wire_value(source).SerializeToString())
        )
        value = values.from_message(message)
    except (DecodeError, InvalidArgument):
        return
    again = values.from_message(values.to_message(value))
    assert same(again, value), (again, value)


def wire_value(source: Source, depth: int = 0) -> value_pb2.Value:
    """A message that may break any rule there is."""
    kind = source.below(9)
    if kind == 0:
        array = {"dtype": source.integer(-3, 20), "data": source.blob(64)}
        return value_pb2.Value(
            array={**array, "shape": [source.integer(0, (1 << 64) - 1) for _ in range(source.below(40))]}
        )
    if kind == 1 and depth < 3:
        return value_pb2.Value(list={"items": [wire_value(source, depth + 1) for _ in range(source.below(4))]})
    if kind == 2 and depth < 3:
        return value_pb2.Value(
            map={"entries": {source.text(): wire_value(source, depth + 1) for _ in range(source.below(4))}}
        )
    if kind == 3:
        message, lists = value_pb2.Value(integer=1), source.flag()  # protobuf itself refuses more than 100 levels
        for _ in range(source.below(42 if lists else 26)):
            message = value_pb2.Value(
                list={"items": [message]} if lists else None, map=None if lists else {"entries": {"k": message}}
            )
        return message
    value = python_value(source, 9, odd=False)
    return values.to_message(value)


def _info_from_peer(source: Source) -> None:
    answer, rows = session_pb2.Transition(), source.below(4)
    write_info(source, answer.info)
    try:
        infos = values.read_info(answer.info, rows)
    except InvalidArgument:
        return
    assert len(infos) == rows


def write_info(source: Source, columns: Any) -> None:
    """Info columns that may break any rule there is."""
    for _ in range(source.below(4)):
        column = columns.add(key=source.text(), present=source.blob(3))
        column.booleans.extend(source.flag() for _ in range(source.below(4)))
        column.integers.extend(source.integer() for _ in range(source.below(4)))
        column.numbers.extend(source.float() for _ in range(source.below(4)))
        column.values.extend([wire_value(source) for _ in range(source.below(4))])


def _round_trip(source: Source) -> None:
    value = python_value(source)
    try:
        message = values.to_message(value)
    except InvalidArgument:
        return
    found = values.from_message(value_pb2.Value.FromString(message.SerializeToString()))
    assert same(found, value), (found, value)


def _info_round_trip(source: Source) -> None:
    infos = [{source.pick("abc"): python_value(source) for _ in range(source.below(3))} for _ in range(source.below(4))]
    answer = session_pb2.Transition()
    try:
        values.info_columns([values.seal(info) or None for info in infos], answer.info)
    except InvalidArgument as error:
        assert str(error.field).startswith("info")  # noqa: PT017 - not a test of pytest
        return
    found = values.read_info(session_pb2.Transition.FromString(answer.SerializeToString()).info, len(infos))
    assert same(found, infos), (found, infos)
