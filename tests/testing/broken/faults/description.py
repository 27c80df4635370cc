"""Servers that describe themselves wrongly, or answer other than they say."""

from __future__ import annotations

import itertools
from typing import Any

from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2

from openenv_grpc.testing.messages import blocks
from openenv_grpc.testing.rows import OUTCOME
from openenv_grpc.v1 import array_pb2, session_pb2
from tests.testing.broken.fault import description, fault

_calls = itertools.count(1)


def column(spec: Any, name: str) -> Any:
    """A column of the observation."""
    return next(found for found in spec.observation if found.name == name)


def unseeded(talk: Any) -> bool:
    """Whether the session's first reset had no seed."""
    resets = [request for request in talk.requests if request.HasField("reset")]
    return bool(resets) and not resets[0].reset.seeds


@description("describe_says_the_revision")
def says_another_revision(described: Any) -> None:
    """Describe says revision 2; everything else is revision 1."""
    described.protocol_revision = 2


@description("describe_repeats_itself")
def changes_its_mind(described: Any) -> None:
    """The documentation is another one each time."""
    described.environment.documentation = f"version {next(_calls)}"


@description("descriptors_hold_all_messages")
def names_a_state_that_is_missing(described: Any) -> None:
    """The State message has another name in the descriptor set."""
    described.environment.state_message += "Old"


@description("columns_follow_the_messages")
def leaves_a_number_out_of_its_columns(described: Any) -> None:
    """A field of the observation that is no column is a number in the descriptor set."""
    files = descriptor_pb2.FileDescriptorSet.FromString(described.environment.descriptor_set)
    messages = [message for file in files.file for message in file.message_type]
    observation = next(message for message in messages if message.name == "ProbeObservation")
    field = next(field for field in observation.field if field.name == "blob")
    field.type = field.TYPE_UINT64
    described.environment.descriptor_set = files.SerializeToString()


@description("bounds_are_possible")
def has_no_room_between_its_bounds(described: Any) -> None:
    """The low of a column is above its high."""
    column(described.environment.session, "level").low = 6


@fault("answer", "bounds_are_possible", name="has_no_room_between_its_bounds")
def opens_with_no_room_between_its_bounds(talk: Any, request: Any, answer: Any) -> None:
    """So it is in Opened."""
    if answer.HasField("open"):
        column(answer.open.spec, "level").low = 6


@description("observations_keep_their_bounds")
def leaves_its_bounds(described: Any) -> None:
    """Describe says that a number between 0 and 1 is between 2 and 3."""
    found = column(described.environment.session, "ratio")
    found.low, found.high = 2, 3


@fault("answer", "observations_keep_their_bounds", name="leaves_its_bounds")
def opens_with_bounds_that_it_leaves(talk: Any, request: Any, answer: Any) -> None:
    """So does Opened."""
    if answer.HasField("open"):
        found = column(answer.open.spec, "ratio")
        found.low, found.high = 2, 3


@description("options_fit_their_types")
def has_a_default_of_another_type(described: Any) -> None:
    """The default of an integer option is text."""
    described.environment.options[0].default.text = "two"


@description("limits_are_limits")
def has_a_limit_of_zero(described: Any) -> None:
    """The limit on waiting clients is 0."""
    described.limits.waiting = 0


@fault("answer", "limits_are_limits", name="has_a_limit_of_zero")
def opens_with_a_limit_of_zero(talk: Any, request: Any, answer: Any) -> None:
    """So it is in Opened."""
    if answer.HasField("open"):
        answer.open.limits.waiting = 0


@description("open_sessions_are_counted")
def never_counts_its_sessions(described: Any) -> None:
    """open_sessions is always 0."""
    described.open_sessions = 0


@fault("Check", "health_says_serving")
def says_it_is_not_serving(request: bytes, answer: bytes) -> bytes:
    """The health service says NOT_SERVING."""
    return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING).SerializeToString()


@fault("answer", "opened_limits_are_those_described")
def opens_with_other_limits(talk: Any, request: Any, answer: Any) -> None:
    """Opened tells another limit on chunks than Describe."""
    if answer.HasField("open"):
        answer.open.limits.chunk += 1


@fault("answer", "opened_columns_are_those_described")
def opens_with_other_columns(talk: Any, request: Any, answer: Any) -> None:
    """Opened tells wider bounds of an observation than Describe."""
    if answer.HasField("open"):
        column(answer.open.spec, "ratio").high = 2


@fault("answer", "shards_cover_the_lanes")
def lists_shards_in_reverse(talk: Any, request: Any, answer: Any) -> None:
    """Opened lists shards of unequal size in reverse order."""
    if answer.HasField("open") and len({shard.lanes for shard in answer.open.shards}) > 1:
        shards = [session_pb2.Shard(first_lane=shard.first_lane, lanes=shard.lanes) for shard in answer.open.shards]
        del answer.open.shards[:]
        answer.open.shards.extend(reversed(shards))


@fault("request", "unknown_options_are_refused")
def ignores_options_that_it_does_not_know(talk: Any, request: Any) -> None:
    """An unknown option is dropped."""
    if request.HasField("open"):
        request.open.options.pop("no_such_option", None)


@fault("request", "options_of_a_wrong_type_are_refused")
def ignores_options_of_a_wrong_type(talk: Any, request: Any) -> None:
    """An option whose value is a list is dropped."""
    if request.HasField("open"):
        for name in [name for name, value in request.open.options.items() if value.HasField("list")]:
            del request.open.options[name]


@fault("answer", "payloads_have_the_size_of_their_columns")
def pads_its_payloads(talk: Any, request: Any, answer: Any) -> None:
    """Payloads of sessions without seeds are a byte too long."""
    if answer.payload and unseeded(talk):
        answer.payload += b"\0"


@fault("answer", "truth_values_are_0_or_1")
def says_yes_with_255(talk: Any, request: Any, answer: Any) -> None:
    """Truth values of observations without seeds are 255 instead of 1."""
    if not (request.HasField("step") and answer.payload and unseeded(talk)):
        return
    payload = bytearray(answer.payload)
    for spec, start, end in blocks([*OUTCOME, *talk.answers[0].open.spec.observation], 1)[len(OUTCOME) :]:
        if spec.dtype == array_pb2.DTYPE_BOOL:
            payload[start:end] = b"\xff" * (end - start)
    answer.payload = bytes(payload)


@fault("answer", "records_fit_their_specs")
def opens_records_with_another_shape(talk: Any, request: Any, answer: Any) -> None:
    """Opened tells another shape than records have."""
    if answer.HasField("open") and request.open.layout == session_pb2.LAYOUT_RECORDS:
        column(answer.open.spec, "grid").shape[:] = [3, 2]
