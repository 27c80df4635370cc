"""Descriptions from a hostile server: descriptors, specs, options, hashes; read as `connect()` and typed clients do.

What may happen: a ServerSpec and its records, or an OpenEnvError. What may not: any other exception, a typed client
that agrees with other messages than its own, memory or time beyond what the description's size explains.
"""

from __future__ import annotations

import functools
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from openenv_grpc.client.channel import agree, read_description
from openenv_grpc.codec import describe as wire
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.specs import PROTOCOL_REVISION, Limits
from openenv_grpc.v1 import environment_pb2
from openenv_grpc.worker.describe import describe, records_of
from tests.fuzz.environments import BareEnvironment, TameEnvironment
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil
from tests.fuzz.targets.values import wire_value

CLASSES = (BareEnvironment, TameEnvironment)


@functools.cache
def _good(index: int) -> environment_pb2.DescribeResponse:
    cls = CLASSES[index]
    spec = wire.environment_to_message(describe(cls, "fuzzed", cls()))
    limits = wire.limits_to_message(Limits())
    return environment_pb2.DescribeResponse(environment=spec, limits=limits, protocol_revision=PROTOCOL_REVISION)


def one_input(data: bytes) -> None:
    source = Source(data)
    choice = source.below(2 * len(CLASSES))
    index, is_typed = choice % len(CLASSES), choice < len(CLASSES)
    if source.flag(8):
        answer = source.rest()
    else:
        message = environment_pb2.DescribeResponse()
        message.CopyFrom(_good(index))
        _change(source, message.environment)
        answer = message.SerializeToString()
        answer = spoil(source, answer) if source.flag(4) else answer
    try:
        server = read_description(answer, "here:1")
        found = agree(server, records_of(CLASSES[index]) if is_typed else None)
    except OpenEnvError as error:
        str(error)
    else:
        assert found.spec_hash == server.environment.spec_hash


def _change(source: Source, spec: Any) -> None:
    how = source.below(5)
    if how == 0:
        column = source.pick((spec.session.action, spec.session.observation)).add(name=source.text())
        column.dtype, column.low = source.integer(-(1 << 31), (1 << 31) - 1), source.float()
        column.shape.extend([source.integer(0, (1 << 64) - 1) for _ in range(source.below(40))])
    elif how == 1:
        option = spec.options.add(name=source.text(), type=source.below(20), default=wire_value(source))
        option.choices.extend([wire_value(source) for _ in range(source.below(3))])
    elif how == 2:
        names = ("action_message", "observation_message", "state_message", "spec_hash", "name", "version")
        setattr(spec, source.pick(names), source.text())
    elif how == 3:
        spec.descriptor_set = spoil(source, spec.descriptor_set)
    else:
        spec.descriptor_set = _descriptors(source, spec.descriptor_set)


def _descriptors(source: Source, data: bytes) -> bytes:
    """Descriptors that parse, and say something else than they did."""
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(data)
    except DecodeError:
        return data
    for _ in range(1 + source.below(3)):
        file = files.file[source.below(len(files.file))]
        if not file.message_type:
            continue
        message = file.message_type[source.below(len(file.message_type))]
        fields = message.field
        if source.flag(6) or not fields:
            file.dependency.append(source.pick([*(other.name for other in files.file), "none.proto"]))
            continue
        field = fields[source.below(len(fields))]
        _change_field(source, field, message, [f".{file.package}.{other.name}" for other in file.message_type])
    return files.SerializeToString()


def _change_field(source: Source, field: Any, message: Any, types: list[str]) -> None:
    how = source.below(7)
    if how == 0:
        field.type = 1 + source.below(18)
    elif how == 1:
        field.label = 1 + source.below(3)
    elif how == 2:
        field.type, field.type_name = 11, source.pick(types)  # another message, or itself
    elif how == 3:
        field.name = source.text()
    elif how == 4:
        field.number = source.integer(-(1 << 31), (1 << 31) - 1)
    elif how == 5:
        message.field.add().CopyFrom(field)
    else:
        field.options.MergeFromString(b"\xc2\x3e" + bytes([4]) + source.take(4).ljust(4, b"\0"))
