"""Writing the answer of a batch: columns of many rows at once, each checked against its spec.

A batch that has filled the columns it was handed costs no copy here; any other column costs one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec import values
from openenv_grpc.codec.arrays import check_bounds
from openenv_grpc.codec.columns import REWARD, TERMINATED, TRUNCATED
from openenv_grpc.codec.info import check_info, info_row, write_info
from openenv_grpc.environment import BatchResult
from openenv_grpc.errors import EnvironmentFailed, OpenEnvError
from openenv_grpc.session.transition import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from openenv_grpc.v1 import session_pb2


class BatchRows(Rows):
    """The rows of one answer, written many at a time. `at` are numbers of rows, increasing."""

    _info: Mapping[str, Any] | None = None
    """Info of all rows, as columns."""

    @classmethod
    def over(cls, rows: Rows) -> BatchRows:
        """The same rows, nothing written yet."""
        return cls(rows._writer, rows._slot, rows._views, rows._outcome, rows.out)

    def destinations(self, at: Sequence[int]) -> dict[str, NDArray[Any]]:
        """The observation's columns of rows that are neighbours, writable; of others there are none."""
        index = index_of(at)
        if not isinstance(index, slice):
            return {}
        return {field.name: self._views[field.name][index] for field in self._writer.columns}

    def put_batch(self, at: Sequence[int], result: Any, out: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
        """Write results into rows; bool (n,), whether each row's episode has ended, is returned.

        Args:
            at: n rows.
            result: What the batch answered.
            out: The destinations that it was handed.

        Raises:
            EnvironmentFailed: The result is not what the messages and specs say; `field` names what is wrong.
        """
        if not isinstance(result, BatchResult):
            msg = f"expected a BatchResult, got {result!r:.80}"
            raise EnvironmentFailed(msg, field="observation")
        index, count = index_of(at), len(at)
        reward = _outcome("reward", result.reward, count, "biuf").astype(np.float64, copy=False)
        terminated = _outcome("terminated", result.terminated, count, "b")
        truncated = _outcome("truncated", result.truncated, count, "b")
        columns = self._checked(result.observation, count, "observation")
        for field in self._writer.columns:
            if columns[field.name] is not out.get(field.name):
                self._views[field.name][index] = columns[field.name]
        if self._writer.rest:
            for row, record in zip(at, self._records(columns, count), strict=True):
                self._rest[row] = record
        self._put_info(at, result.info)
        if self._writer.in_columns:
            self._views[REWARD][index] = reward
            self._views[TERMINATED][index] = terminated
            self._views[TRUNCATED][index] = truncated
        else:
            ends = zip(reward.tolist(), terminated.tolist(), truncated.tolist(), strict=True)
            for row, end in zip(at, ends, strict=True):
                self._outcomes[row] = end
        ended: NDArray[np.bool_] = terminated | truncated
        return ended

    def put_finals(self, lanes: Sequence[int], result: BatchResult) -> None:
        """Keep the last observations of ended episodes.

        Args:
            lanes: Their lanes, numbered within the session.
            result: What the batch answered.

        Raises:
            EnvironmentFailed: As `put_batch`.
        """
        count = len(lanes)
        columns = self._checked(result.final_observation, count, "final_observation")
        records = self._records(columns, count) if self._writer.rest else [b""] * count
        infos = _infos(result.final_info, count, "final_info")
        for row, lane in enumerate(lanes):
            observation = {field.name: np.copy(columns[field.name][row]) for field in self._writer.columns}
            self._finals.append((lane, observation, records[row], infos[row]))

    def fail(self, row: int, lane: int, error: OpenEnvError) -> None:
        """Give a lane up, as for single lanes."""
        super().fail(row, lane, error)
        self._info = None  # of all rows, and a batch's lanes fail together

    def finish(self, answer: session_pb2.Transition, lanes: int) -> int:
        """Fill in the header, as for single lanes."""
        self._finals.sort(key=lambda final: final[0])  # the lanes of a chunk end in any order
        payload = super().finish(answer, lanes)
        if self._info is not None:
            try:
                write_info(self._info, len(self.out), answer.info)
            except OpenEnvError as error:
                raise EnvironmentFailed(error.message, field=error.field) from None
        return payload

    def _put_info(self, at: Sequence[int], info: Mapping[str, Any]) -> None:
        count = len(at)
        if count == len(self.out):
            _check_info(info, count, "info")
            self._info = info
        else:
            for row, found in zip(at, _infos(info, count, "info"), strict=True):
                self._infos[row] = found

    def _checked(self, columns: Any, count: int, path: str) -> dict[str, Any]:
        """All fields that are wanted: arrays of the right dtype and shape, lists of the right length."""
        if not isinstance(columns, Mapping):
            msg = f"the batch gave {type(columns).__name__}, expected a mapping of columns"
            raise EnvironmentFailed(msg, field=path)
        found: dict[str, Any] = {}
        for field in self._writer.wanted:
            name = f"{path}.{field.name}"
            spec = self._writer.specs.get(field.name)
            if spec is not None and spec.absent:
                found[field.name] = np.empty((count, *spec.shape), spec.dtype)
                continue
            if field.name not in columns:
                msg = "the batch gave no such column"
                raise EnvironmentFailed(msg, field=name)
            value = found[field.name] = columns[field.name]
            if spec is None:
                _check_length(value, count, name)
                continue
            shape = (count, *spec.shape)
            if not isinstance(value, np.ndarray) or value.dtype != spec.dtype or value.shape != shape:
                given = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
                msg = f"the batch gave {given}, its spec says {spec.dtype}{list(shape)}"
                raise EnvironmentFailed(msg, field=name)
            if not spec.shape:
                _check_numbers(value, spec, name)
        return found

    def _records(self, columns: Mapping[str, Any], count: int) -> list[bytes]:
        """What is no column of the answer, one record per row."""
        fields = self._writer.rest
        return [
            self._encode({field.name: _plain(columns[field.name][row]) for field in fields}) for row in range(count)
        ]


def index_of(at: Sequence[int]) -> slice | list[int]:
    """Row numbers as an index of an array: a slice, which makes no copy, where they are neighbours."""
    return slice(at[0], at[-1] + 1) if at[-1] - at[0] == len(at) - 1 else list(at)


def _outcome(name: str, value: Any, count: int, kinds: str) -> NDArray[Any]:
    if value is None:
        return np.zeros(count, np.bool_)
    if not isinstance(value, np.ndarray) or value.shape != (count,) or value.dtype.kind not in kinds:
        given = f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
        msg = f"the batch gave {given}, expected {'truth values' if kinds == 'b' else 'numbers'} of shape [{count}]"
        raise EnvironmentFailed(msg, field=name)
    return value


def _check_length(value: Any, count: int, name: str) -> None:
    if not isinstance(value, list | tuple) or len(value) != count:
        given = f"{len(value)} values" if isinstance(value, list | tuple) else type(value).__name__
        msg = f"the batch gave {given}, expected a list of {count}"
        raise EnvironmentFailed(msg, field=name)


def _check_numbers(value: NDArray[Any], spec: Any, name: str) -> None:
    try:
        check_bounds(value, spec)
    except OpenEnvError as error:
        raise EnvironmentFailed(error.message, field=name) from None


def _check_info(info: Any, count: int, path: str) -> None:
    try:
        check_info(info, count)
    except OpenEnvError as error:
        raise EnvironmentFailed(error.message, field=path + str(error.field).removeprefix("info")) from None


def _infos(info: Any, count: int, path: str) -> list[dict[str, Any]]:
    """One sealed info per row."""
    _check_info(info, count, path)
    try:
        return [values.seal(info_row(info, row)) for row in range(count)]
    except OpenEnvError as error:
        raise EnvironmentFailed(error.message, field=path + str(error.field).removeprefix("info")) from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
