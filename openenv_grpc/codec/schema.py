"""Schemas: an environment's messages as the library sees them, built from protobuf descriptors alone.

A schema splits a message's top-level fields in two. *Columns* are numbers, truth values, enums and arrays that are
always there: in a batch of N lanes each gains a leading axis and travels in the payload. The *rest* (text, bytes,
repeated, nested messages, maps, oneofs, optional fields) travels as one protobuf record per lane.
"""

from __future__ import annotations

import hashlib
import keyword
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor

from openenv_grpc.codec.arrays import dtype_of
from openenv_grpc.errors import InvalidArgument, OpenEnvError, SpecMismatch
from openenv_grpc.specs import ArraySpec
from openenv_grpc.v1 import array_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


ARRAY = "openenv_grpc.v1.Array"
VALUE = "openenv_grpc.v1.Value"
FD = FieldDescriptor
NUMBER_TYPES: dict[int, str] = {
    FD.TYPE_BOOL: "bool",
    FD.TYPE_INT32: "int32",
    FD.TYPE_SINT32: "int32",
    FD.TYPE_SFIXED32: "int32",
    FD.TYPE_INT64: "int64",
    FD.TYPE_SINT64: "int64",
    FD.TYPE_SFIXED64: "int64",
    FD.TYPE_UINT32: "uint32",
    FD.TYPE_FIXED32: "uint32",
    FD.TYPE_UINT64: "uint64",
    FD.TYPE_FIXED64: "uint64",
    FD.TYPE_FLOAT: "float32",
    FD.TYPE_DOUBLE: "float64",
    FD.TYPE_ENUM: "int32",
}


class Kind(Enum):
    """What one value of a field is."""

    NUMBER = "number"
    ENUM = "enum"
    ARRAY = "array"
    TEXT = "text"
    BLOB = "blob"
    RECORD = "record"
    VALUE = "value"


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        name: Name in the .proto.
        attr: Name in Python; a trailing underscore is added to keywords.
        kind: What one value is (of a map: its values).
        spec: dtype, shape and bounds of numbers, enums and arrays; axes of -1 and `any_shape` are open.
        any_shape: An array whose number of axes the session decides.
        repeated: A list of values.
        key: The key's field when this is a map, else None.
        optional: The value may be None: `optional`, a oneof's member, a singular nested message or Value.
        oneof: Name of the oneof that this field belongs to, or None.
        type_name: Full name of the nested message or enum, or None.
    """

    name: str
    attr: str
    number: int
    kind: Kind
    spec: ArraySpec | None
    any_shape: bool
    repeated: bool
    key: Field | None
    optional: bool
    oneof: str | None
    type_name: str | None

    @cached_property
    def single(self) -> bool:
        """Whether the field holds exactly one value, always."""
        return not (self.repeated or self.optional)

    @cached_property
    def column(self) -> bool:
        """Whether the field, at the top level of a message, travels as a column."""
        return self.spec is not None and self.single

    @cached_property
    def direct(self) -> bool:
        """Whether the message holds the value just as the record does: a single text or bytes."""
        return self.single and self.kind in (Kind.TEXT, Kind.BLOB)

    def neutral(self) -> Any:
        """The value that stands for nothing: zero, empty, None."""
        if self.key is not None:
            return {}
        if self.repeated:
            return []
        if self.optional:
            return None
        if self.kind is Kind.ARRAY and self.spec is not None:
            return np.empty(0, self.spec.dtype)
        return (
            {Kind.TEXT: "", Kind.BLOB: b""}.get(self.kind, 0) if self.spec is None else self.spec.dtype.type(0).item()
        )


@dataclass(frozen=True)
class Schema:
    """One message: its fields in order of their numbers, and the classes that stand for it."""

    full_name: str
    fields: tuple[Field, ...]
    message_class: Any
    descriptor: Any

    @cached_property
    def columns(self) -> tuple[Field, ...]:
        """Fields that travel as columns when this message is an action or observation."""
        return tuple(field for field in self.fields if field.column)

    @cached_property
    def rest(self) -> tuple[Field, ...]:
        """Fields that travel as a record."""
        return tuple(field for field in self.fields if not field.column)

    @cached_property
    def oneofs(self) -> dict[str, tuple[Field, ...]]:
        """Members of each oneof."""
        names = {field.oneof for field in self.fields if field.oneof}
        return {name: tuple(f for f in self.fields if f.oneof == name) for name in sorted(names)}


def schema_of(descriptor: Any, message_class: Any) -> Schema:
    """The schema of one message.

    Raises:
        InvalidArgument: A field's rule does not fit the field; `field` names it.
    """
    fields = []
    for fd in sorted(descriptor.fields, key=lambda fd: fd.number):
        try:
            fields.append(_field(fd))
            if fields[-1].attr.startswith("__") or fields[-1].attr == "MESSAGE":
                msg = "this cannot name a field of a Python record; rename it"
                raise InvalidArgument(msg)
        except OpenEnvError as error:
            raise InvalidArgument(error.message, field=f"{descriptor.full_name}.{fd.name}") from None
    return Schema(descriptor.full_name, tuple(fields), message_class, descriptor)


def _field(fd: Any) -> Field:
    is_map = fd.message_type is not None and fd.message_type.GetOptions().map_entry
    value = fd.message_type.fields_by_name["value"] if is_map else fd
    kind = _kind(value)
    spec, any_shape = _spec(fd, value, kind)
    oneof = fd.containing_oneof
    synthetic = oneof is not None and len(oneof.fields) == 1 and oneof.name == f"_{fd.name}"
    repeated = bool(fd.is_repeated)
    type_name = None
    if kind is Kind.RECORD:
        type_name = value.message_type.full_name
    elif kind is Kind.ENUM:
        type_name = value.enum_type.full_name
    return Field(
        name=fd.name,
        attr=fd.name + "_" if keyword.iskeyword(fd.name) else fd.name,
        number=fd.number,
        kind=kind,
        spec=spec,
        any_shape=any_shape,
        repeated=repeated,
        key=_field(fd.message_type.fields_by_name["key"]) if is_map else None,
        optional=not repeated and (oneof is not None or kind in (Kind.RECORD, Kind.VALUE)),
        oneof=None if oneof is None or synthetic else oneof.name,
        type_name=type_name,
    )


def _kind(fd: Any) -> Kind:
    if fd.type == FD.TYPE_GROUP:
        msg = "groups are not supported; use a nested message"
        raise InvalidArgument(msg)
    if fd.type == FD.TYPE_MESSAGE:
        return {ARRAY: Kind.ARRAY, VALUE: Kind.VALUE}.get(fd.message_type.full_name, Kind.RECORD)
    simple = {FD.TYPE_STRING: Kind.TEXT, FD.TYPE_BYTES: Kind.BLOB, FD.TYPE_ENUM: Kind.ENUM}
    return simple.get(fd.type, Kind.NUMBER)


def _spec(fd: Any, value: Any, kind: Kind) -> tuple[ArraySpec | None, bool]:
    """The spec of a field's values, and whether their number of axes is open. The rule stands on the field itself."""
    options = fd.GetOptions()
    rule = options.Extensions[array_pb2.rule] if options.HasExtension(array_pb2.rule) else array_pb2.FieldRule()
    low = rule.low if rule.HasField("low") else None
    high = rule.high if rule.HasField("high") else None
    if kind is Kind.ARRAY:
        if rule.dtype == array_pb2.DTYPE_UNSPECIFIED:
            msg = "an Array field needs a rule: [(openenv_grpc.v1.rule).dtype = DTYPE_…]"
            raise InvalidArgument(msg)
        return ArraySpec(dtype_of(rule.dtype), tuple(rule.shape), low, high), not rule.shape
    if rule.dtype or rule.shape:
        msg = "only Array fields have a dtype and a shape"
        raise InvalidArgument(msg)
    if kind in (Kind.NUMBER, Kind.ENUM):
        return ArraySpec(NUMBER_TYPES[value.type], (), low, high), False
    if low is not None or high is not None:
        msg = "only numbers and arrays have bounds"
        raise InvalidArgument(msg)
    return None, False


def reachable(descriptor: Any) -> dict[str, Any]:
    """A message and all it nests, by full name, nested ones first; Array, Value and map entries are left out."""
    found: dict[str, Any] = {}

    def visit(message: Any, pending: frozenset[str]) -> None:
        if message.full_name in found or message.full_name in pending:
            return
        for field in message.fields:
            inner = field.message_type
            if inner is not None and inner.GetOptions().map_entry:
                inner = inner.fields_by_name["value"].message_type
            if inner is not None and inner.full_name not in (ARRAY, VALUE):
                visit(inner, pending | {message.full_name})
        found[message.full_name] = message

    visit(descriptor, frozenset())
    return found


def spec_hash(*roots: Any) -> str:
    """Hash over the structure of messages: full names, numbers, names, types, rules. Comments do not count."""
    return hash_of(line for root in roots for line in structure(root))


def hash_of(lines: Iterable[str]) -> str:
    """The hash of structures that are at hand already."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def structure(root: Any) -> Iterator[str]:
    """One line per field of a message and of all it nests; equal lines mean compatible messages."""
    yield f"root {root.full_name}"
    for name, descriptor in sorted(reachable(root).items()):
        for fd in sorted(descriptor.fields, key=lambda fd: fd.number):
            field = _field(fd)
            spec = field.spec
            key = fd.message_type.fields_by_name["key"].type if field.key is not None else ""
            shape = "" if spec is None or field.any_shape else list(spec.shape)
            bounds = "" if spec is None else f"{spec.dtype.str} {shape} {spec.low} {spec.high}"
            presence = field.oneof or ("optional" if field.optional else "")
            yield (
                f"{name}.{fd.name} = {fd.number} type {fd.type} {field.type_name or ''} "
                f"repeated {field.repeated} key {key} {presence} {bounds}"
            )


def resolve(schema: Schema, instance: Mapping[str, ArraySpec], what: str) -> dict[str, ArraySpec]:
    """Columns of a session: the .proto's rules, completed by the environment instance's own specs.

    Raises:
        SpecMismatch: The instance names an unknown field, contradicts the .proto, or leaves an axis open.
    """
    unknown = set(instance) - {field.name for field in schema.columns}
    if unknown:
        msg = f"no such column in {schema.full_name}"
        raise SpecMismatch(msg, field=f"{what}.{sorted(unknown)[0]}")
    specs = {}
    for field in schema.columns:
        rule: Any = field.spec
        spec = instance.get(field.name, rule)
        fits = field.any_shape or (
            len(spec.shape) == len(rule.shape)
            and all(r in (-1, s) for s, r in zip(spec.shape, rule.shape, strict=True))
        )
        if spec.dtype != rule.dtype or not (fits or spec.absent):
            msg = f"the .proto says {rule.dtype}{list(rule.shape)}, the environment {spec.dtype}{list(spec.shape)}"
            raise SpecMismatch(
                msg,
                field=f"{what}.{field.name}",
            )
        if -1 in spec.shape or (spec is rule and field.any_shape):
            msg = "the environment must give its shape"
            raise SpecMismatch(msg, field=f"{what}.{field.name}")
        specs[field.name] = spec
    return specs


def enum_class(descriptor: Any) -> type[IntEnum]:
    """A Python enum with the values of a protobuf enum, aliases included; `_missing_` and its like stay Python's."""
    members: Any = {value.name: value.number for value in descriptor.values if not value.name.startswith("_")}
    return IntEnum(descriptor.name, members)  # type: ignore[return-value]
