"""Infos that are columns already, as a batch answers them: an array or a list per key, masks as in Gymnasium.

They go onto the wire as the columns that they are; `values.info_columns` does the same for one mapping per row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec import values
from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_LISTS = {"b": "booleans", "i": "integers", "u": "integers", "f": "numbers"}


def check_info(info: Any, rows: int) -> None:
    """Check the lengths of all columns and masks.

    Args:
        info: By name an array whose first axis is `rows`, or a list of `rows` values; under `_name` the mask of
            `name`, bool (rows,).
        rows: How many rows there are.

    Raises:
        InvalidArgument: `field` is info and the name of what is wrong.
    """
    if not isinstance(info, Mapping):
        msg = f"expected a mapping of columns, got {type(info).__name__}"
        raise InvalidArgument(msg, field="info")
    values.seal(dict.fromkeys(info, 0))  # checks the names
    for key, column in info.items():
        sized = column.ndim > 0 if isinstance(column, np.ndarray) else isinstance(column, list | tuple)
        if not sized or len(column) != rows:
            msg = f"expected an array or a list of {rows} values, got {column!r:.80}"
            raise InvalidArgument(msg, field=f"info.{key}")
        if _is_mask(key, info) and (getattr(column, "dtype", None) != np.bool_ or column.shape != (rows,)):
            msg = f"it masks {key[1:]}: expected a bool array of shape ({rows},)"
            raise InvalidArgument(msg, field=f"info.{key}")


def write_info(info: Mapping[str, Any], rows: int, columns: Any) -> None:
    """Write infos that `check_info` has passed into a `repeated InfoColumn` field.

    Raises:
        InvalidArgument: `field` is info and the key of the value that cannot be sent.
    """
    for key, column, mask in _columns(info):
        plain = isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.itemsize <= 8
        kind = column.dtype.kind if plain else ""
        if kind not in _LISTS or column.dtype == np.uint64 or (mask is not None and not mask.any()):
            values.info_columns([dict(_row(info, key, mask, row)) for row in range(rows)], columns)
            continue
        target = columns.add(key=key)
        if mask is not None:
            target.present = mask.tobytes()
        getattr(target, _LISTS[kind]).extend(column.tolist())


def info_row(info: Mapping[str, Any], row: int) -> dict[str, Any]:
    """One row's info."""
    return dict(pair for key, _, mask in _columns(info) for pair in _row(info, key, mask, row))


def _columns(info: Mapping[str, Any]) -> Iterator[tuple[str, Any, NDArray[np.bool_] | None]]:
    for key, column in info.items():
        if not _is_mask(key, info):
            mask = info.get(f"_{key}")
            yield key, column, None if mask is None or mask.all() else mask


def _is_mask(key: Any, info: Mapping[str, Any]) -> bool:
    return isinstance(key, str) and key[:1] == "_" and key[1:] in info


def _row(info: Mapping[str, Any], key: str, mask: NDArray[np.bool_] | None, row: int) -> Sequence[tuple[str, Any]]:
    if mask is not None and not mask[row]:
        return ()
    value = info[key][row]
    return ((key, value.item() if isinstance(value, np.generic) else value),)
