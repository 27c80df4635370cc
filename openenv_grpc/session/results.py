"""What a client makes of answers: typed results from one lane's row, or columns merged from all shards."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from openenv_grpc.codec import values
from openenv_grpc.codec.arrays import stack
from openenv_grpc.codec.columns import REWARD, TERMINATED, TRUNCATED, TransitionLayout
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.rows import RowLayout
from openenv_grpc.codec.scalars import to_enum
from openenv_grpc.codec.schema import Kind
from openenv_grpc.environment import StepResult
from openenv_grpc.errors import MalformedFrame, OpenEnvError, from_status
from openenv_grpc.session.infos import read_infos, vector_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_grpc.codec.frame import Frame
    from openenv_grpc.specs import ArraySpec

ColumnsT = TypeVar("ColumnsT")


@dataclass(frozen=True)
class VectorResult(Generic[ColumnsT]):
    """What `reset` and `step` of N lanes answer. It unpacks like Gymnasium's five-tuple.

    Attributes:
        observation: Columns of the observation: each field an array of shape (N, …), or (K, N, …) for a chunk of K
            actions; fields that are no arrays or numbers are lists of N. Arrays are read-only.
        reward: float64 (N,) or (K, N).
        terminated: bool, like reward.
        truncated: bool, like reward.
        info: Gymnasium's vector info: per key an array of N values and under `_key` a mask of the lanes that have it;
            arrays of one shape are stacked, mappings laid out in turn. Empty for chunks; see `infos`.
        infos: One mapping per row (chunks: all lanes of the first action first).
        lanes: int64 (N,), the lane of each column of the result.
        executed: int64 (N,), actions executed per lane, for chunks; None otherwise.
        final_lanes: int64 (M,), lanes whose episode ended in this step and were reset at once (SAME_STEP).
        final_observation: Columns of M rows, their last observations; None when M is 0.
        final_infos: Their last infos.
    """

    observation: ColumnsT
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: Sequence[Mapping[str, Any]]
    lanes: NDArray[np.int64]
    executed: NDArray[np.int64] | None = None
    final_lanes: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    final_observation: ColumnsT | None = None
    final_infos: Sequence[Mapping[str, Any]] = ()

    @property
    def done(self) -> NDArray[np.bool_]:
        """bool, like reward: whether each lane's episode has ended, one way or the other."""
        return self.terminated | self.truncated

    @property
    def info(self) -> dict[str, Any]:
        """Infos as Gymnasium's vector environments give them."""
        return {} if self.executed is not None else vector_info(self.infos)

    def __iter__(self) -> Iterator[Any]:
        """Yield observation, reward, terminated, truncated, info."""
        yield from (self.observation, self.reward, self.terminated, self.truncated, self.info)


@dataclass
class Rows:
    """One shard's answer, read: columns by field, the rest per row."""

    columns: dict[str, NDArray[Any]]
    rest: list[dict[str, Any]]
    infos: list[dict[str, Any]]
    finals: dict[str, NDArray[Any]]
    final_rest: list[dict[str, Any]]
    final_infos: list[dict[str, Any]]
    final_lanes: list[int]
    failures: dict[int, OpenEnvError]
    chunk: int
    executed: list[int]


class TransitionReader:
    """What is fixed about a session's answers, as the client sees it.

    Args:
        records: The environment's records.
        specs: Columns of an observation.
        fields: Observation fields asked for; empty for all.

    Attributes:
        layout: Where the columns of an answer lie.
    """

    def __init__(self, records: RecordSet, specs: Mapping[str, ArraySpec], fields: Sequence[str]) -> None:
        """Lay out the columns."""
        schema = records.observation
        wanted = [field for field in schema.fields if not fields or field.name in fields]
        self.records = records
        self.specs = specs
        self._columns = [field for field in wanted if field.column]
        self._rest = [field for field in wanted if not field.column]
        missing = [field for field in schema.fields if field not in wanted]
        self._missing = {field.attr: field.neutral() for field in missing}
        self._missing_fields = missing
        self.layout = TransitionLayout({field.name: specs[field.name] for field in self._columns})
        self._row = RowLayout(self.layout.main)
        self._numbers = [field for field in self._columns if not specs[field.name].shape]
        self._arrays = [field for field in self._columns if specs[field.name].shape]
        self._class = records.classes[schema.full_name]
        self._columns_class = records.columns[schema.full_name]
        self._enums = {
            field.name: records.enums[str(field.type_name)] for field in self._columns if field.kind is Kind.ENUM
        }

    def read(self, answer: Any, frame: Frame, lanes: Sequence[int], chunk: int) -> Rows:
        """One shard's answer to a request for so many actions of these lanes, its sizes checked.

        Raises:
            MalformedFrame: The answer is not what the session agreed on.
        """
        rows = max(chunk, 1) * len(lanes)
        finals = len(answer.final_lanes)
        _check_shape(answer, lanes, chunk)
        try:
            columns, final_columns = self.layout.read(frame, rows, finals)
            return Rows(
                columns=columns,
                rest=self._read_rest(answer.observations, rows),
                infos=values.read_info(answer.info, rows),
                finals=final_columns,
                final_rest=self._read_rest(answer.final_observations, finals),
                final_infos=values.read_info(answer.final_info, finals),
                final_lanes=list(answer.final_lanes),
                failures={failure.lane: from_status(failure.status) for failure in answer.failures},
                chunk=answer.chunk,
                executed=list(answer.executed),
            )
        except OpenEnvError as error:
            raise MalformedFrame(error.message, field=error.field) from None

    def plain(self, answer: Any, frame: Frame) -> StepResult[Any] | None:
        """The result of one lane's one step, where the answer has nothing but it. `read` and `record` say the same.

        Raises:
            MalformedFrame: As `read`.
        """
        if frame.size != self._row.size or not self._row.plain or _has_more(answer):
            return None
        numbers = self._row.unpack(frame.data, frame.offset)
        if numbers is None:
            return None
        reward, terminated, truncated, *rest = numbers
        fields = dict(self._missing)
        for field, value in zip(self._numbers, rest, strict=True):
            fields[field.attr] = to_enum(self._enums[field.name], value) if field.name in self._enums else value
        views = self._row.views(frame.data, frame.offset)
        for field in self._arrays:
            fields[field.attr] = views[field.name]
        try:
            for row in self._read_rest(answer.observations, 1):
                fields.update({field.attr: row[field.name] for field in self._rest})
            (info,) = values.read_info(answer.info, 1)
        except OpenEnvError as error:
            raise MalformedFrame(error.message, field=error.field) from None
        return StepResult(self._class(**fields), reward, terminated, truncated, info)

    def together(
        self, answers: Sequence[Any], frames: Sequence[Frame], counts: Sequence[int], lanes: Sequence[int]
    ) -> VectorResult[Any] | None:
        """The result of one step of these lanes, where their answers are plain and need not be put together.

        That is one shard's answer, or those of all lanes in joint memory. `read` and `merge` say the same.

        Args:
            answers: One per shard.
            frames: The same, with what came beside them.
            counts: Lanes of each.
            lanes: All of them.

        Raises:
            MalformedFrame: As `read`.
        """
        if any(map(_has_more, answers)) or any(
            frame.size != self.layout.main.size(count) for frame, count in zip(frames, counts, strict=True)
        ):
            return None
        try:
            columns = self._columns_together(frames, counts)
            if columns is None:
                return None
            parts = list(zip(answers, counts, strict=True))
            rest = [row for answer, count in parts for row in self._read_rest(answer.observations, count)]
            infos = read_infos([(answer.info, count) for answer, count in parts])
        except OpenEnvError as error:
            raise MalformedFrame(error.message, field=error.field) from None
        for column in columns.values():
            column.flags.writeable = False
        return VectorResult(
            self._columns_of(columns, rest),
            columns[REWARD],
            columns[TERMINATED],
            columns[TRUNCATED],
            infos,
            np.array(lanes, np.int64),
        )

    def _columns_together(self, frames: Sequence[Frame], counts: Sequence[int]) -> dict[str, NDArray[Any]] | None:
        """Columns of all rows without a copy; None where they lie in several places."""
        if len(frames) == 1:
            return self.layout.read(frames[0], counts[0], 0)[0]
        joint, main = frames[0].joint, self.layout.main
        if joint is None or sum(counts) != joint.lanes:
            return None
        if any(frame.joint is None or frame.joint.buffer is not joint.buffer for frame in frames):
            return None
        return main.read(joint.buffer, 0, main.size(joint.lanes), joint.lanes)

    def _read_rest(self, data: Sequence[bytes], rows: int) -> list[dict[str, Any]]:
        if not self._rest:
            return []
        if len(data) != rows:
            msg = f"{len(data)} for {rows} rows"
            raise MalformedFrame(msg, field="observations")
        name = self.records.observation.full_name
        return [self.records.decode_fields(self.records.parse(name, item), self._rest) for item in data]

    def record(self, rows: Rows, row: int) -> StepResult[Any]:
        """One row as a result with a record."""
        fields = dict(self._missing)
        for field in self._columns:
            column = rows.columns[field.name]
            if column.ndim > 1:
                fields[field.attr] = column[row]
            else:
                value = column[row].item()
                fields[field.attr] = to_enum(self._enums[field.name], value) if field.name in self._enums else value
        if self._rest:
            fields.update({field.attr: rows.rest[row][field.name] for field in self._rest})
        return StepResult(
            self._class(**fields),
            rows.columns[REWARD].item(row),
            rows.columns[TERMINATED].item(row),
            rows.columns[TRUNCATED].item(row),
            rows.infos[row],
        )

    def merge(self, parts: Sequence[Rows], lanes: Sequence[int], chunk: int) -> VectorResult[Any]:
        """The answers of all shards as one result. Copies arrays only where there are several shards."""
        columns = {name: self._join(parts, name, chunk) for name in parts[0].columns}
        final_lanes = [lane for part in parts for lane in part.final_lanes]
        final_observation = None
        if final_lanes:
            with_finals = [part for part in parts if part.final_lanes]
            joined = {
                field.name: stack([part.finals[field.name] for part in with_finals], 0) for field in self._columns
            }
            final_observation = self._columns_of(joined, [rest for part in parts for rest in part.final_rest])
        return VectorResult(
            observation=self._columns_of(columns, _interleave([part.rest for part in parts], chunk)),
            reward=columns[REWARD],
            terminated=columns[TERMINATED],
            truncated=columns[TRUNCATED],
            infos=_interleave([part.infos for part in parts], chunk),
            lanes=np.array(lanes, np.int64),
            executed=np.array([count for part in parts for count in part.executed], np.int64) if chunk else None,
            final_lanes=np.array(final_lanes, np.int64),
            final_observation=final_observation,
            final_infos=[info for part in parts for info in part.final_infos],
        )

    def _join(self, parts: Sequence[Rows], name: str, chunk: int) -> NDArray[Any]:
        arrays = [part.columns[name] for part in parts]
        if chunk:
            arrays = [array.reshape(chunk, len(array) // chunk, *array.shape[1:]) for array in arrays]
        return stack(arrays, 1 if chunk else 0)

    def _columns_of(self, columns: Mapping[str, NDArray[Any]], rest: Sequence[Mapping[str, Any]]) -> Any:
        fields: dict[str, Any] = {field.attr: columns[field.name] for field in self._columns}
        fields.update({field.attr: [row[field.name] for row in rest] for field in self._rest})
        for field in self._missing_fields:
            fields[field.attr] = np.empty(0, field.spec.dtype) if field.column and field.spec else []
        return self._columns_class(**fields)


def _has_more(answer: Any) -> bool:
    """Whether an answer holds more than one lane's one step: a chunk, a failure, a last observation."""
    return bool(answer.chunk or answer.executed or answer.failures or answer.final_lanes)


def _check_shape(answer: Any, lanes: Sequence[int], chunk: int) -> None:
    """Everything an answer says of its own shape must follow from the request."""
    if answer.chunk != chunk:
        msg = f"{answer.chunk}, {chunk} was asked for"
        raise MalformedFrame(msg, field="chunk")
    for name, named in (
        ("failures", [failure.lane for failure in answer.failures]),
        ("final_lanes", answer.final_lanes),
    ):
        if len({*named}) != len(named) or not {*named} <= {*lanes}:
            msg = f"{list(named)[:8]} are not lanes of the request"
            raise MalformedFrame(msg, field=name)
    failed = {failure.lane for failure in answer.failures}
    executed = answer.executed
    good = len(executed) == (len(lanes) if chunk else 0) and all(
        count <= chunk and (count or lane in failed) for lane, count in zip(lanes, executed, strict=False)
    )
    if not good:
        msg = f"{list(executed)[:8]} for {len(lanes)} lanes and {chunk} actions"
        raise MalformedFrame(msg, field="executed")


def _interleave(parts: Sequence[Sequence[Any]], chunk: int) -> list[Any]:
    """Rows of all shards in order of lanes; with chunks, action by action."""
    if not chunk or len(parts) == 1:
        return [row for part in parts for row in part]
    widths = [len(part) // chunk for part in parts]
    return [
        row
        for step in range(chunk)
        for part, width in zip(parts, widths, strict=True)
        for row in part[step * width : (step + 1) * width]
    ]
