"""The rows of an answer to reset or step, read in either layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from openenv_grpc.testing.case import Violation
from openenv_grpc.testing.messages import aligned, blocks, end_of, read_columns, value_of
from openenv_grpc.v1 import array_pb2, spec_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Row:
    """One row of an answer: an observation and how the step ended.

    Attributes:
        columns: Values of the observation's columns by name.
        rest: The observation's other fields, serialized.
    """

    columns: dict[str, NDArray[Any]]
    rest: bytes
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False

    @property
    def done(self) -> bool:
        """Whether the episode has ended."""
        return self.terminated or self.truncated

    @property
    def seen(self) -> tuple[Any, ...]:
        """The observation as something that can be compared."""
        return *((name, value.tobytes()) for name, value in self.columns.items()), self.rest

    @property
    def key(self) -> tuple[Any, ...]:
        """The whole row as something that can be compared."""
        return *self.seen, self.reward, self.terminated, self.truncated


def first_difference(first: Sequence[Row], second: Sequence[Row]) -> str | None:
    """Where two traces part, in words; None when they are equal."""
    for index, (one, two) in enumerate(zip(first, second, strict=False)):
        if one.key != two.key:
            names = [name for name, value in one.columns.items() if value.tobytes() != two.columns[name].tobytes()]
            names += ["its other fields"] if one.rest != two.rest else []
            names += [
                name for name in ("reward", "terminated", "truncated") if getattr(one, name) != getattr(two, name)
            ]
            return f"row {index} with another {', '.join(names)}"
    return None if len(first) == len(second) else f"{len(second)} rows instead of {len(first)}"


OUTCOME = [
    spec_pb2.ColumnSpec(name="reward", dtype=array_pb2.DTYPE_FLOAT64),
    spec_pb2.ColumnSpec(name="terminated", dtype=array_pb2.DTYPE_BOOL),
    spec_pb2.ColumnSpec(name="truncated", dtype=array_pb2.DTYPE_BOOL),
]


class Observations:
    """Reads the answers of one session.

    Args:
        message: The Observation class.
        columns: The session's observation columns, less those that were not asked for.
    """

    def __init__(self, message: Any, columns: Sequence[spec_pb2.ColumnSpec]) -> None:
        """Keep the columns in payload order."""
        self.columns = list(columns)
        self._message = message

    def size(self, rows: int, finals: int) -> int:
        """Bytes that a payload must have."""
        end = end_of([*OUTCOME, *self.columns], rows)
        tail = end_of(self.columns, finals)
        return aligned(end) + tail if tail else end

    def rows(self, transition: Any, payload: bytes, count: int) -> list[Row]:
        """The rows of an answer, in whichever layout it came. A payload that is too long is read all the same."""
        if transition.outcomes:
            records = [self.record(data) for data in transition.observations]
            ends = [(end.reward, end.terminated, end.truncated) for end in transition.outcomes]
            return [Row(*self._split(record), *end) for record, end in zip(records, ends, strict=True)]
        columns = read_columns([*OUTCOME, *self.columns], payload, 0, count)
        rewards, terminated, truncated = (columns.pop(column.name) for column in OUTCOME)
        rest = list(transition.observations) or [b""] * count
        return [
            Row(
                {name: column[row] for name, column in columns.items()},
                self._canonical(rest[row]),
                float(rewards[row]),
                bool(terminated[row]),
                bool(truncated[row]),
            )
            for row in range(count)
        ]

    def finals(self, transition: Any, payload: bytes, count: int) -> list[Row]:
        """The last observations of ended episodes, one per lane of `final_lanes`."""
        number = len(transition.final_lanes)
        if transition.outcomes:
            return [Row(*self._split(self.record(data))) for data in transition.final_observations]
        columns = read_columns(self.columns, payload, aligned(end_of([*OUTCOME, *self.columns], count)), number)
        rest = list(transition.final_observations) or [b""] * number
        return [
            Row({name: column[row] for name, column in columns.items()}, self._canonical(rest[row]))
            for row in range(number)
        ]

    def bytes_of(self, payload: bytes, count: int) -> list[tuple[spec_pb2.ColumnSpec, bytes]]:
        """Each column and its bytes as they came, those of the outcome first."""
        found = blocks([*OUTCOME, *self.columns], count)
        return [(column, payload[start:end]) for column, start, end in found]

    def record(self, data: bytes) -> Any:
        """One serialized Observation."""
        try:
            return self._message.FromString(data)
        except DecodeError as error:
            msg = f"a serialized {self._message.DESCRIPTOR.full_name}"
            raise Violation(msg, error) from None

    def _split(self, record: Any) -> tuple[dict[str, NDArray[Any]], bytes]:
        columns = {column.name: value_of(record, column) for column in self.columns}
        for column in self.columns:
            record.ClearField(column.name)
        return columns, record.SerializeToString(deterministic=True)

    def _canonical(self, data: bytes) -> bytes:
        """The same record, its map entries in a fixed order."""
        return self.record(data).SerializeToString(deterministic=True) if data else b""
