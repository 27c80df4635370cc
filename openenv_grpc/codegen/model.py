"""What the generator knows of an environment: its messages, fields and enums, checked.

The rules are those of `openenv_grpc.codec.schema`, which reads the same messages at run time; a test compares the two.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from openenv_grpc.errors import OpenEnvError
from openenv_grpc.specs import ArraySpec
from openenv_grpc.v1 import array_pb2

if TYPE_CHECKING:
    from openenv_grpc.codegen.sources import Entry, Sources

ARRAY = "openenv_grpc.v1.Array"
VALUE = "openenv_grpc.v1.Value"
PROTO = FieldDescriptorProto
SCALARS: dict[int, tuple[str, str]] = {
    PROTO.TYPE_BOOL: ("bool", "bool"),
    PROTO.TYPE_INT32: ("int", "int32"),
    PROTO.TYPE_SINT32: ("int", "int32"),
    PROTO.TYPE_SFIXED32: ("int", "int32"),
    PROTO.TYPE_INT64: ("int", "int64"),
    PROTO.TYPE_SINT64: ("int", "int64"),
    PROTO.TYPE_SFIXED64: ("int", "int64"),
    PROTO.TYPE_UINT32: ("int", "uint32"),
    PROTO.TYPE_FIXED32: ("int", "uint32"),
    PROTO.TYPE_UINT64: ("int", "uint64"),
    PROTO.TYPE_FIXED64: ("int", "uint64"),
    PROTO.TYPE_FLOAT: ("float", "float32"),
    PROTO.TYPE_DOUBLE: ("float", "float64"),
    PROTO.TYPE_STRING: ("str", ""),
    PROTO.TYPE_BYTES: ("bytes", ""),
}
"""Python type and numpy dtype of protobuf's scalar types."""


@dataclass(frozen=True)
class Type:
    """Type of one value.

    Attributes:
        python: `int`, `float`, `bool`, `str`, `bytes`, `array`, `value`, `enum` or `record`.
        dtype: Element type by numpy's name for numbers, enums and arrays, else empty.
        entry: The message or enum, for records and enums.
    """

    python: str
    dtype: str = ""
    entry: Entry | None = None


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        name: Name in the `.proto`.
        attr: Name in Python.
        comment: The author's words.
        type: Type of one value (of a map: of its values).
        spec: dtype, shape and bounds of numbers, enums and arrays.
        unit: Unit of the values, or empty.
        key: Type of the keys when this is a map, else None.
        repeated: A list of values.
        optional: The value may be None.
        rivals: Names of all members of the oneof that this field belongs to; empty outside a oneof.
    """

    name: str
    attr: str
    comment: str
    type: Type
    spec: ArraySpec | None
    unit: str
    key: Type | None
    repeated: bool
    optional: bool
    rivals: tuple[str, ...]

    @property
    def column(self) -> bool:
        """Whether the field, at the top level of an action or observation, travels as a column."""
        return self.spec is not None and not (self.repeated or self.optional or self.key)


def fields_of(message: Entry, sources: Sources) -> list[Field]:
    """The fields of a message, in the order of the file.

    Raises:
        InvalidArgument: A field that records cannot have; the error names file, line and field.
    """
    fields: list[Field] = []
    for entry in message.fields():
        field = _field(entry, message, sources)
        if field.attr.startswith("__") or field.attr == "MESSAGE":
            entry.refuse(f"{field.name} cannot name a field of a Python record; rename it")
        if field.attr in [other.attr for other in fields]:
            entry.refuse(f"two fields would be {field.attr} in Python; rename one")
        fields.append(field)
    return fields


def escaped(name: str) -> str:
    """The name, with a trailing underscore when it is a keyword of Python."""
    return f"{name}_" if keyword.iskeyword(name) else name


def _field(entry: Entry, message: Entry, sources: Sources) -> Field:
    proto = entry.proto
    key, value = _map_entry(proto, sources)
    kind = _type(entry, value, sources)
    repeated = proto.label == PROTO.LABEL_REPEATED
    in_oneof = proto.HasField("oneof_index")
    rule = proto.options.Extensions[array_pb2.rule]
    members = [f.name for f in message.proto.field if f.HasField("oneof_index") and f.oneof_index == proto.oneof_index]
    return Field(
        name=proto.name,
        attr=escaped(proto.name),
        comment=entry.comment,
        type=kind,
        spec=_spec(entry, kind, rule),
        unit=rule.unit,
        key=None if key is None else _type(entry, key, sources),
        repeated=repeated and key is None,
        optional=not repeated and (in_oneof or kind.python in ("record", "value")),
        rivals=tuple(members) if in_oneof and not proto.proto3_optional else (),
    )


def _map_entry(proto: Any, sources: Sources) -> tuple[Any, Any]:
    """Key and value of a map field; None and the field itself for any other."""
    if proto.type == PROTO.TYPE_MESSAGE:
        message = sources.of_type(proto).proto
        if message.options.map_entry:
            return tuple(message.field)
    return None, proto


def _type(entry: Entry, proto: Any, sources: Sources) -> Type:
    if proto.type in SCALARS:
        return Type(*SCALARS[proto.type])
    if proto.type == PROTO.TYPE_GROUP:
        entry.refuse("groups are not supported; use a nested message")
    target = sources.of_type(proto)
    if target.source.proto.syntax != "proto3":
        entry.refuse(f'{target.full_name} is not proto3; its file must begin with syntax = "proto3"')
    if proto.type == PROTO.TYPE_ENUM:
        return Type("enum", "int32", target)
    if target.full_name == ARRAY:
        rule = entry.proto.options.Extensions[array_pb2.rule]
        return Type("array", array_pb2.Dtype.Name(rule.dtype).removeprefix("DTYPE_").lower())
    return Type("value") if target.full_name == VALUE else Type("record", "", target)


def _spec(entry: Entry, kind: Type, rule: array_pb2.FieldRule) -> ArraySpec | None:
    """The field's spec; an array whose number of axes is open has the shape ()."""
    if kind.python == "array" and not rule.dtype:
        entry.refuse("an Array field needs a rule, such as [(openenv_grpc.v1.rule).dtype = DTYPE_UINT8]")
    if kind.python != "array" and (rule.dtype or rule.shape):
        entry.refuse("only Array fields have a dtype and a shape; the type of others says it")
    low = rule.low if rule.HasField("low") else None
    high = rule.high if rule.HasField("high") else None
    if not kind.dtype:
        if low is not None or high is not None:
            entry.refuse("only numbers and arrays have bounds")
        return None
    try:
        return ArraySpec(kind.dtype, tuple(rule.shape), low, high)
    except OpenEnvError as error:
        problem = str(error)
    entry.refuse(problem)
