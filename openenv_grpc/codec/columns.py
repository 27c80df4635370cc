"""Columns ⇄ payload: where each column of a batch lies, as numpy views.

The rule of the layout is the .proto's (session.proto): every column is one C-ordered block of rows × shape that
begins at the next multiple of 64 bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec.arrays import BOOL, cast, check_bounds, read_bools, view
from openenv_grpc.codec.frame import Frame, Joint, aligned
from openenv_grpc.errors import MalformedFrame, OpenEnvError
from openenv_grpc.specs import ArraySpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

REWARD, TERMINATED, TRUNCATED = "@reward", "@terminated", "@truncated"
"""Names of the columns in front of an observation's own; no field can have them."""
OUTCOME = {REWARD: ArraySpec(np.float64), TERMINATED: ArraySpec(np.bool_), TRUNCATED: ArraySpec(np.bool_)}


class ColumnLayout:
    """Offsets and sizes of a fixed list of columns, for any number of rows.

    Args:
        specs: Column specs by name, in payload order, every axis known.
    """

    def __init__(self, specs: Mapping[str, ArraySpec]) -> None:
        """Keep the columns; names are the caller's."""
        self.specs = dict(specs)
        self.blocks = lru_cache(maxsize=64)(self._blocks)

    def _blocks(self, rows: int) -> tuple[tuple[tuple[str, np.dtype[Any], tuple[int, ...], int], ...], int]:
        """(name, dtype, shape with rows, offset) of each column, and the size of them all."""
        blocks, end = [], 0
        for name, spec in self.specs.items():
            start = aligned(end)
            blocks.append((name, spec.dtype, (rows, *spec.shape), start))
            if spec.nbytes:
                end = start + rows * spec.nbytes
        return tuple(blocks), end

    def size(self, rows: int) -> int:
        """Bytes of a payload of so many rows."""
        return self.blocks(rows)[1]

    def views(self, buffer: Any, offset: int, rows: int) -> dict[str, NDArray[Any]]:
        """All columns as arrays of shape (rows, …) over a buffer; read-only where the buffer is. No copy."""
        return {name: view(buffer, dtype, shape, offset + start) for name, dtype, shape, start in self.blocks(rows)[0]}

    def read(self, buffer: Any, offset: int, size: int, rows: int) -> dict[str, NDArray[Any]]:
        """Like `views`, of a payload that came from a peer: its size must be right and its truth values must be 0 or 1.

        Raises:
            MalformedFrame: `field` is payload, or names the column.
        """
        want = self.size(rows)
        if size != want:
            msg = f"{size} bytes, expected {want} for {rows} rows"
            raise MalformedFrame(msg, field="payload")
        return self._checked(self.views(buffer, offset, rows), copied=not isinstance(buffer, bytes))

    def read_part(self, joint: Joint) -> dict[str, NDArray[Any]]:
        """Like `read`, of some rows of columns in joint memory.

        Raises:
            MalformedFrame: As `read`.
        """
        rows = slice(joint.rows.start, joint.rows.stop)
        whole = self.views(joint.buffer, 0, joint.lanes)
        return self._checked({name: view[rows] for name, view in whole.items()}, copied=True)

    def _checked(self, columns: dict[str, NDArray[Any]], *, copied: bool) -> dict[str, NDArray[Any]]:
        """Columns with good truth values; with `copied`, numbers and truth values that nobody can change any more."""
        for name, spec in self.specs.items():
            if copied and (not spec.shape or spec.dtype == BOOL):
                columns[name] = columns[name].copy()
            if spec.dtype == BOOL:
                try:
                    read_bools(columns[name])
                except OpenEnvError as error:
                    raise MalformedFrame(error.message, field=name) from None
        return columns

    def check(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Check the bounds of all columns.

        Raises:
            InvalidArgument: `field` names the column.
        """
        for name, spec in self.specs.items():
            try:
                check_bounds(columns[name], spec)
            except OpenEnvError as error:
                raise error.under(name) from None

    def cast(self, values: Mapping[str, Any], lead: tuple[int, ...]) -> dict[str, NDArray[Any]]:
        """A caller's columns, each checked and of shape `lead + spec.shape`.

        Raises:
            InvalidArgument: `field` names the column.
        """
        columns = {}
        for name, spec in self.specs.items():
            try:
                columns[name] = (
                    np.empty(lead + spec.shape, spec.dtype) if spec.absent else cast(values[name], spec, lead=lead)
                )
            except OpenEnvError as error:
                raise error.under(name) from None
        return columns

    def join(self, columns: Mapping[str, NDArray[Any]], rows: int) -> bytes:
        """A payload from arrays of shape (rows, …). One copy."""
        blocks, size = self.blocks(rows)
        payload = bytearray(size)
        for name, dtype, shape, start in blocks:
            if size:
                view(payload, dtype, shape, start)[...] = columns[name]
        return bytes(payload)


class TransitionLayout:
    """The payload of an answer to reset and step: outcome, observation, then the last observations of ended episodes.

    Args:
        observation: Specs of the observation columns that travel, in payload order.
    """

    def __init__(self, observation: Mapping[str, ArraySpec]) -> None:
        """Lay out both blocks of columns."""
        self.main = ColumnLayout(OUTCOME | dict(observation))
        self.final = ColumnLayout(observation)

    def final_offset(self, rows: int) -> int:
        """Where the final rows begin."""
        return aligned(self.main.size(rows))

    def size(self, rows: int, finals: int) -> int:
        """Bytes of a payload with so many rows and final rows."""
        tail = self.final.size(finals) if finals else 0
        return self.final_offset(rows) + tail if tail else self.main.size(rows)

    def read(self, frame: Frame, rows: int, finals: int) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
        """Main and final columns of a payload that came from a peer.

        Raises:
            MalformedFrame: Its size is wrong, or a truth value is neither 0 nor 1.
        """
        want = self.size(rows, finals)
        if frame.size != want or (frame.joint is not None and len(frame.joint.rows) != rows):
            msg = f"{frame.size} bytes, expected {want} for {rows} rows"
            raise MalformedFrame(msg, field="payload")
        if frame.joint is None:
            main = self.main.read(frame.data, frame.offset, self.main.size(rows), rows)
        else:
            main = self.main.read_part(frame.joint)
        if not finals:
            return main, {}
        start, size = frame.offset + self.final_offset(rows), self.final.size(finals)
        tail = frame.data if isinstance(frame.data, bytes) else frame.data[start : start + size].tobytes()
        return main, self.final.read(tail, start if tail is frame.data else 0, size, finals)
