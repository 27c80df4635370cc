"""Specs ⇄ messages: what `openenv_grpc.specs` holds, as it travels in Describe and Opened.

Descriptions come from servers that may be hostile: every number is checked before it is used, and nothing named in
them is opened or imported.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
from typing import TYPE_CHECKING, Any

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass

from openenv_grpc.codec import values
from openenv_grpc.codec.arrays import NUMBERS, dtype_of
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.schema import hash_of, structure
from openenv_grpc.errors import OpenEnvError, ProtocolMismatch, SpecMismatch
from openenv_grpc.specs import (
    ArraySpec,
    Capabilities,
    EnvironmentSpec,
    Isolation,
    IsolationTier,
    Limits,
    OptionSpec,
    OptionType,
    ServerSpec,
    SessionSpec,
)
from openenv_grpc.v1 import environment_pb2, spec_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from google.protobuf.descriptor import FileDescriptor

_OPTION_TYPES = list(OptionType)  # in the order of the wire's OptionType
MAX_DESCRIPTOR_BYTES = 4 << 20
MAX_NAME = 64
"""The longest name of a profile, runtime or network that is believed."""
MAX_DESCRIPTION_BYTES = MAX_DESCRIPTOR_BYTES + (1 << 20)
"""The most that a server may say about itself: a message is many times larger once it is parsed."""
MAX_COLUMNS = 4096
MAX_OPTIONS = 1024
MAX_LIMIT_S = 86_400.0
"""The longest time that a server's limits are believed."""
MAX_ARRAY_BYTES = 256 << 20
"""The most that one row of a column may take: a client receives no larger message."""


def columns_to_message(specs: dict[str, ArraySpec], target: Any) -> None:
    """Write column specs into a `repeated ColumnSpec` field."""
    for name, spec in specs.items():
        target.add(name=name, dtype=NUMBERS[spec.dtype], shape=spec.shape, low=spec.low, high=spec.high)


def columns_from_message(columns: Sequence[spec_pb2.ColumnSpec]) -> dict[str, ArraySpec]:
    """Column specs by name.

    Raises:
        SpecMismatch: Unknown dtype, impossible shape or bounds; `field` names the column. Or far too many columns.
    """
    if len(columns) > MAX_COLUMNS:
        msg = f"{len(columns)} columns, at most {MAX_COLUMNS} are allowed"
        raise SpecMismatch(msg)
    specs: dict[str, ArraySpec] = {}
    for column in columns:
        low = column.low if column.HasField("low") else None
        high = column.high if column.HasField("high") else None
        try:
            spec = ArraySpec(dtype_of(column.dtype), tuple(column.shape), low, high)
        except OpenEnvError as error:
            raise SpecMismatch(str(error), field=column.name) from None
        # An axis of zero makes the array empty, not the others harmless: numpy multiplies them all the same.
        if math.prod(axis or 1 for axis in spec.shape) * spec.dtype.itemsize > MAX_ARRAY_BYTES:
            msg = f"an array of shape {spec.shape} is too large, at most {MAX_ARRAY_BYTES} bytes are allowed"
            raise SpecMismatch(msg, field=column.name)
        specs[column.name] = spec
    return specs


def session_to_message(spec: SessionSpec) -> spec_pb2.SessionSpec:
    """A session's columns as a message."""
    message = spec_pb2.SessionSpec()
    columns_to_message(spec.action, message.action)
    columns_to_message(spec.observation, message.observation)
    return message


def session_from_message(message: spec_pb2.SessionSpec) -> SessionSpec:
    """A session's columns from a message."""
    return SessionSpec(columns_from_message(message.action), columns_from_message(message.observation))


def limits_to_message(limits: Limits) -> spec_pb2.Limits:
    """Limits as a message."""
    return spec_pb2.Limits(**dataclasses.asdict(limits))


def limits_from_message(message: spec_pb2.Limits) -> Limits:
    """Limits from a message. Times are at most MAX_LIMIT_S.

    Raises:
        ProtocolMismatch: A time that is none.
    """
    found = {field.name: getattr(message, field.name) for field in dataclasses.fields(Limits)}
    for name in ("step_time_s", "session_idle_s"):
        if not found[name] >= 0:
            msg = f"{found[name]} is no time"
            raise ProtocolMismatch(msg, field=f"limits.{name}")
        found[name] = min(found[name], MAX_LIMIT_S)
    return Limits(**found)


def isolation_to_message(isolation: Isolation) -> environment_pb2.Isolation:
    """What holds a server as a message."""
    return environment_pb2.Isolation(**dataclasses.asdict(isolation))


def isolation_from_message(message: environment_pb2.Isolation) -> Isolation:
    """What holds a server, as it claims; names and numbers that cannot be are `?` and 0."""
    names = {name: getattr(message, name) for name in ("profile", "runtime", "network")}
    return Isolation(
        **{name: text if len(text) <= MAX_NAME and text.isprintable() else "?" for name, text in names.items()},
        memory_bytes=message.memory_bytes,
        cpus=message.cpus if 0 <= message.cpus < math.inf else 0.0,
        pids=message.pids,
        read_only=message.read_only,
    )


def _option_to_message(option: OptionSpec) -> spec_pb2.OptionSpec:
    return spec_pb2.OptionSpec(
        name=option.name,
        type=_OPTION_TYPES.index(option.type),  # type: ignore[arg-type]
        required=option.required,
        nullable=option.nullable,
        default=values.to_message(option.default),
        choices=[values.to_message(choice) for choice in option.choices],
    )


def _option_from_message(message: spec_pb2.OptionSpec) -> OptionSpec:
    known = message.type < len(_OPTION_TYPES)
    return OptionSpec(
        name=message.name,
        type=_OPTION_TYPES[message.type] if known else OptionType.ANY,
        required=message.required,
        nullable=message.nullable,
        default=values.from_message(message.default),
        choices=tuple(values.from_message(choice) for choice in message.choices),
    )


_PLAIN = [
    "name",
    "version",
    "descriptor_set",
    "action_message",
    "observation_message",
    "state_message",
    "spec_hash",
    "documentation",
]


def environment_to_message(spec: EnvironmentSpec) -> spec_pb2.EnvironmentSpec:
    """An environment's description as a message."""
    return spec_pb2.EnvironmentSpec(
        **{name: getattr(spec, name) for name in _PLAIN},
        session=session_to_message(spec.session),
        options=[_option_to_message(option) for option in spec.options],
        capabilities=spec_pb2.Capabilities(**dataclasses.asdict(spec.capabilities)),
    )


def environment_from_message(message: spec_pb2.EnvironmentSpec) -> EnvironmentSpec:
    """An environment's description from a message.

    Raises:
        SpecMismatch: Columns that cannot be, or far too many columns or options.
    """
    if len(message.options) > MAX_OPTIONS:
        msg = f"{len(message.options)} construction options, at most {MAX_OPTIONS} are allowed"
        raise SpecMismatch(msg, field="options")
    return EnvironmentSpec(
        **{name: getattr(message, name) for name in _PLAIN},
        session=session_from_message(message.session),
        options=tuple(_option_from_message(option) for option in message.options),
        capabilities=Capabilities(message.capabilities.seeds, message.capabilities.snapshot),
    )


def server_from_message(message: environment_pb2.DescribeResponse) -> ServerSpec:
    """A server's description from the answer to Describe."""
    tiers = {tier.value for tier in IsolationTier}
    return ServerSpec(
        environment=environment_from_message(message.environment),
        limits=limits_from_message(message.limits),
        protocol_revision=message.protocol_revision,
        server_version=message.server_version,
        isolation_tier=IsolationTier(message.isolation_tier if message.isolation_tier in tiers else 0),
        open_sessions=message.open_sessions,
        draining=message.draining,
        isolation=isolation_from_message(message.isolation) if message.HasField("isolation") else None,
    )


def descriptor_set(*files: FileDescriptor) -> bytes:
    """A serialized FileDescriptorSet of files and all they import, imports first."""
    result = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for dependency in file.dependencies:
                add(dependency)
            file.CopyToProto(result.file.add())

    for file in files:
        add(file)
    return result.SerializeToString()


def records_of(spec: EnvironmentSpec) -> RecordSet:
    """Records made from a server's description alone; the same ones for the same messages.

    Raises:
        ProtocolMismatch: The descriptor set is too large, broken, or lacks the messages it should hold.
    """
    with _reading_descriptors():
        records = _made(spec.descriptor_set, _names(spec))
    _check_hash(spec, records.spec_hash)
    return records


@functools.lru_cache(maxsize=64)
def _made(descriptor_set: bytes, names: tuple[str, ...]) -> RecordSet:
    return RecordSet([GetMessageClass(root) for root in _roots(descriptor_set, names)])


def structure_of(spec: EnvironmentSpec) -> list[str]:
    """What a server says about its messages, one line per field; much cheaper than their records.

    Raises:
        ProtocolMismatch: As `records_of`.
    """
    with _reading_descriptors():
        lines = [line for root in _roots(spec.descriptor_set, _names(spec)) for line in structure(root)]
    _check_hash(spec, hash_of(lines))
    return lines


def _names(spec: EnvironmentSpec) -> tuple[str, ...]:
    return spec.action_message, spec.observation_message, spec.state_message


def _roots(descriptor_set: bytes, names: Iterable[str]) -> list[Any]:
    """Descriptors of action, observation and state, in a pool of their own."""
    if len(descriptor_set) > MAX_DESCRIPTOR_BYTES:
        msg = f"{len(descriptor_set)} bytes are too many"
        raise ProtocolMismatch(msg, field="descriptor_set")
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        pool.Add(file)
    return [pool.FindMessageTypeByName(name) for name in names]


@contextlib.contextmanager
def _reading_descriptors() -> Iterator[None]:
    try:
        yield
    except OpenEnvError:
        raise
    except Exception as error:  # protobuf raises TypeError, KeyError, DecodeError, … on hostile descriptors
        msg = f"the server's description is broken: {error}"
        raise ProtocolMismatch(msg, field="descriptor_set") from error


def _check_hash(spec: EnvironmentSpec, found: str) -> None:
    if found != spec.spec_hash:
        msg = "it is not the hash of the messages described"
        raise ProtocolMismatch(msg, field="spec_hash")
