"""Writing the answer to reset and step: rows of results into a slot of the shard's memory, the rest into the header.

The environment is handed the very arrays that will be sent: a result whose arrays are those of `Rows.out` costs no
copy here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from openenv_grpc.codec import values
from openenv_grpc.codec.columns import REWARD, TERMINATED, TRUNCATED, TransitionLayout
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.scalars import number
from openenv_grpc.environment import StepResult
from openenv_grpc.errors import EnvironmentFailed, OpenEnvError, to_status
from openenv_grpc.specs import Layout

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_grpc.codec.schema import Field
    from openenv_grpc.specs import ArraySpec
    from openenv_grpc.v1 import session_pb2

_OUTCOME: dict[str, Any] = {REWARD: "d", TERMINATED: "?", TRUNCATED: "?"}


class JointMemory(NamedTuple):
    """Memory that all shards of a session write in, each the rows of its lanes.

    Attributes:
        map: It, writable.
        slot_bytes: Size of one slot.
        lanes: Lanes of the session.
        first: First row of this shard.
        rows: Its rows, one per lane.
    """

    map: Any
    slot_bytes: int
    lanes: int
    first: int
    rows: int


class TransitionWriter:
    """What is fixed about a session's answers: which fields, in which layout, in which memory.

    Args:
        records: The environment's records.
        specs: Columns of an observation.
        fields: Observation fields wanted; empty for all.
        layout: Columns or records.
        memory: The shard's memory, writable.
        slot_bytes: Size of one slot of it.

    Attributes:
        joint: Memory for answers of all lanes at once; None where there is none.
    """

    def __init__(
        self,
        records: RecordSet,
        specs: Mapping[str, ArraySpec],
        fields: Sequence[str],
        layout: Layout,
        memory: Any,
        slot_bytes: int,
    ) -> None:
        """Lay out the columns."""
        schema = records.observation
        self.records = records
        self.specs = specs
        self.wanted = [field for field in schema.fields if not fields or field.name in fields]
        self.columns = [field for field in self.wanted if field.column and layout is Layout.COLUMNS]
        self.named = [(field.name, field.attr, field) for field in self.columns]
        self.absent = {field.name for field in self.columns if specs[field.name].absent}
        self.rest = [field for field in self.wanted if field not in self.columns]
        self.in_columns = layout is Layout.COLUMNS
        self.layout = TransitionLayout({field.name: specs[field.name] for field in self.columns})
        self._memory = memory
        self._slot_bytes = slot_bytes
        self.joint: JointMemory | None = None
        self._cache: dict[Any, tuple[dict[str, NDArray[Any]], Sequence[Any], list[dict[str, NDArray[Any]]]]] = {}
        arrays = {} if self.in_columns else {field.name: specs[field.name] for field in self.rest if field.column}
        # A record is written as soon as its row is: one set of destinations serves all rows.
        self._scratch = {name: np.zeros(spec.shape, spec.dtype) for name, spec in arrays.items() if spec.shape}

    def size(self, rows: int, final_rows: int) -> int:
        """Bytes of a payload; none in record layout."""
        return self.layout.size(rows, final_rows) if self.in_columns else 0

    def begin(self, slot: int, rows: int, *, joint: bool = False) -> Rows:
        """Open a slot for so many rows, of joint memory if that is said."""
        if not self.in_columns:
            return Rows(self, slot, {}, (), [self._scratch] * rows)
        key = (slot, rows, joint)
        if key not in self._cache:
            if len(self._cache) >= 16:
                self._cache.clear()
            views = self.views(slot, rows, joint=joint)
            arrays = [field.name for field in self.columns if self.specs[field.name].shape]
            outcome = [views[name].view(np.uint8).data.cast(kind) for name, kind in _OUTCOME.items()]
            self._cache[key] = views, outcome, [{name: views[name][row] for name in arrays} for row in range(rows)]
        return Rows(self, slot, *self._cache[key])

    def views(self, slot: int, rows: int, *, joint: bool) -> dict[str, NDArray[Any]]:
        """All columns of a slot as arrays of shape (rows, …)."""
        if not joint or self.joint is None:
            return self.layout.main.views(self._memory, slot * self._slot_bytes, rows)
        memory = self.joint
        whole = self.layout.main.views(memory.map, slot * memory.slot_bytes, memory.lanes)
        return {name: view[memory.first : memory.first + memory.rows] for name, view in whole.items()}

    def move(self, source: tuple[int, bool], target: tuple[int, bool], rows: int, payload: int) -> None:
        """Copy an answer to another (slot, whether in joint memory), for a replay."""
        at = 0
        if source[1] or target[1]:
            here = self.views(source[0], rows, joint=source[1])
            for name, column in self.views(target[0], rows, joint=target[1]).items():
                column[...] = here[name]
            at = self.layout.final_offset(rows)
        begin, to = source[0] * self._slot_bytes, target[0] * self._slot_bytes
        if payload > at:
            self._memory[to + at : to + payload] = self._memory[begin + at : begin + payload]

    def write_final(self, slot: int, rows: int, finals: Sequence[Mapping[str, Any]]) -> None:
        """Put the last observations of ended episodes behind the main columns."""
        offset = slot * self._slot_bytes + self.layout.final_offset(rows)
        views = self.layout.final.views(self._memory, offset, len(finals))
        for index, final in enumerate(finals):
            for name, value in final.items():
                views[name][index] = value


class Rows:
    """The rows of one answer.

    Attributes:
        out: Destination arrays by field, one mapping per row.
    """

    def __init__(
        self,
        writer: TransitionWriter,
        slot: int,
        views: dict[str, NDArray[Any]],
        outcome: Sequence[Any],
        out: list[dict[str, NDArray[Any]]],
    ) -> None:
        """Begin with nothing written."""
        self.out = out
        self._writer = writer
        self._slot = slot
        self._views = views
        self._outcome = outcome  # reward, terminated, truncated: quicker to write to than arrays
        self._rest: list[bytes] = [b""] * len(out)
        self._infos: list[Mapping[str, Any] | None] = [None] * len(out)
        self._outcomes: list[tuple[float, bool, bool]] = [(0.0, False, False)] * len(out)
        self._failures: list[tuple[int, OpenEnvError]] = []
        self._finals: list[tuple[int, dict[str, Any], bytes, Mapping[str, Any]]] = []

    def put(self, row: int, result: Any) -> bool:
        """Write one result; whether it ends an episode is returned.

        Raises:
            EnvironmentFailed: The environment's result is not what its messages and specs say.
        """
        self.put_observation(row, result)
        try:
            reward, terminated, truncated = float(result.reward), bool(result.terminated), bool(result.truncated)
        except (TypeError, ValueError, OverflowError) as error:
            raise _no_outcome(result, error) from None
        if self._writer.in_columns:
            rewards, terminations, truncations = self._outcome
            rewards[row], terminations[row], truncations[row] = reward, terminated, truncated
        else:
            self._outcomes[row] = reward, terminated, truncated
        return terminated or truncated

    def put_observation(self, row: int, result: Any) -> None:
        """Write observation and info of one result, leaving reward and ends as they are."""
        writer = self._writer
        observation = result.observation if isinstance(result, StepResult) else None
        if getattr(observation, "MESSAGE", None) != writer.records.observation.full_name:
            msg = f"expected a StepResult with a {writer.records.observation.full_name}, got {result!r:.80}"
            raise EnvironmentFailed(
                msg,
                field="observation",
            )
        out = self.out[row]
        for name, attr, field in writer.named:
            value = getattr(observation, attr)
            target = out.get(name)
            if value is target and target is not None:  # the environment has written it where it belongs
                continue
            if not (name in writer.absent and getattr(value, "size", None) == 0):
                self._put_column(field, row, value, target)
        if writer.rest:
            given = {field.name: getattr(observation, field.attr) for field in writer.rest}
            self._rest[row] = self._encode(given)
        try:
            self._infos[row] = None if result.info is None else values.seal(result.info)
        except OpenEnvError as error:
            raise EnvironmentFailed(error.message, field=error.field) from None

    def _put_column(self, field: Field, row: int, value: Any, target: NDArray[Any] | None) -> None:
        spec = self._writer.specs[field.name]
        try:
            if target is None:
                self._views[field.name][row] = number(value, spec)
                return
        except OpenEnvError as error:
            raise EnvironmentFailed(error.message, field=f"observation.{field.name}") from None
        try:
            got = np.asarray(value)
        except (TypeError, ValueError) as error:
            msg = f"not an array: {error}"
            raise EnvironmentFailed(msg, field=f"observation.{field.name}") from None
        if got.size == 0 and spec.absent:
            return
        if got.dtype != spec.dtype or got.shape != spec.shape:
            msg = f"the environment gave {got.dtype}{list(got.shape)}, its spec says {spec.dtype}{list(spec.shape)}"
            raise EnvironmentFailed(
                msg,
                field=f"observation.{field.name}",
            )
        target[...] = got

    def _encode(self, given: Mapping[str, Any]) -> bytes:
        writer = self._writer
        try:
            message = writer.records.encode_fields(
                writer.records.observation.full_name, given, writer.rest, writer.specs
            )
        except OpenEnvError as error:
            raise EnvironmentFailed(error.message, field=f"observation.{error.field}") from None
        return message.SerializeToString()

    def set_final(self, row: int, lane: int) -> None:
        """Keep the row just written as the last one of an ended episode: the row will be overwritten."""
        observation = {field.name: np.copy(self._views[field.name][row]) for field in self._writer.columns}
        self._finals.append((lane, observation, self._rest[row], self._infos[row] or {}))

    def is_final(self, lane: int) -> bool:
        """Whether the lane's episode ended in this answer and was reset at once."""
        return any(final[0] == lane for final in self._finals)

    def fail(self, row: int, lane: int, error: OpenEnvError) -> None:
        """Give a lane up: its row becomes zeros."""
        self.clear(row)
        self._failures.append((lane, error))

    def clear(self, row: int) -> None:
        """Write zeros."""
        for view in self._views.values():
            view[row] = 0
        self._rest[row] = b""
        self._infos[row] = None
        self._outcomes[row] = (0.0, False, False)

    def finish(self, answer: session_pb2.Transition, lanes: int) -> int:
        """Fill in the header; the size of the payload is returned.

        Raises:
            OpenEnvError: All lanes failed at once; the first lane's error stands for all.
        """
        if self._failures and len(self._failures) == lanes and not answer.chunk:
            raise self._failures[0][1]
        for lane, error in self._failures:
            answer.failures.add(lane=lane, status=to_status(error))
        if self._writer.rest:
            answer.observations.extend(self._rest)
        if not self._writer.in_columns:
            for reward, terminated, truncated in self._outcomes:
                answer.outcomes.add(reward=reward, terminated=terminated, truncated=truncated)
        _write_info(self._infos, answer.info)
        if self._finals:
            self._finish_finals(answer)
        return self._writer.size(len(self.out), len(self._finals))

    def _finish_finals(self, answer: session_pb2.Transition) -> None:
        answer.final_lanes.extend(final[0] for final in self._finals)
        if self._writer.rest:
            answer.final_observations.extend(final[2] for final in self._finals)
        if self._writer.in_columns:
            self._writer.write_final(self._slot, len(self.out), [final[1] for final in self._finals])
        _write_info([final[3] for final in self._finals], answer.final_info)


def _no_outcome(result: StepResult[Any], error: Exception) -> EnvironmentFailed:
    """Which of a result's outcomes is no number and no truth value."""
    for name in ("terminated", "truncated"):
        try:
            bool(getattr(result, name))
        except (TypeError, ValueError) as found:
            return EnvironmentFailed(str(found), field=name)
    return EnvironmentFailed(str(error), field="reward")


def _write_info(infos: Sequence[Mapping[str, Any] | None], target: Any) -> None:
    try:
        values.info_columns(infos, target)
    except OpenEnvError as error:
        raise EnvironmentFailed(error.message, field=error.field) from None
