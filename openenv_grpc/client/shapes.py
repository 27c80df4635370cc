"""How a session's observations and actions look to Gymnasium: one bare array, or a dict of them by field name.

The law of this file: a message with exactly one field that is present in the session is that field's value; with any
other number it is a dict. Columns go through as they are; nothing is copied unless rows are joined.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import Message

from openenv_grpc.client.spaces import action_fields, observation_fields
from openenv_grpc.codec.records import Columns
from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from openenv_grpc.session.client import ClientCore
    from openenv_grpc.specs import ArraySpec


class ObservationShape:
    """The observations of one session.

    Args:
        core: The session.
    """

    def __init__(self, core: ClientCore) -> None:
        """Find the fields that are present."""
        fields = observation_fields(core)
        self.names = [field.attr for field in fields]
        self.specs = {field.attr: core.spec.observation[field.name] for field in fields if field.column}
        self.bare = len(fields) == 1

    def columns(self, observation: Any) -> dict[str, Any]:
        """The present fields of columns: arrays (N, …), or lists of N for what is no array or number."""
        return {name: getattr(observation, name) for name in self.names}

    def value(self, columns: Mapping[str, Any]) -> Any:
        """What a caller gets; as in Gymnasium, N texts are a tuple."""
        found = {name: tuple(column) if isinstance(column, list) else column for name, column in columns.items()}
        return found[self.names[0]] if self.bare else found

    def row(self, columns: Mapping[str, Any], row: int) -> Any:
        """The observation of one lane."""
        found = {name: column[row] for name, column in columns.items()}
        return found[self.names[0]] if self.bare else found

    def join(self, parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The rows of several columns, one after the other; a single part as it is."""
        if len(parts) == 1:
            return dict(parts[0])
        return {name: _join([part[name] for part in parts]) for name in self.names}

    def check_out(self, out: Any, rows: int) -> None:
        """Refuse destinations that observations of so many rows do not fit into.

        Raises:
            InvalidArgument: `field` names the array.
        """
        if out is None:
            return
        targets = {self.names[0]: out} if self.bare else out
        if not isinstance(targets, Mapping) or set(targets) != {*self.names}:
            msg = f"expected a dict of arrays with the keys {', '.join(self.names)}"
            raise InvalidArgument(msg, field="out")
        for name in self.names:
            _check_target(targets[name], self.specs.get(name), rows, "out" if self.bare else f"out.{name}")

    def fill(self, out: Any, parts: Sequence[Mapping[str, Any]]) -> Any:
        """Write the rows of these columns, one after the other, into the caller's own arrays, which are returned."""
        targets = {self.names[0]: out} if self.bare else out
        for name in self.names:
            np.concatenate([part[name] for part in parts], out=targets[name])
        return out


def _join(parts: Sequence[Any]) -> Any:
    if not isinstance(parts[0], np.ndarray):
        return [value for part in parts for value in part]
    joined = np.concatenate(parts)
    joined.flags.writeable = False
    return joined


def _check_target(target: Any, spec: ArraySpec | None, rows: int, field: str) -> None:
    if spec is None:
        msg = "only arrays and numbers can be written into an array; leave `out` away"
        raise InvalidArgument(msg, field=field)
    want = f"a writable numpy array of {spec.dtype}, shape {(rows, *spec.shape)}"
    if not isinstance(target, np.ndarray):
        msg = f"expected {want}, got {type(target).__name__}"
        raise InvalidArgument(msg, field=field)
    if target.dtype != spec.dtype or target.shape != (rows, *spec.shape) or not target.flags.writeable:
        kind = "writable" if target.flags.writeable else "read-only"
        msg = f"expected {want}, got a {kind} one of {target.dtype}, shape {target.shape}"
        raise InvalidArgument(msg, field=field)


class ActionShape:
    """The actions of one session.

    Args:
        core: The session.
    """

    def __init__(self, core: ClientCore) -> None:
        """Find the fields that are present."""
        schema, specs = core.records.action, core.spec.action
        fields = action_fields(core)
        self._only = fields[0].attr if len(fields) == 1 else None
        self._absent = {field.attr: specs[field.name] for field in schema.fields if field not in fields}
        self._plain = len(schema.fields) == len(fields) == 1
        self._truths = {field.attr for field in fields if field.column and specs[field.name].dtype.kind == "b"}

    def columns(self, actions: Any, rows: int) -> Any:
        """Actions of so many lanes in a form that `VectorEnvClient.step` takes, and whose rows `take` can pick.

        Args:
            actions: An array (N, …) or N values for an action's only field that is present, a dict of these for
                several; also columns, and lists of N records.
            rows: N.

        Raises:
            InvalidArgument: Not one action per lane.
        """
        if self._plain and not self._truths and isinstance(actions, np.ndarray):
            _check_rows(actions, rows, f"actions.{self._only}")
            return actions
        if isinstance(actions, Columns):
            actions = {field.name: getattr(actions, field.name) for field in dataclasses.fields(actions)}  # type: ignore[arg-type]
        elif not isinstance(actions, Mapping):
            actions = self._name(actions)
        if not isinstance(actions, Mapping):
            _check_rows(actions, rows, "actions")
            return actions
        columns = {name: self._column(name, column) for name, column in self._present(actions)}
        for name, column in columns.items():
            _check_rows(column, rows, f"actions.{name}")
        absent = {name: np.empty((rows, *spec.shape), spec.dtype) for name, spec in self._absent.items()}
        return absent | columns

    def single(self, action: Any) -> Any:
        """One lane's action in a form that `EnvClient.step` takes: see `columns`."""
        if self._plain and not self._truths:
            return action
        if not isinstance(action, Mapping):
            if self._only is None or _is_record(action):
                return action
            action = {self._only: action}
        given = {name: self._column(name, value) for name, value in self._present(action)}
        return {name: np.empty(spec.shape, spec.dtype) for name, spec in self._absent.items()} | given

    def _present(self, actions: Mapping[str, Any]) -> list[tuple[str, Any]]:
        return [(name, value) for name, value in actions.items() if name not in self._absent]

    def _name(self, actions: Any) -> Any:
        """Bare values under the name of the only field; lists of records as they are."""
        if not isinstance(actions, np.ndarray | Sequence):
            actions = np.asarray(actions)
        records = isinstance(actions, Sequence) and any(_is_record(item) for item in actions[:1])
        return actions if self._only is None or records else {self._only: actions}

    def _column(self, name: str, column: Any) -> Any:
        """Gymnasium's spaces sample truth values as the integers 0 and 1."""
        if name not in self._truths:
            return column
        array = np.asarray(column)
        plain = array.dtype.kind in "iu" and bool(((array == 0) | (array == 1)).all())
        return array.astype(np.bool_) if plain else column


def take(actions: Any, rows: NDArray[np.int64] | slice) -> Any:
    """Some rows of what `ActionShape.columns` made."""
    if isinstance(actions, Mapping):
        return {name: take(column, rows) for name, column in actions.items()}
    if isinstance(actions, np.ndarray) or isinstance(rows, slice):
        return actions[rows]
    return [actions[row] for row in rows]


def _is_record(item: Any) -> bool:
    return isinstance(item, Mapping | Message) or hasattr(item, "MESSAGE")


def _check_rows(actions: Any, rows: int, field: str) -> None:
    if isinstance(actions, np.ndarray):
        several = actions.ndim > 0
    else:
        several = isinstance(actions, Sequence) and not isinstance(actions, str | bytes)
    if not several or len(actions) != rows:
        got = len(actions) if several else f"one {type(actions).__name__}"
        msg = f"expected {rows} actions, one per lane, got {got}"
        raise InvalidArgument(msg, field=field)
