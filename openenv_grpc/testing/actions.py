"""Actions for one session, valid or as a case wants them, from the description alone."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict

from openenv_grpc.testing.messages import DTYPES, aligned, value_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_grpc.v1 import spec_pb2

WORDS = ("hello", "left", "7", "")
"""Text of sample actions."""


class Actions:
    """Makes actions for one session.

    Args:
        message: The Action class.
        columns: The session's action columns.
        examples: Valid actions to take in turn instead of random ones.
    """

    def __init__(
        self, message: Any, columns: Sequence[spec_pb2.ColumnSpec], examples: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Begin at the first example, with a fixed seed: a run of the cases can be repeated."""
        self.columns = list(columns)
        self._message = message
        self._examples = examples
        self._rng = np.random.default_rng(7)
        self._turn = 0

    @cached_property
    def has_rest(self) -> bool:
        """Whether an action has fields that are no columns."""
        return len(self._message.DESCRIPTOR.fields) > len(self.columns)

    def sample(self) -> Any:
        """A valid action, as an Action message with every field that is a column set."""
        if self._examples:
            self._turn += 1
            return self.make(self._examples[(self._turn - 1) % len(self._examples)])
        action = self._message()
        for column in self.columns:
            self.put(action, column, self._value(column))
        for field in self._message.DESCRIPTOR.fields:
            if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and field.containing_oneof is None:
                setattr(action, field.name, WORDS[self._rng.integers(len(WORDS))])
        return action

    def make(self, fields: Mapping[str, Any]) -> Any:
        """An action from values by field; columns that are not named are as near to zero as their bounds allow.

        Raises:
            ValueError: A field is unknown, or its value does not fit.
        """
        action = self._message()
        for column in self.columns:
            self.put(action, column, _least(column))
        columns = {column.name: column for column in self.columns}
        for name, value in fields.items():
            if name in columns:
                self.put(action, columns[name], np.asarray(value, DTYPES[columns[name].dtype]))
            elif isinstance(value, str | bytes):
                setattr(action, name, value)
            else:
                ParseDict({name: value}, action)
        return action

    def write(self, actions: Sequence[Any]) -> tuple[bytes, list[bytes]]:
        """Actions as a payload of columns, and the records beside it."""
        payload, end = bytearray(), 0
        for column in self.columns:
            rows = np.stack([value_of(action, column) for action in actions])
            if rows.size:
                start = aligned(end)
                end = start + rows.nbytes
                payload += bytes(start - len(payload)) + rows.tobytes()
        return bytes(payload), [self._rest(action) for action in actions] if self.has_rest else []

    def put(self, action: Any, column: spec_pb2.ColumnSpec, value: NDArray[Any]) -> None:
        """Set one column's field of an action, to a value that need not be a valid one."""
        if self._message.DESCRIPTOR.fields_by_name[column.name].message_type is None:
            setattr(action, column.name, value.item())
            return
        array = getattr(action, column.name)
        array.Clear()
        array.dtype, array.data = column.dtype, value.tobytes()
        array.shape.extend(value.shape)

    def _rest(self, action: Any) -> bytes:
        rest = self._message()
        rest.CopyFrom(action)
        for column in self.columns:
            rest.ClearField(column.name)
        data: bytes = rest.SerializeToString()
        return data

    def _value(self, column: spec_pb2.ColumnSpec) -> NDArray[Any]:
        """A random value within the bounds; where there are none, a small one."""
        dtype, shape = DTYPES[column.dtype], tuple(column.shape)
        enum = self._message.DESCRIPTOR.fields_by_name[column.name].enum_type
        if enum is not None:
            return np.asarray(self._rng.choice([value.number for value in enum.values]), dtype)
        if dtype.kind == "b":
            return np.asarray(self._rng.integers(0, 2, shape), dtype)
        low, high = _range(column)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            least, most = max(int(np.ceil(low)), int(info.min)), min(int(np.floor(high)), int(info.max))
            return np.asarray(
                self._rng.integers(least, most, shape, dtype.newbyteorder("=").type, endpoint=True), dtype
            )
        return np.asarray(low + (high - low) * self._rng.random(shape), dtype)


def _range(column: spec_pb2.ColumnSpec) -> tuple[float, float]:
    """Bounds to sample within: those of the column, one apart where only one is given."""
    if column.HasField("low"):
        return column.low, column.high if column.HasField("high") else column.low + 1
    if column.HasField("high"):
        return (0.0 if DTYPES[column.dtype].kind == "u" else column.high - 1), column.high
    return (0.0 if DTYPES[column.dtype].kind == "u" else -1.0), 1.0


def _least(column: spec_pb2.ColumnSpec) -> NDArray[Any]:
    low = column.low if column.HasField("low") else -np.inf
    high = column.high if column.HasField("high") else np.inf
    return np.full(tuple(column.shape), min(max(0, low), high), DTYPES[column.dtype])
