"""The infos of several lanes: read from answers, and as one dict of arrays, as Gymnasium's vector environments have it.

An environment tells much the same with every step: numbers. Those stay the columns that they came as until somebody
looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openenv_grpc.codec import values


class InfoRows(Sequence[dict[str, Any]]):
    """Infos that all have the same keys, and one kind of number for each: one mapping per row, made when looked at.

    Args:
        columns: By key the numbers of all rows, in parts.
        rows: How many rows there are.
    """

    def __init__(self, columns: Mapping[str, Sequence[Sequence[Any]]], rows: int) -> None:
        """Keep them; lengths and kinds are checked."""
        self._columns = columns
        self._count = rows

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{} for _ in range(self._count)]
        for key, parts in self._columns.items():
            for info, value in zip(rows, (value for part in parts for value in part), strict=True):
                info[key] = value
        return rows

    def __len__(self) -> int:
        """Number of rows."""
        return self._count

    def __getitem__(self, index: Any) -> Any:
        """One row's info, or a list of those of a slice."""
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        """Whether all infos are equal to those of another sequence."""
        return isinstance(other, Sequence) and self._rows == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """As a list."""
        return repr(self._rows)

    def laid_out(self) -> dict[str, Any]:
        """As `lay_out` lays them out."""
        found: dict[str, Any] = {}
        for key, parts in self._columns.items():
            found[key] = np.array([value for part in parts for value in part])
            found[f"_{key}"] = np.ones(self._count, np.bool_)
        return found


def read_infos(parts: Sequence[tuple[Any, int]]) -> Sequence[dict[str, Any]]:
    """The infos of answers, one after the other.

    Args:
        parts: `repeated InfoColumn` fields, each with its number of rows.

    Raises:
        InvalidArgument: A column's length is not the number of rows, or a value is malformed.
    """
    found = [_plain(part, rows) for part, rows in parts]
    first = found[0]
    if first is None or any(each is None or each.keys() != first.keys() for each in found[1:]):
        return [info for part, rows in parts for info in values.read_info(part, rows)]
    columns = {key: [each[key] for each in found if each is not None] for key in first}
    if any(type(column[0][0]) is not type(each[0]) for column in columns.values() for each in column[1:]):
        return [info for part, rows in parts for info in values.read_info(part, rows)]
    return InfoRows(columns, sum(rows for _, rows in parts))


def _plain(part: Any, rows: int) -> dict[str, Sequence[Any]] | None:
    """The columns of one answer by their keys, each a number for every row; None where there is anything else."""
    found: dict[str, Sequence[Any]] = {}
    for column in part:
        numbers = values.plain_numbers(column, rows)
        if numbers is None:
            return None
        found[column.key] = list(numbers)  # of its own: a part of a message keeps the whole of it
    return found if len(found) == len(part) else None


def vector_info(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The infos of all rows, laid out."""
    return infos.laid_out() if isinstance(infos, InfoRows) else lay_out(dict(enumerate(infos)), len(infos))


def lay_out(infos: Mapping[int, Mapping[str, Any]], width: int) -> dict[str, Any]:
    """One dict from one per row: per key an array of `width` values, and under `_key` a mask of the rows that have it.

    Numbers and truth values make an array of their type, arrays of one shape and dtype are stacked (both 0 where a row
    has none), mappings are laid out in turn, and anything else makes an array of objects (None where there is none).

    Args:
        infos: The infos by row.
        width: Number of rows.
    """
    found: dict[str, dict[int, Any]] = {}
    for row, info in infos.items():
        for key, value in info.items():
            found.setdefault(key, {})[row] = value
    result: dict[str, Any] = {}
    for key, column in found.items():
        result[key], result[f"_{key}"] = _column(column, width), _mask(column, width)
    return result


def with_finals(
    info: dict[str, Any], finals: Mapping[int, tuple[Any, Mapping[str, Any]]], width: int
) -> dict[str, Any]:
    """Add `final_obs` and `final_info` of the episodes that ended and were begun anew in the same step.

    Args:
        info: What `lay_out` made; the result.
        finals: Last observation and info by row; nothing is added when there are none.
        width: Number of rows.
    """
    if finals:
        observations = _objects({row: observation for row, (observation, _) in finals.items()}, width)
        info["final_obs"], info["_final_obs"] = observations, _mask(finals, width)
        infos = lay_out({row: final for row, (_, final) in finals.items()}, width)
        info["final_info"], info["_final_info"] = infos, _mask(finals, width)
    return info


def _mask(rows: Mapping[int, Any], width: int) -> NDArray[np.bool_]:
    mask = np.zeros(width, np.bool_)
    mask[[*rows]] = True
    return mask


def _column(values: Mapping[int, Any], width: int) -> Any:
    kinds = {type(value) for value in values.values()}
    kind = kinds.pop() if len(kinds) == 1 else object
    if issubclass(kind, Mapping):
        return lay_out(values, width)
    if kind in (bool, int, float) or issubclass(kind, np.number):
        column = np.zeros(width, kind)
        column[[*values]] = [*values.values()]
        return column
    if kind is np.ndarray and len({(array.dtype, array.shape) for array in values.values()}) == 1:
        return _stack(values, width)
    return _objects(values, width)


def _stack(values: Mapping[int, NDArray[Any]], width: int) -> NDArray[Any]:
    first = next(iter(values.values()))
    column = np.zeros((width, *first.shape), first.dtype)
    for row, array in values.items():
        column[row] = array
    return column


def _objects(values: Mapping[int, Any], width: int) -> NDArray[Any]:
    column = np.full(width, None, object)
    for row, value in values.items():
        column[row] = value
    return column
