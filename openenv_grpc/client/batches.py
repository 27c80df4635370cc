"""Rows of several lanes, from one answer or from parts of several, and how they are put together."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.session.infos import InfoRows, lay_out, with_finals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_grpc.client.shapes import ObservationShape
    from openenv_grpc.session.results import VectorResult


@dataclass(frozen=True)
class Batch:
    """Rows of some lanes, from one answer or from parts of several.

    Attributes:
        lanes: int64 (B,).
        columns: One mapping of columns per part; their rows follow each other.
        outcomes: Reward float64 (B,), terminated and truncated bool (B,).
        infos: One mapping per row.
        finals: Last observation and info of episodes that ended and were begun anew, by lane.
    """

    lanes: NDArray[np.int64]
    columns: list[dict[str, Any]]
    outcomes: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]
    infos: Sequence[Mapping[str, Any]]
    finals: Mapping[int, tuple[Any, Mapping[str, Any]]]

    def info(self, among: int | None = None) -> dict[str, Any]:
        """The infos as Gymnasium lays them out: one row per lane of this batch, or of all of so many lanes."""
        if among is None and not self.finals and isinstance(self.infos, InfoRows):
            return self.infos.laid_out()
        width = len(self.lanes) if among is None else among
        rows = dict(enumerate(self.lanes.tolist())) if among is None else {lane: lane for lane in self.lanes.tolist()}
        info = lay_out(dict(zip(rows, self.infos, strict=True)), width)
        finals = {row: self.finals[lane] for row, lane in rows.items() if lane in self.finals}
        return with_finals(info, finals, width)

    def copied(self) -> Batch:
        """The same in memory of its own."""
        reward, terminated, truncated = self.outcomes
        outcomes = reward.copy(), terminated.copy(), truncated.copy()
        return Batch(self.lanes, [copied(part) for part in self.columns], outcomes, self.infos, deepcopy(self.finals))

    def part(self, rows: slice) -> Batch:
        """Some of the rows of a batch from one answer, as views."""
        if rows == slice(0, len(self.lanes)):
            return self
        columns = {name: column[rows] for name, column in self.columns[0].items()}
        reward, terminated, truncated = self.outcomes
        outcomes = reward[rows], terminated[rows], truncated[rows]
        lanes = self.lanes[rows]
        finals = {lane: self.finals[lane] for lane in lanes.tolist() if lane in self.finals}
        return Batch(lanes, [columns], outcomes, self.infos[rows], finals)


def batch_of(result: VectorResult[Any], shape: ObservationShape) -> Batch:
    """A client's result as a batch; it takes no copy."""
    finals: dict[int, tuple[Any, Mapping[str, Any]]] = {}
    if len(result.final_lanes):
        columns = shape.columns(result.final_observation)
        for row, lane in enumerate(result.final_lanes.tolist()):
            finals[lane] = shape.row(columns, row), result.final_infos[row]
    outcomes = result.reward, result.terminated, result.truncated
    return Batch(result.lanes, [shape.columns(result.observation)], outcomes, result.infos, finals)


def join(parts: Sequence[Batch]) -> Batch:
    """Several batches, no lane in two of them, as one; only outcomes and lane numbers are copied."""
    if len(parts) == 1:
        return parts[0]
    reward, terminated, truncated = (
        np.concatenate(column) for column in zip(*(p.outcomes for p in parts), strict=True)
    )
    return Batch(
        np.concatenate([part.lanes for part in parts]),
        [columns for part in parts for columns in part.columns],
        (reward, terminated, truncated),
        [info for part in parts for info in part.infos],
        {lane: final for part in parts for lane, final in part.finals.items()},
    )


def copied(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The same columns in memory of their own."""
    return {name: column.copy() for name, column in columns.items()}


def patch(old: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    """Columns of all lanes, those of a batch from one answer replaced; the old ones stay as they are."""
    return {name: _patch(column, batch.columns[0][name], batch.lanes) for name, column in old.items()}


def _patch(old: Any, rows: Any, lanes: NDArray[np.int64]) -> Any:
    if not isinstance(old, np.ndarray):
        found = dict(zip(lanes.tolist(), rows, strict=True))
        return [found.get(lane, value) for lane, value in enumerate(old)]
    column = old.copy()
    column[lanes] = rows
    column.flags.writeable = False
    return column
