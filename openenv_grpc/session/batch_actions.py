"""A step's actions as a batch takes them: columns by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.session.actions import ActionReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openenv_grpc.codec.frame import Frame
    from openenv_grpc.codec.records import RecordSet
    from openenv_grpc.specs import ArraySpec


class ColumnReader:
    """Reads the actions of a step request, checked as `ActionReader` checks them.

    Args:
        records: The environment's records.
        specs: Columns of an action.
    """

    def __init__(self, records: RecordSet, specs: Mapping[str, ArraySpec]) -> None:
        """Lay out the columns."""
        self._reader = ActionReader(records, specs)
        self._schema = records.action
        self._specs = specs
        self._has_payload = any(spec.nbytes for spec in specs.values())

    def read(self, actions: Sequence[bytes], frame: Frame, rows: int) -> dict[str, Any]:
        """Read-only arrays (rows, …), enums as their numbers; lists of `rows` values of what is no column.

        Raises:
            InvalidArgument, MalformedFrame: As `ActionReader.read`.
        """
        if frame.size == 0 and (actions or self._has_payload):
            return self._stack(self._reader.read(actions, frame, rows))
        columns = self._reader.read_payload(frame, rows)
        rest = self._reader.read_rest(actions, rows)
        return columns | {field.name: [row[field.attr] for row in rest] for field in self._schema.rest}

    def _stack(self, found: Sequence[Any]) -> dict[str, Any]:
        """Whole records as columns."""
        columns: dict[str, Any] = {}
        for field in self._schema.fields:
            values = [getattr(action, field.attr) for action in found]
            spec = self._specs.get(field.name)
            columns[field.name] = values
            if spec is not None:
                column = columns[field.name] = np.array(values, spec.dtype).reshape(len(found), *spec.shape)
                column.setflags(write=False)
        return columns
