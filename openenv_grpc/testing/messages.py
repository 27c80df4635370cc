"""An environment's messages, made from Describe alone, and where their columns lie in a payload.

This is a second reading of the rules in the .proto files, apart from the library's own codec, so that a mistake there
cannot hide itself.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from openenv_grpc.testing.case import Violation
from openenv_grpc.v1 import array_pb2, spec_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FD = FieldDescriptor
ARRAY = "openenv_grpc.v1.Array"
DTYPES = {
    number: np.dtype("?" if name == "DTYPE_BOOL" else name.removeprefix("DTYPE_").lower()).newbyteorder("<")
    for name, number in array_pb2.Dtype.items()
    if number
}
NUMBERS: dict[int, int] = {
    FD.TYPE_BOOL: array_pb2.DTYPE_BOOL,
    FD.TYPE_INT32: array_pb2.DTYPE_INT32,
    FD.TYPE_SINT32: array_pb2.DTYPE_INT32,
    FD.TYPE_SFIXED32: array_pb2.DTYPE_INT32,
    FD.TYPE_ENUM: array_pb2.DTYPE_INT32,
    FD.TYPE_INT64: array_pb2.DTYPE_INT64,
    FD.TYPE_SINT64: array_pb2.DTYPE_INT64,
    FD.TYPE_SFIXED64: array_pb2.DTYPE_INT64,
    FD.TYPE_UINT32: array_pb2.DTYPE_UINT32,
    FD.TYPE_FIXED32: array_pb2.DTYPE_UINT32,
    FD.TYPE_UINT64: array_pb2.DTYPE_UINT64,
    FD.TYPE_FIXED64: array_pb2.DTYPE_UINT64,
    FD.TYPE_FLOAT: array_pb2.DTYPE_FLOAT32,
    FD.TYPE_DOUBLE: array_pb2.DTYPE_FLOAT64,
}


def aligned(size: int) -> int:
    """The next multiple of 64."""
    return -(-size // 64) * 64


def rule_of(field: Any) -> array_pb2.FieldRule:
    """The rule that stands on a field, empty where there is none."""
    rule: array_pb2.FieldRule = field.GetOptions().Extensions[array_pb2.rule]
    return rule


def column_dtype(field: Any) -> int | None:
    """The Dtype of a field that travels as a column; None for one that is part of the rest."""
    is_array = field.message_type is not None and field.message_type.full_name == ARRAY
    if field.is_repeated or field.containing_oneof is not None or not (is_array or field.type in NUMBERS):
        return None
    return rule_of(field).dtype if is_array else NUMBERS[field.type]


@dataclass(frozen=True)
class Messages:
    """The three messages of an environment, as classes made from its descriptor set."""

    action: Any
    observation: Any
    state: Any

    nested: list[Any]
    """Held, since protobuf itself keeps no class that nobody else holds."""

    @classmethod
    def of(cls, environment: spec_pb2.EnvironmentSpec) -> Messages:
        """Read a description; the State message is left out where it is missing. What was read is kept.

        Raises:
            Violation: The descriptor set cannot be read, or lacks Action or Observation.
        """
        return cls._read(
            environment.descriptor_set,
            environment.action_message,
            environment.observation_message,
            environment.state_message,
        )

    @classmethod
    @functools.lru_cache(maxsize=64)
    def _read(cls, descriptor_set: bytes, *names: str) -> Messages:
        pool = descriptor_pool.DescriptorPool()
        try:
            for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
                pool.Add(file)
            action, observation = (GetMessageClass(pool.FindMessageTypeByName(name)) for name in names[:2])
        except Exception as error:  # protobuf raises many kinds on broken descriptors
            msg = "a descriptor set with the Action and Observation that the description names"
            raise Violation(msg, f"{type(error).__name__}: {error}") from error
        try:
            state = GetMessageClass(pool.FindMessageTypeByName(names[2]))
        except KeyError:
            state = None
        messages = [message for message in (action, observation, state) if message is not None]
        fields = [field for message in messages for field in message.DESCRIPTOR.fields]
        inner: list[Any] = [field.message_type for field in fields if field.message_type is not None]
        nested = [GetMessageClass(message) for message in inner]
        return cls(action, observation, state, nested)


def value_of(message: Any, column: spec_pb2.ColumnSpec) -> NDArray[Any]:
    """The value of a column's field in a record, with the dtype and shape that the record says.

    An array that is missing is zeros: it is absent in this session, or stands in a row that was not executed.
    """
    value, dtype = getattr(message, column.name), DTYPES[column.dtype]
    if not hasattr(value, "DESCRIPTOR"):
        return np.asarray(value, dtype)
    if not value.dtype:
        return np.zeros(tuple(column.shape), dtype)
    return np.frombuffer(value.data, DTYPES.get(value.dtype, dtype)).reshape(tuple(value.shape))


def blocks(columns: Sequence[spec_pb2.ColumnSpec], rows: int) -> list[tuple[spec_pb2.ColumnSpec, int, int]]:
    """Column, begin and end of each block of a payload."""
    found, end = [], 0
    for column in columns:
        size = rows * int(np.prod(list(column.shape), dtype=int)) * DTYPES[column.dtype].itemsize
        start = aligned(end)
        found.append((column, start, start + size))
        end = start + size if size else end
    return found


def end_of(columns: Sequence[spec_pb2.ColumnSpec], rows: int) -> int:
    """Bytes of a payload of these columns."""
    return max((end for _, start, end in blocks(columns, rows) if end > start), default=0)


def read_columns(
    columns: Sequence[spec_pb2.ColumnSpec], payload: bytes, offset: int, rows: int
) -> dict[str, NDArray[Any]]:
    """Columns by name, each of shape (rows, …). What follows the last one is not looked at.

    Raises:
        Violation: The payload is too short.
    """
    if len(payload) < offset + end_of(columns, rows):
        msg = f"a payload of {offset + end_of(columns, rows)} bytes"
        raise Violation(msg, f"{len(payload)} bytes")
    found = {}
    for column, start, end in blocks(columns, rows):
        data = payload[offset + start : offset + end]
        found[column.name] = np.frombuffer(data, DTYPES[column.dtype]).reshape(rows, *column.shape)
    return found
