"""What a server says of itself: Describe, Opened, and whether its answers agree with both."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from openenv_grpc.client.channel import SERVICE
from openenv_grpc.testing.case import UNARY, NotApplicable, Violation, case
from openenv_grpc.testing.messages import DTYPES, column_dtype, rule_of
from openenv_grpc.testing.peer import REVISION
from openenv_grpc.v1 import array_pb2, environment_pb2, session_pb2, spec_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.testing.rows import Row

OPTION_KINDS = {
    spec_pb2.OPTION_TYPE_BOOLEAN: ("boolean",),
    spec_pb2.OPTION_TYPE_INTEGER: ("integer",),
    spec_pb2.OPTION_TYPE_NUMBER: ("number", "integer"),
    spec_pb2.OPTION_TYPE_TEXT: ("text",),
}


def describe(peer: Peer) -> environment_pb2.DescribeResponse:
    """Ask again."""
    target = peer.target
    method = target.channel.unary_unary(SERVICE + "Describe")
    data = method(b"", timeout=target.answer_timeout_s, metadata=target.metadata)
    return environment_pb2.DescribeResponse.FromString(data)


@case(faces=UNARY)
def describe_says_the_revision(peer: Peer) -> None:
    """Describe says protocol revision 1."""
    found = peer.target.description.protocol_revision
    if found != REVISION:
        msg = f"protocol_revision {REVISION}"
        raise Violation(msg, found)


@case(faces=UNARY)
def describe_repeats_itself(peer: Peer) -> None:
    """Describe says the same of environment, limits and isolation every time."""
    first, second = describe(peer), describe(peer)
    for name in ("environment", "limits", "isolation_tier"):
        if getattr(first, name) != getattr(second, name):
            msg = f"the same {name} in two answers to Describe"
            raise Violation(msg, "two different ones")


@case(faces=UNARY)
def descriptors_hold_all_messages(peer: Peer) -> None:
    """The descriptor set holds Action, Observation and State under the names that the description gives."""
    if peer.target.messages.state is None:
        msg = f"{peer.target.environment.state_message} in the descriptor set"
        raise Violation(msg, "no such message")


@case(faces=UNARY)
def columns_follow_the_messages(peer: Peer) -> None:
    """Numbers, enums and Arrays that are always there are columns, in order, of the message's dtype and shape."""
    described, messages = peer.target.environment.session, peer.target.messages
    for name, columns in (("action", described.action), ("observation", described.observation)):
        fields = sorted(getattr(messages, name).DESCRIPTOR.fields, key=lambda field: field.number)
        wanted = [(field.name, column_dtype(field)) for field in fields if column_dtype(field) is not None]
        found = [(column.name, column.dtype) for column in columns]
        if found != wanted:
            msg = f"the {name} columns {_named(wanted)}"
            raise Violation(msg, _named(found))
        by_name = {field.name: field for field in fields}
        for column in columns:
            _check_shape(f"{name}.{column.name}", by_name[column.name], list(column.shape))


def _named(columns: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}: {DTYPES.get(dtype, dtype)}" for name, dtype in columns) or "none"


def _check_shape(name: str, field: Any, shape: list[int]) -> None:
    rule = list(rule_of(field).shape)
    is_array = field.message_type is not None
    open_axes = is_array and not rule
    fits = len(rule) == len(shape) and all(axis in (-1, have) for axis, have in zip(rule, shape, strict=True))
    if not (open_axes or fits or 0 in shape):
        msg = f"{name} of shape {rule}, where -1 is open"
        raise Violation(msg, shape)


@case(faces=UNARY)
def bounds_are_possible(peer: Peer) -> None:
    """A column's low is at most its high, and neither is NaN."""
    described = peer.target.environment.session
    for column in (*described.action, *described.observation):
        low = column.low if column.HasField("low") else -math.inf
        high = column.high if column.HasField("high") else math.inf
        if not low <= high:
            msg = f"low at most high of {column.name}"
            raise Violation(msg, f"low {low}, high {high}")


@case(faces=UNARY)
def options_fit_their_types(peer: Peer) -> None:
    """The default of an option that is not required, and each of its choices, is a value of the option's type."""
    for option in peer.target.environment.options:
        kinds = OPTION_KINDS.get(option.type, ())
        given = [("a choice", choice) for choice in option.choices]
        if not option.required:
            given.append(("the default", option.default))
        for what, value in given:
            kind = value.WhichOneof("kind")
            null = kind is None and option.nullable
            if kinds and kind not in kinds and not null:
                msg = f"{what} of option {option.name} to be {' or '.join(kinds)}"
                raise Violation(msg, kind or "null")


@case(faces=UNARY)
def limits_are_limits(peer: Peer) -> None:
    """Every limit in Describe is above zero: none is unlimited."""
    for field in spec_pb2.Limits.DESCRIPTOR.fields:
        value = getattr(peer.target.limits, field.name)
        if not 0 < value < math.inf:
            msg = f"limits.{field.name} above zero"
            raise Violation(msg, value)


@case(faces=UNARY, alone=True)
def open_sessions_are_counted(peer: Peer) -> None:
    """Describe counts a session while it is open."""
    peer.open()
    found = describe(peer).open_sessions
    if found < 1:
        msg = "open_sessions of at least 1 while a session is open"
        raise Violation(msg, found)


@case(faces=UNARY)
def health_says_serving(peer: Peer) -> None:
    """The standard health service says SERVING, of the server as a whole and of EnvironmentService."""
    target, stub = peer.target, health_pb2_grpc.HealthStub(peer.target.channel)
    for service in ("", "openenv_grpc.v1.EnvironmentService"):
        request = health_pb2.HealthCheckRequest(service=service)
        status = stub.Check(request, timeout=target.answer_timeout_s, metadata=target.metadata).status
        if status != health_pb2.HealthCheckResponse.SERVING:
            msg = f"SERVING of {service or 'the server'}"
            raise Violation(msg, health_pb2.HealthCheckResponse.ServingStatus.Name(status))


@case(needs=("default_options",))
def opened_columns_are_those_described(peer: Peer) -> None:
    """A session opened with the default options has the columns that Describe shows."""
    found, described = peer.open().opened.spec, peer.target.environment.session
    if found != described:
        msg = f"the columns {_columns(described)}"
        raise Violation(msg, _columns(found))


def _columns(spec: spec_pb2.SessionSpec) -> str:
    return ", ".join(f"{column.name}{list(column.shape)}" for column in (*spec.action, *spec.observation))


@case()
def opened_limits_are_those_described(peer: Peer) -> None:
    """Opened tells the limits that Describe tells."""
    found = peer.open().opened.limits
    if found != peer.target.limits:
        msg = f"the limits {_line(peer.target.limits)}"
        raise Violation(msg, _line(found))


def _line(message: Any) -> str:
    return " ".join(str(message).split())


@case(needs=("shards",))
def shards_cover_the_lanes(peer: Peer) -> None:
    """Opened lists the shards asked for, each of at least one lane, and they cover the lanes in order."""
    lanes = min(5, peer.target.limits.lanes)
    shards = peer.open(lanes=lanes, shards=2).opened.shards
    covered = [lane for shard in shards for lane in range(shard.first_lane, shard.first_lane + shard.lanes)]
    if len(shards) != 2 or covered != list(range(lanes)) or not all(shard.lanes for shard in shards):
        msg = f"two shards that cover lanes 0 to {lanes - 1} in order"
        raise Violation(msg, [(shard.first_lane, shard.lanes) for shard in shards])


@case()
def unknown_options_are_refused(peer: Peer) -> None:
    """An option that the description does not name is refused, naming it, and no session is opened."""
    opening = peer.opening()
    opening.options["no_such_option"].integer = 1
    answer, _ = peer.try_open(opening)
    answer.refused("INVALID_ARGUMENT", field="no_such_option")


@case()
def options_of_a_wrong_type_are_refused(peer: Peer) -> None:
    """An option given a value of another type is refused, naming it, and no session is opened."""
    typed = [option for option in peer.target.environment.options if option.type in OPTION_KINDS]
    if not typed:
        msg = "the environment has no option with a type"
        raise NotApplicable(msg)
    for option in typed:
        opening = peer.opening()
        opening.options[option.name].list.items.add().integer = 1
        answer, _ = peer.try_open(opening)
        answer.refused("INVALID_ARGUMENT", field=f"options.{option.name}")


@case()
def payloads_have_the_size_of_their_columns(peer: Peer) -> None:
    """The payload of an answer is exactly as long as its columns, each begun at a multiple of 64 bytes."""
    session = peer.open()
    for answer in (session.reset(), session.step()):
        wanted, found = session.observations.size(1, 0), len(answer.ok().response.payload)
        if found != wanted:
            msg = f"a payload of {wanted} bytes in the answer to {answer.verb}"
            raise Violation(msg, f"{found} bytes")


@case()
def truth_values_are_0_or_1(peer: Peer) -> None:
    """Every element of a boolean column in an answer is a byte 0 or 1."""
    session = peer.open()
    for answer in (session.reset(), session.step()):
        for column, data in session.observations.bytes_of(answer.ok().response.payload, 1):
            if column.dtype == array_pb2.DTYPE_BOOL and set(data) - {0, 1}:
                msg = f"bytes 0 and 1 in the column {column.name}"
                raise Violation(msg, f"the byte {max(data)}")


@case()
def records_fit_their_specs(peer: Peer) -> None:
    """Arrays of an observation in record layout have the dtype, the shape and the length that Opened tells."""
    session = peer.open(layout=session_pb2.LAYOUT_RECORDS)
    columns = session.observations.columns
    if not any(column.shape for column in columns):
        msg = "the observation has no arrays"
        raise NotApplicable(msg)
    for answer in (session.reset(), session.step()):
        for data in answer.transition.observations:
            record = session.observations.record(data)
            for column in columns:
                if column.shape and 0 not in column.shape:
                    _check_array(getattr(record, column.name), column)


def _check_array(array: Any, column: spec_pb2.ColumnSpec) -> None:
    size = math.prod(column.shape) * DTYPES[column.dtype].itemsize
    wanted = DTYPES[column.dtype], list(column.shape), size
    found = DTYPES.get(array.dtype), list(array.shape), len(array.data)
    if found != wanted:
        msg = f"{column.name}: {wanted[0]}{wanted[1]} in {size} bytes"
        raise Violation(msg, f"{found[0]}{found[1]} in {found[2]} bytes")


@case()
def observations_keep_their_bounds(peer: Peer) -> None:
    """Observations of resets and steps lie within the bounds that Opened tells, where there are any."""
    session = peer.begin()
    if not any(column.HasField("low") or column.HasField("high") for column in session.observations.columns):
        msg = "the observation has no bounds"
        raise NotApplicable(msg)
    for answer in (session.reset(), session.step(), session.step()):
        _check_bounds(session, answer.row)


def _check_bounds(session: Session, row: Row) -> None:
    for column in session.observations.columns:
        values = row.columns[column.name]
        low = column.low if column.HasField("low") else -math.inf
        high = column.high if column.HasField("high") else math.inf
        possible = low <= high and (column.HasField("low") or column.HasField("high"))
        if possible and values.size and not np.all((values >= low) & (values <= high)):
            msg = f"{column.name} within [{low:g}, {high:g}]"
            raise Violation(msg, f"{np.min(values):g} to {np.max(values):g}")
