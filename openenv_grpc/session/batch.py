"""A shard whose lanes one object steps: the protocol of `shard.py`, answered by columns.

The law of this file: what a client sees is what single lanes would have answered, except that lanes which are stepped
together fail together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.environment import BatchResult
from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, OpenEnvError, Unsupported
from openenv_grpc.session.batch_actions import ColumnReader
from openenv_grpc.session.batch_rows import BatchRows, index_of
from openenv_grpc.session.rules import LaneState
from openenv_grpc.session.shard import Interrupted, Lane, ShardCore, log
from openenv_grpc.specs import AutoresetMode

NO_LANES = BatchResult.final_lanes
"""What a result has where no lane was reset."""

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from openenv_grpc.codec.frame import Frame
    from openenv_grpc.environment import Batch
    from openenv_grpc.session.shard import Alarm, ShardConfig
    from openenv_grpc.session.transition import TransitionWriter
    from openenv_grpc.specs import ArraySpec


class BatchLane:
    """What is left of an environment where a batch does the stepping: one lane's state, snapshots and specs.

    Args:
        batch: It steps all lanes of the shard.
        number: This lane's number within the batch.
    """

    def __init__(self, batch: Batch[Any], number: int) -> None:
        """Keep both."""
        self.batch = batch
        self._number = number

    def state(self) -> Any:
        """The lane's state."""
        return self.batch.state(self._number)

    def save(self) -> bytes:
        """The lane's snapshot, where the batch has them."""
        data: bytes = self.batch.save(self._number)  # type: ignore[attr-defined]
        return data

    def load(self, data: bytes) -> None:
        """Put the lane back to where `save` was called, where the batch has snapshots."""
        self.batch.load(self._number, data)  # type: ignore[attr-defined]

    def close(self) -> None:
        """Close the batch, once."""
        if self._number == 0:
            self.batch.close()

    def action_spec(self) -> Mapping[str, ArraySpec]:
        """Specs of action fields."""
        return self.batch.action_spec()

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        """Specs of observation fields."""
        return self.batch.observation_spec()


class BatchCore(ShardCore):
    """Answers the requests of a shard whose lanes are `BatchLane`s of one batch, which are all of its lanes."""

    def __init__(self, config: ShardConfig, lanes: Sequence[Lane], writer: TransitionWriter, alarm: Alarm) -> None:
        """Begin before the first request."""
        super().__init__(config, lanes, writer, alarm)
        self._columns = ColumnReader(config.records, config.spec.action)

    @property
    def _batch(self) -> Batch[Any]:
        batch: Batch[Any] = self._lanes[0].environment.batch
        return batch

    def _set_deadline(self, moment: float) -> None:
        self._batch.deadline = moment

    def _begin(self, slot: int, rows: int, *, whole: bool) -> BatchRows:
        return BatchRows.over(super()._begin(slot, rows, whole=whole))

    def _read_actions(self, actions: Sequence[bytes], frame: Frame, rows: int) -> dict[str, Any]:
        return self._columns.read(actions, frame, rows)

    def _reset_lanes(
        self, rows: BatchRows, lanes: Sequence[Lane], seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        reset = partial(self._batch.reset, seeds=seeds, options=options)
        self._run(rows, range(len(lanes)), lanes, reset, same=False)

    def _play(self, rows: BatchRows, lanes: Sequence[Lane], actions: dict[str, Any], count: int) -> list[int]:
        """Step lanes through their actions, all that have not ended at once; how many each one executed is returned."""
        self._refuse_parts(lanes, count)
        width, same = len(lanes), self._config.mode is AutoresetMode.SAME_STEP
        if count == 1:
            done = self._run(rows, range(width), lanes, partial(self._batch.step, actions=actions), same=same)
            return [int(done is not None)] * width
        executed = [0] * width
        going: Sequence[int] = range(width)
        for step in range(count):
            at: Sequence[int] = range(step * width, (step + 1) * width)
            if len(going) < width:
                at = [step * width + column for column in going]
            step_them = partial(self._batch.step, actions=_take(actions, at, width * count))
            ended = self._run(rows, at, [lanes[column] for column in going], step_them, same=same)
            if ended is None:
                break
            for column in going:
                executed[column] += 1
            if ended.any():
                going = [column for column, over in zip(going, ended.tolist(), strict=True) if not over]
            if not going:
                break
        for column, steps in enumerate(executed):
            for skipped in range(max(steps, 1), count):
                rows.clear(skipped * width + column)
        return executed

    def _refuse_parts(self, lanes: Sequence[Lane], count: int) -> None:
        if self._batch.partial_steps or len(self._lanes) == 1:
            return
        first, last = self._lanes[0].index, self._lanes[-1].index
        remedy = "or open the session with a shard for each lane"
        if len(lanes) < len(self._lanes):
            msg = f"this environment steps the lanes of a shard together: step all of {first}..{last}, {remedy}"
            raise Unsupported(msg, field="step.lanes")
        if count > 1:
            msg = f"lanes {first}..{last} are stepped together and may end one by one: ask for single steps, {remedy}"
            raise Unsupported(msg, field="step.chunk")

    def _run(
        self, rows: BatchRows, at: Sequence[int], lanes: Sequence[Lane], call: Callable[[list[int]], Any], *, same: bool
    ) -> NDArray[np.bool_] | None:
        """Have the batch reset or step lanes, their answers written into rows `at`.

        With `same`, lanes whose episode ends have begun another one.

        Returns:
            bool (n,): whose episode has ended; None when the lanes failed.
        """
        first = self._lanes[0].index
        numbers = [lane.index - first for lane in lanes]
        self._batch.out = out = rows.destinations(at)
        try:
            result = self._call_batch(lanes, call, numbers)
            ended = rows.put_batch(at, result, out)
            over = ended.tolist()
            finals = [number for number, final in zip(numbers, over, strict=True) if final] if same else []
            if finals or result.final_lanes is not NO_LANES:
                self._put_finals(rows, result, finals)
        except OpenEnvError as error:
            for row, lane in zip(at, lanes, strict=True):
                rows.fail(row, lane.index, error)
            return None
        for lane, done in zip(lanes, over, strict=True):
            lane.state = LaneState.DONE if done and not same else LaneState.RUNNING
        return ended

    def _put_finals(self, rows: BatchRows, result: BatchResult, numbers: list[int]) -> None:
        given: Any = result.final_lanes
        if not isinstance(given, Sequence | np.ndarray) or list(map(_whole, given)) != numbers:
            msg = f"{given!r:.80}, but the lanes whose episode ended and which were to be reset are {numbers}"
            raise EnvironmentFailed(msg, field="final_lanes")
        if numbers:
            rows.put_finals([self._lanes[number].index for number in numbers], result)

    def _call_batch(self, lanes: Sequence[Lane], function: Callable[..., Any], numbers: list[int]) -> Any:
        """Call the batch; whatever it raises becomes one of our errors, and an interruption is one of all the lanes."""
        try:
            return self._alarm.call(function, numbers)
        except Interrupted:
            for lane in lanes:
                lane.state = LaneState.INTERRUPTED
            msg = f"lanes {_names(lanes)}, stepped together, ran out of time and were interrupted; call reset()"
            raise DeadlineExceeded(msg) from None
        except OpenEnvError:
            raise
        except Exception as error:
            log.exception("the batch of lanes %s raised", _names(lanes))
            name = type(error).__name__
            msg = f"{name}: {str(error)[:2000]}"
            raise EnvironmentFailed(msg, metadata={"exception": name, "lanes": _names(lanes)}) from error


def _whole(number: Any) -> int | None:
    return int(number) if isinstance(number, int | np.integer) else None


def _names(lanes: Sequence[Lane]) -> str:
    return ", ".join(str(lane.index) for lane in lanes)


def _take(columns: Mapping[str, Any], at: Sequence[int], rows: int) -> Mapping[str, Any]:
    """The rows `at` of so many, in columns that are arrays or lists."""
    if len(at) == rows:
        return columns
    return {
        name: [column[row] for row in at] if isinstance(column, list) else column[index_of(at)]
        for name, column in columns.items()
    }
