"""What passes between the client's core and its shells: the request to open, and calls on their way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openenv_grpc.codec import frame as frames
from openenv_grpc.codec import values
from openenv_grpc.codec.schema import resolve
from openenv_grpc.errors import InvalidArgument, MalformedFrame, OpenEnvError, SpecMismatch
from openenv_grpc.specs import PROTOCOL_REVISION, AutoresetMode, SessionSpec
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openenv_grpc.codec.records import RecordSet


@dataclass(slots=True)
class Call:
    """One verb on its way: the frames to send, and what has come back.

    Attributes:
        frames: Frames to send, one per shard concerned.
        shards: Those shards.
        budget_s: The longest the server may take for it.
        alone: Whether its caller does nothing but wait for it, and nobody waits for anything else of the session.
    """

    verb: str
    frames: list[bytes]
    budget_s: float
    finish: Callable[[list[Any]], Any]
    shards: list[int] = field(default_factory=list)
    parts: list[Any] = field(default_factory=list)
    missing: int = 0
    error: OpenEnvError | None = None
    alone: bool = False

    @property
    def done(self) -> bool:
        """Whether all shards have answered, or the session has ended."""
        return self.missing == 0 or self.error is not None

    def result(self) -> Any:
        """What the verb answers.

        Raises:
            OpenEnvError: What went wrong.
        """
        if self.error is not None:
            raise self.error
        return self.finish(self.parts)


@dataclass(frozen=True)
class OpenRequest:
    """What a client asks for when it opens a session."""

    options: Mapping[str, Any] = field(default_factory=dict)
    lanes: int = 1
    shards: int = 0
    autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP
    fields: Sequence[str] = ()
    wait_s: float = 0.0
    local_lane: bool = False

    def encode(self, spec_hash: str) -> bytes:
        """The session's first frame.

        Raises:
            InvalidArgument: An option's value cannot be sent.
        """
        request = session_pb2.SessionRequest()
        opening = request.open
        values.to_map(self.options, opening.options, "options")
        opening.lanes = _uint32(self.lanes, "num_envs")
        opening.shards = _uint32(self.shards, "shards")
        opening.autoreset_mode = int(self.autoreset_mode)  # type: ignore[assignment]
        opening.fields.extend(self.fields)
        opening.protocol_revision = PROTOCOL_REVISION
        opening.spec_hash = spec_hash
        opening.wait_ms = int(self.wait_s * 1000)
        opening.local_lane = self.local_lane
        return frames.encode(request)


def _uint32(value: Any, name: str) -> int:
    if not isinstance(value, int) or not 0 <= value < 1 << 32:
        msg = f"{value!r} is no count"
        raise InvalidArgument(msg, field=name)
    return value


def read_mode(number: int) -> AutoresetMode:
    """The autoreset mode that the server says is in force.

    Raises:
        MalformedFrame: There is no such mode.
    """
    try:
        return AutoresetMode(number or AutoresetMode.NEXT_STEP)
    except ValueError:
        msg = f"{number} is no mode"
        raise MalformedFrame(msg, field="open.autoreset_mode") from None


def check_shards(shards: Sequence[range], lanes: int) -> None:
    """The server's shards must cover the session's lanes, in order.

    Raises:
        MalformedFrame: They do not.
    """
    expected = 0
    for shard in shards:
        if shard.start != expected or not len(shard):
            msg = "the shards do not cover the lanes in order"
            raise MalformedFrame(msg, field="open.shards")
        expected = shard.stop
    if expected != lanes:
        msg = f"the server opened {expected} lanes, {lanes} were asked for"
        raise MalformedFrame(msg, field="open.shards")


def check_spec(records: RecordSet, spec: SessionSpec) -> None:
    """The server's columns must be those of the messages, dtypes and shapes, so that what it sends fits the types.

    Raises:
        MalformedFrame: They are not.
    """
    for schema, columns in ((records.action, spec.action), (records.observation, spec.observation)):
        expected = {column.name: column.spec.dtype for column in schema.columns if column.spec is not None}
        if {name: column.dtype for name, column in columns.items()} != expected or list(columns) != list(expected):
            msg = f"the columns are not those of {schema.full_name}"
            raise MalformedFrame(msg, field="open.spec")
        try:
            resolve(schema, columns, "open.spec")
        except SpecMismatch as error:
            raise MalformedFrame(error.message, field=error.field) from None
