"""Records ⇄ messages: frozen dataclasses with numpy fields, checked field by field.

A `RecordSet` knows the record class of every message of an environment: the generated ones of a typed package, or
classes made on the spot from a server's description. Both are driven by the same schema, so they behave alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from openenv_grpc.codec import arrays, values
from openenv_grpc.codec.frame import bad_text
from openenv_grpc.codec.scalars import cast, check_number, number, text, to_enum
from openenv_grpc.codec.schema import Field, Kind, Schema, enum_class, reachable, schema_of, spec_hash
from openenv_grpc.errors import InvalidArgument, OpenEnvError
from openenv_grpc.v1 import value_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import IntEnum

    from openenv_grpc.specs import ArraySpec


_NESTED = (Kind.ARRAY, Kind.RECORD, Kind.VALUE)  # kinds whose values are messages


class Record:
    """Base of all records and columns. Equality compares arrays element by element, dtype included."""

    __slots__ = ()
    MESSAGE: ClassVar[str] = ""
    """Full name of the protobuf message this class stands for."""

    def __eq__(self, other: object) -> bool:
        """Equal class, equal fields."""
        if type(other) is not type(self):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return all(_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]


class Columns(Record):
    """Base of all columns: a batch of records, each field an array or list with one entry per lane."""

    __slots__ = ()


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        same = a.shape == b.shape and a.dtype == b.dtype
        return same and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(value, b[key]) for key, value in a.items())
    return bool(a == b) or bool(a != a and b != b)  # as in arrays, NaN equals NaN


class RecordSet:
    """All records of an environment's messages.

    Args:
        roots: Message classes of Action, Observation and State, in this order.
        classes: Record classes; those of messages not given are made.
        columns: Columns classes of Action and Observation; made where not given.
        enums: Enum classes by full name; made where not given.

    Attributes:
        action: Schema of the action; likewise `observation` and `state`.
        columns: Columns classes of action and observation by full message name.
    """

    def __init__(
        self,
        roots: Sequence[type[Message]],
        classes: Iterable[type[Any]] = (),
        columns: Iterable[type[Any]] = (),
        enums: Mapping[str, type[IntEnum]] | None = None,
    ) -> None:
        """Build the schemas of everything reachable, and the classes that are not given."""
        self.schemas: dict[str, Schema] = {}
        self._held: list[Any] = []  # classes of nested messages: protobuf itself keeps none that nobody else holds
        self.classes: dict[str, type[Any]] = {cls.MESSAGE: cls for cls in classes}
        self.columns: dict[str, type[Any]] = {cls.MESSAGE: cls for cls in columns}
        self.enums: dict[str, type[IntEnum]] = dict(enums or {})
        for root in roots:
            for name, descriptor in reachable(root.DESCRIPTOR).items():
                if name not in self.schemas:
                    self._add(name, descriptor)
        self.action, self.observation, self.state = (self.schemas[root.DESCRIPTOR.full_name] for root in roots)
        for schema in (self.action, self.observation):
            if schema.full_name not in self.columns:
                self.columns[schema.full_name] = make_record(schema, "Columns")
        self.spec_hash = spec_hash(self.action.descriptor, self.observation.descriptor, self.state.descriptor)

    def _add(self, name: str, descriptor: Any) -> None:
        schema = schema_of(descriptor, _message_class(descriptor))
        self.schemas[name] = schema
        for fd in descriptor.fields:
            if fd.message_type is not None:
                self._held.append(_message_class(fd.message_type))
            value = fd.message_type.fields_by_name["value"] if _is_map(fd) else fd
            if value.enum_type is not None and value.enum_type.full_name not in self.enums:
                self.enums[value.enum_type.full_name] = enum_class(value.enum_type)
        if name not in self.classes:
            self.classes[name] = make_record(schema)

    # -- records to messages ------------------------------------------------------------------------------------

    def encode(self, name: str, value: Any, specs: Mapping[str, ArraySpec] | None = None) -> Message:
        """A record, a mapping or a message as a message, every field checked.

        Args:
            name: Full name of the message.
            value: The record.
            specs: The session's specs of its columns, where they are known.

        Raises:
            InvalidArgument: A field is missing, unknown, of the wrong type or out of bounds; `field` names it.
        """
        try:
            return self.encode_fields(name, self.fields_of(name, value), self.schemas[name].fields, specs)
        except RecursionError:
            msg = "nested too deeply, or within itself"
            raise InvalidArgument(msg) from None

    def encode_fields(
        self,
        name: str,
        given: Mapping[str, Any],
        fields: Iterable[Field],
        specs: Mapping[str, ArraySpec] | None = None,
    ) -> Message:
        """A message with only the given fields set."""
        schema = self.schemas[name]
        message: Message = schema.message_class()
        for members in schema.oneofs.values():
            chosen = [field.name for field in members if given.get(field.name) is not None]
            if len(chosen) > 1:
                msg = f"only one of {', '.join(chosen)} may be set"
                raise InvalidArgument(msg, field=chosen[1])
        for field in fields:
            spec = (specs or {}).get(field.name, field.spec)
            if not (spec is not None and spec.absent and field.kind is Kind.ARRAY):
                self._set(message, field, given[field.name], spec)
        return message

    def fields_of(self, name: str, value: Any) -> dict[str, Any]:
        """All fields of a record by their name in the .proto.

        A mapping may leave out what has a default; a message is read as a record; anything else must be a record of
        the same message, whatever class it is.
        """
        schema = self.schemas[name]
        if isinstance(value, Message):
            if value.DESCRIPTOR.full_name != name:
                msg = f"expected a {name}, got a {value.DESCRIPTOR.full_name}"
                raise InvalidArgument(msg)
            if not isinstance(value, schema.message_class):
                value = self.parse(name, value.SerializeToString())
            value = self.decode(value)
        if isinstance(value, Mapping):
            return _fields_of_mapping(schema, value)
        if getattr(value, "MESSAGE", None) != name:
            msg = f"expected a {name}, a mapping or a message, got {type(value).__name__}"
            raise InvalidArgument(msg)
        return {field.name: getattr(value, field.attr) for field in schema.fields}

    def _set(self, message: Message, field: Field, value: Any, spec: ArraySpec | None) -> None:
        if value is None and field.optional:
            return
        try:
            if field.key is not None:
                self._set_map(message, field, value)
            elif field.repeated:
                self._set_list(message, field, value)
            elif field.kind in _NESTED:
                self._fill(getattr(message, field.name), field, value, spec)
            else:
                setattr(message, field.name, self._scalar(field, value, spec))
        except OpenEnvError as error:
            raise error.under(field.name) from None

    def _set_map(self, message: Message, field: Field, value: Any) -> None:
        if not isinstance(value, Mapping):
            msg = f"expected a mapping, got {type(value).__name__}"
            raise InvalidArgument(msg)
        target = getattr(message, field.name)
        assert field.key is not None  # noqa: S101 - the caller looked
        for key, item in value.items():
            key = self._scalar(field.key, key, field.key.spec)
            try:
                if field.kind in _NESTED:
                    self._fill(target[key], field, item, field.spec)
                else:
                    target[key] = self._scalar(field, item, field.spec)
            except OpenEnvError as error:
                raise error.under(str(key)) from None

    def _set_list(self, message: Message, field: Field, value: Any) -> None:
        listed = value.ndim > 0 if isinstance(value, np.ndarray) else isinstance(value, Sequence)
        if not listed or isinstance(value, str | bytes):
            msg = f"expected a list, got {type(value).__name__}"
            raise InvalidArgument(msg)
        target = getattr(message, field.name)
        for index, item in enumerate(value):
            try:
                if field.kind in _NESTED:
                    self._fill(target.add(), field, item, field.spec)
                else:
                    target.append(self._scalar(field, item, field.spec))
            except OpenEnvError as error:
                raise error.under(str(index)) from None

    def _fill(self, target: Any, field: Field, value: Any, spec: ArraySpec | None) -> None:
        """Put a record or an array into the message that stands for it in its parent."""
        if field.kind is Kind.RECORD:
            target.CopyFrom(self.encode(str(field.type_name), value))
            target.SetInParent()
        elif field.kind is Kind.VALUE:
            target.ParseFromString(values.to_message(value).SerializeToString())
            target.SetInParent()
        elif spec is not None:
            arrays.fill(target, cast(value, spec, field))

    def _scalar(self, field: Field, value: Any, spec: ArraySpec | None) -> Any:
        if field.kind is Kind.TEXT:
            return text(value)
        if field.kind is Kind.BLOB:
            if not isinstance(value, bytes | bytearray | memoryview):
                msg = f"expected bytes, got {type(value).__name__}"
                raise InvalidArgument(msg)
            return bytes(value)
        assert spec is not None  # noqa: S101 - numbers have specs
        return number(value, spec)

    # -- messages to records ------------------------------------------------------------------------------------

    def parse(self, name: str, data: bytes) -> Message:
        """Parse a message.

        Raises:
            InvalidArgument: It is not one; `field` names the text field that is not UTF-8, if that is why.
        """
        cls = self.schemas[name].message_class
        try:
            message: Message = cls.FromString(data)
        except DecodeError:
            msg = f"not a valid {name} (or text that is not UTF-8)"
            raise InvalidArgument(msg, field=bad_text(data, cls)) from None
        return message

    def decode(self, message: Message, specs: Mapping[str, ArraySpec] | None = None) -> Any:
        """A message as a record, its arrays read-only, every array and bound checked.

        Raises:
            InvalidArgument: An array is missing or of the wrong dtype, shape or length, or a value is out of bounds.
        """
        schema = self.schemas[message.DESCRIPTOR.full_name]
        found = self.decode_fields(message, schema.fields, specs)
        return self.classes[schema.full_name](**{f.attr: found[f.name] for f in schema.fields})

    def decode_fields(
        self, message: Message, fields: Iterable[Field], specs: Mapping[str, ArraySpec] | None = None
    ) -> dict[str, Any]:
        """The given fields of a message, by name."""
        found = {}
        for field in fields:
            if field.direct:
                found[field.name] = getattr(message, field.name)
                continue
            spec = (specs or {}).get(field.name, field.spec)
            try:
                found[field.name] = self._get(message, field, spec)
            except OpenEnvError as error:
                raise error.under(field.name) from None
        return found

    def _get(self, message: Message, field: Field, spec: ArraySpec | None) -> Any:
        value: Any = getattr(message, field.name)
        if field.key is not None:
            return {key: self._value(field, value[key], spec) for key in value}
        if field.repeated:
            return [self._value(field, item, spec) for item in value]
        if field.optional and not message.HasField(field.name):
            return None
        if field.kind is Kind.ARRAY and not message.HasField(field.name):
            if spec is not None and spec.absent:
                return np.empty(spec.shape, spec.dtype)
            msg = "the array is missing"
            raise InvalidArgument(msg)
        return self._value(field, value, spec)

    def _value(self, field: Field, value: Any, spec: ArraySpec | None) -> Any:
        if field.kind is Kind.RECORD:
            return self.decode(value)
        if field.kind is Kind.VALUE:
            return values.from_message(value_pb2.Value.FromString(value.SerializeToString()))
        if spec is None:
            return value
        if field.kind is Kind.ARRAY:
            array = arrays.from_message(value)
            if array.dtype != spec.dtype:
                msg = f"dtype {array.dtype}, expected {spec.dtype}"
                raise InvalidArgument(msg)
            return cast(array, spec, field)
        check_number(value, spec)
        return to_enum(self.enums[str(field.type_name)], value) if field.kind is Kind.ENUM else value


def _fields_of_mapping(schema: Schema, value: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.attr: field.name for field in schema.fields} | {field.name: field.name for field in schema.fields}
    unknown = [str(key) for key in value if key not in names]
    if unknown:
        known = ", ".join(field.name for field in schema.fields)
        msg = f"{schema.full_name} has no such field; it has {known}"
        raise InvalidArgument(msg, field=unknown[0])
    fields = {names[key]: item for key, item in value.items()}
    for field in schema.fields:
        if field.name not in fields:
            if field.single:
                msg = f"{schema.full_name} needs it"
                raise InvalidArgument(msg, field=field.name)
            fields[field.name] = field.neutral()
    return fields


def _is_map(fd: Any) -> bool:
    return fd.message_type is not None and fd.message_type.GetOptions().map_entry


def _message_class(descriptor: Any) -> Any:
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(descriptor)


def make_record(schema: Schema, suffix: str = "") -> type[Any]:
    """A record class for a message that no generated class stands for (with a suffix: its columns class)."""
    fields: list[Any] = []
    for field in schema.fields:
        if suffix or field.single:
            fields.append((field.attr, Any))
        else:
            fields.append((field.attr, Any, dataclasses.field(default_factory=field.neutral)))
    name = schema.full_name.rpartition(".")[2] + suffix
    namespace = {"MESSAGE": schema.full_name, "__doc__": f"A `{schema.full_name}`, made from its description."}
    return dataclasses.make_dataclass(
        name, fields, bases=(Columns if suffix else Record,), namespace=namespace, frozen=True, eq=False, kw_only=True
    )
