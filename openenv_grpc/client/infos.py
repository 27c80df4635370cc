"""The infos of several lanes as one dict of arrays, laid out as Gymnasium's vector environments lay them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
    for key, values in found.items():
        result[key], result[f"_{key}"] = _column(values, width), _mask(values, width)
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
