"""A step's actions, written by the client and read by the worker, and checked field by field on both sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import Message

from openenv_grpc.codec.columns import ColumnLayout
from openenv_grpc.codec.records import Columns, RecordSet
from openenv_grpc.codec.rows import NumberColumns, RowLayout
from openenv_grpc.codec.scalars import to_enum
from openenv_grpc.codec.schema import Kind
from openenv_grpc.errors import InvalidArgument, OpenEnvError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openenv_grpc.codec.frame import Frame
    from openenv_grpc.specs import ArraySpec


@dataclass
class Batch:
    """Actions of one call: columns of shape (chunk, lanes, …), the rest as [chunk][lane] serialized records.

    Attributes:
        written: What `write` answers, where that is known already: the action of a single lane.
        numbers: One number per lane, of a field that has the payload to itself.
    """

    columns: dict[str, NDArray[Any]]
    rest: list[list[bytes]]
    written: tuple[list[bytes], bytes] | None = None
    numbers: NDArray[Any] | None = None


class ActionWriter:
    """What is fixed about a session's actions.

    Args:
        records: The environment's records.
        specs: Columns of an action.
    """

    def __init__(self, records: RecordSet, specs: Mapping[str, ArraySpec]) -> None:
        """Lay out the columns."""
        self._records = records
        self._schema = records.action
        self._layout = ColumnLayout(specs)
        self._row = RowLayout(self._layout)
        self._is_plain = self._row.plain and not self._row.arrays and not self._schema.rest
        self._attributes = [field.attr for field in self._schema.columns]
        only = len(self._schema.fields) == 1 and self._is_plain and self._schema.columns
        self._number = NumberColumns(self._layout) if only else None
        self._names = {field.attr: field.name for field in self._schema.fields} | {
            field.name: field.name for field in self._schema.fields
        }

    def single(self, action: Any, chunk: int) -> Batch:
        """The action of the only lane, or `chunk` actions of it.

        Raises:
            InvalidArgument: `field` names what is wrong.
        """
        if chunk:
            return self._from_records([[item] for item in action])
        if self._is_plain:
            payload = self._plain(action)
            return Batch({}, [], ([], payload)) if payload else self._from_records([[action]])
        if self._attributes:
            return self._from_records([[action]])
        return Batch({}, [], (self._rest([[self._fields(action)]])[0], b""))

    def _plain(self, action: Any) -> bytes | None:
        """The payload of an action that is plain numbers; None for one that `_from_records` must convert or refuse."""
        if getattr(action, "MESSAGE", None) == self._schema.full_name:
            return self._row.pack([getattr(action, name) for name in self._attributes])
        if isinstance(action, np.generic):
            action = action.item()
        return self._row.pack((action,)) if len(self._attributes) == 1 else None

    def batch(self, action: Any, lanes: int, chunk: int) -> Batch:
        """Actions of all lanes: columns, a mapping of columns, an array for the only field, or a list of records.

        Raises:
            InvalidArgument: `field` names what is wrong.
        """
        number = self._number if type(action) is np.ndarray and not chunk else None
        if number is not None and number.accepts(action, lanes):
            return Batch({}, [], numbers=action)
        schema = self._schema
        if isinstance(action, Columns) and schema.full_name == action.MESSAGE:
            action = {field.name: getattr(action, field.attr) for field in schema.fields}
        if isinstance(action, Mapping):
            return self._from_columns(action, lanes, chunk)
        only = schema.fields[0] if len(schema.fields) == 1 else None
        if isinstance(action, np.ndarray) and only is not None:
            return self._from_columns({only.name: action}, lanes, chunk)
        if not isinstance(action, Sequence) or isinstance(action, str | bytes):
            msg = f"expected columns, a mapping of columns or a list of {lanes} actions, got {type(action).__name__}"
            raise InvalidArgument(
                msg,
                field="action",
            )
        first = next(iter(action[0] if chunk and len(action) else action), None)
        if only is not None and not _is_record(first):
            return self._from_columns({only.name: action}, lanes, chunk)
        rows = action if chunk else [action]
        if any(len(row) != lanes for row in rows):
            msg = f"expected {lanes} actions, one per lane, got {len(rows[0])}"
            raise InvalidArgument(msg, field="action")
        return self._from_records(rows)

    def _from_records(self, rows: Sequence[Sequence[Any]]) -> Batch:
        fields = [[self._fields(item) for item in row] for row in rows]
        shape = (len(rows), len(rows[0]))
        raw = {field.name: [[item[field.name] for item in row] for row in fields] for field in self._schema.columns}
        return Batch(self._cast(raw, shape), self._rest(fields))

    def _fields(self, action: Any) -> dict[str, Any]:
        """One action's fields; a bare value stands for the action's only field."""
        schema = self._schema
        if len(schema.fields) == 1 and not _is_record(action) and not isinstance(action, Mapping):
            return {schema.fields[0].name: action}
        try:
            return self._records.fields_of(schema.full_name, action)
        except OpenEnvError as error:
            msg = "action"
            raise error.under(msg) from None

    def _from_columns(self, given: Mapping[str, Any], lanes: int, chunk: int) -> Batch:
        unknown = [key for key in given if key not in self._names]
        if unknown:
            msg = f"{self._schema.full_name} has no such field"
            raise InvalidArgument(msg, field=f"action.{unknown[0]}")
        columns = {self._names[key]: value for key, value in given.items()}
        missing = [field.name for field in self._schema.fields if field.name not in columns and field.single]
        if missing:
            msg = f"{self._schema.full_name} needs it"
            raise InvalidArgument(msg, field=f"action.{missing[0]}")
        shape = (chunk, lanes) if chunk else (lanes,)
        cast = self._cast(columns, shape)
        if not chunk:
            cast = {name: column[None] for name, column in cast.items()}
        if not self._schema.rest:
            return Batch(cast, [])
        rest_fields = [field for field in self._schema.rest if field.name in columns]
        rest = {field.name: columns[field.name] if chunk else [columns[field.name]] for field in rest_fields}
        for name, rows in rest.items():
            if any(len(row) != lanes for row in rows):
                msg = f"expected {lanes} values, one per lane"
                raise InvalidArgument(msg, field=f"action.{name}")
        neutral = {field.name: field.neutral() for field in self._schema.rest}
        fields = [
            [neutral | {name: rows[step][lane] for name, rows in rest.items()} for lane in range(lanes)]
            for step in range(max(chunk, 1))
        ]
        return Batch(cast, self._rest(fields))

    def _cast(self, columns: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
        try:
            return self._layout.cast(columns, shape)
        except OpenEnvError as error:
            msg = "action"
            raise error.under(msg) from None

    def _rest(self, fields: Sequence[Sequence[Mapping[str, Any]]]) -> list[list[bytes]]:
        schema = self._schema
        if not schema.rest:
            return []
        encode = self._records.encode_fields
        try:
            return [[encode(schema.full_name, item, schema.rest).SerializeToString() for item in row] for row in fields]
        except OpenEnvError as error:
            msg = "action"
            raise error.under(msg) from None

    def write(self, batch: Batch, at: int, lanes: int) -> tuple[list[bytes], bytes]:
        """What one shard's lanes need: the records of what is no column, and the payload."""
        if batch.written is not None:
            return batch.written
        if batch.numbers is not None:
            return [], batch.numbers[at : at + lanes].tobytes()
        records = [record for row in batch.rest for record in row[at : at + lanes]]
        rows = lanes * max((len(column) for column in batch.columns.values()), default=1)
        part = {
            name: column[:, at : at + lanes].reshape(rows, *column.shape[2:]) for name, column in batch.columns.items()
        }
        return records, self._layout.join(part, rows)


class ActionReader:
    """Reads the actions of a step request, in the worker: every field is checked before any lane moves.

    Args:
        records: The environment's records.
        specs: Columns of an action.
    """

    def __init__(self, records: RecordSet, specs: Mapping[str, ArraySpec]) -> None:
        """Lay out the columns."""
        self._records = records
        self._specs = specs
        self._layout = ColumnLayout(specs)
        self._class = records.classes[records.action.full_name]
        self._numbers = NumberColumns(self._layout)
        columns = records.action.columns
        self._attributes = [field.attr for field in columns]
        converted = records.action.rest or any(field.kind is Kind.ENUM for field in columns)
        self._is_plain = self._numbers.plain and bool(columns) and not converted

    def read(self, actions: Sequence[bytes], frame: Frame, rows: int) -> list[Any]:
        """One record per row, from the payload's columns and the records beside it, or from whole records.

        Raises:
            InvalidArgument: `field` names what is wrong.
            MalformedFrame: The payload's size is wrong.
        """
        if frame.size == 0 and (actions or self._layout.size(rows)):
            if len(actions) != rows:
                msg = f"{len(actions)} actions and no payload for {rows} rows"
                raise InvalidArgument(msg, field="step.actions")
            return [self._read_record(row, data) for row, data in enumerate(actions)]
        if self._is_plain and not actions:
            numbers = self._numbers.unpack(frame.data, frame.offset, frame.size, rows)
            if numbers is not None:
                names, cls = self._attributes, self._class
                return [cls(**dict(zip(names, row, strict=True))) for row in zip(*numbers, strict=True)]
        columns = self.read_payload(frame, rows)
        rest = self.read_rest(actions, rows)
        lists = self._lists(columns)
        return [
            self._class(**{name: column[row] for name, column in lists.items()}, **rest[row]) for row in range(rows)
        ]

    def read_payload(self, frame: Frame, rows: int) -> dict[str, NDArray[Any]]:
        """The payload's columns, checked."""
        columns = self._layout.read(frame.data, frame.offset, frame.size, rows)
        try:
            self._layout.check(columns)
        except OpenEnvError as error:
            msg = "action"
            raise error.under(msg) from None
        return columns

    def _lists(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Columns by attribute: Python numbers and enums, arrays as they are."""
        lists: dict[str, Any] = {}
        for field in self._records.action.columns:
            column = columns[field.name]
            lists[field.attr] = column if self._specs[field.name].shape else column.tolist()
            if field.kind is Kind.ENUM:
                enum = self._records.enums[str(field.type_name)]
                lists[field.attr] = [to_enum(enum, value) for value in lists[field.attr]]
        return lists

    def _read_record(self, row: int, data: bytes) -> Any:
        records = self._records
        try:
            message = records.parse(records.action.full_name, data)
            return records.decode(message, self._specs)
        except OpenEnvError as error:
            msg = f"action[{row}]"
            raise error.under(msg) from None

    def read_rest(self, data: Sequence[bytes], rows: int) -> list[dict[str, Any]]:
        """What is no column, by attribute, one mapping per row."""
        records, schema = self._records, self._records.action
        if not schema.rest and not data:
            return [{}] * rows
        if len(data) != rows:
            msg = f"{len(data)} records for {rows} rows"
            raise InvalidArgument(msg, field="step.actions")
        found = []
        for row, item in enumerate(data):
            try:
                given = records.decode_fields(records.parse(schema.full_name, item), schema.rest)
            except OpenEnvError as error:
                msg = f"action[{row}]"
                raise error.under(msg) from None
            found.append({field.attr: given[field.name] for field in schema.rest})
        return found


def _is_record(item: Any) -> bool:
    return isinstance(item, Message | Mapping) or hasattr(item, "MESSAGE")


def chunk_length(actions: Any) -> int:
    """How many actions per lane a chunk of actions holds.

    Raises:
        InvalidArgument: None at all, or nothing that has a length.
    """
    if isinstance(actions, Columns):
        actions = next(getattr(actions, field.name) for field in dataclasses.fields(actions))  # type: ignore[arg-type]
    elif isinstance(actions, Mapping):
        actions = next(iter(actions.values()), ())
    length = len(actions) if hasattr(actions, "__len__") else 0
    if not length:
        msg = "a chunk needs at least one action per lane"
        raise InvalidArgument(msg, field="actions")
    return length
