"""Values ⇄ messages: options and infos, which have no schema of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from openenv_grpc.codec import arrays
from openenv_grpc.errors import InvalidArgument, OpenEnvError
from openenv_grpc.v1 import value_pb2

MAX_DEPTH = 32


def to_message(value: Any, depth: int = 0) -> value_pb2.Value:
    """A Python value as a message.

    Raises:
        InvalidArgument: Not a None, bool, int of 64 bits, float, str, bytes, array, list or mapping of these; `field`
            is the path to it.
    """
    message = value_pb2.Value()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping | list | tuple):
        _fill_container(message, value, depth)
    elif isinstance(value, np.ndarray):
        arrays.fill(message.array, value)
    elif value is not None:
        kind = next((kind for kind in _PLAIN if isinstance(value, kind)), None)
        if kind is None:
            msg = f"{type(value).__name__} cannot be sent; use numbers, text, bytes, arrays, lists, dicts"
            raise InvalidArgument(msg)
        name, check = _PLAIN[kind]
        setattr(message, name, check(value))
    return message


def _fill_container(message: value_pb2.Value, value: Mapping[Any, Any] | Sequence[Any], depth: int) -> None:
    _check_depth(depth)
    if isinstance(value, Mapping):
        message.map.SetInParent()
        for key, item in value.items():
            message.map.entries[_key(key)].CopyFrom(_inner(key, item, depth))
    else:
        message.list.SetInParent()
        message.list.items.extend(_inner(str(index), item, depth) for index, item in enumerate(value))


def _check_depth(depth: int) -> None:
    if depth >= MAX_DEPTH:
        msg = f"nested more than {MAX_DEPTH} levels deep"
        raise InvalidArgument(msg)


def _inner(key: str, item: Any, depth: int) -> value_pb2.Value:
    try:
        return to_message(item, depth + 1)
    except OpenEnvError as error:
        raise error.under(key) from None


def _key(key: Any) -> str:
    if not isinstance(key, str):
        msg = f"keys must be text, got {type(key).__name__}"
        raise InvalidArgument(msg)
    return _encodable(key)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        msg = "text with lone surrogates cannot be sent"
        raise InvalidArgument(msg) from None
    return text


def _int64(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 63:
        shown = value if value.bit_length() <= 128 else "a number that large"
        msg = f"{shown} does not fit into 64 bits"
        raise InvalidArgument(msg)
    return int(value)


_PLAIN: dict[type, tuple[str, Callable[[Any], Any]]] = {  # bool is an int too, so it comes first
    bool: ("boolean", bool),
    int: ("integer", _int64),
    float: ("number", float),
    str: ("text", _encodable),
    bytes: ("blob", bytes),
    bytearray: ("blob", bytes),
}


def from_message(message: value_pb2.Value, depth: int = 0) -> Any:
    """A message as a Python value; arrays are read-only.

    Raises:
        InvalidArgument: A malformed array, or lists and maps nested too deep.
    """
    kind = message.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "array":
        return arrays.from_message(message.array)
    if kind in ("list", "map"):
        _check_depth(depth)
        if kind == "list":
            return [from_message(item, depth + 1) for item in message.list.items]
        return {key: from_message(item, depth + 1) for key, item in message.map.entries.items()}
    return getattr(message, kind)


def to_map(values: Mapping[str, Any], entries: Any, field: str) -> None:
    """Write a mapping into a `map<string, Value>` field.

    Raises:
        InvalidArgument: `field` and the key name the value that cannot be sent.
    """
    for key, item in values.items():
        try:
            entries[_key(key)].CopyFrom(to_message(item))
        except OpenEnvError as error:
            msg = f"{field}.{key}".encode(errors="replace").decode()
            raise error.under(msg) from None


def from_map(entries: Mapping[str, value_pb2.Value], field: str) -> dict[str, Any]:
    """A `map<string, Value>` field as a dict.

    Raises:
        InvalidArgument: `field` and the key name the value that is malformed.
    """
    found = {}
    for key, item in entries.items():
        try:
            found[key] = from_message(item)
        except OpenEnvError as error:
            msg = f"{field}.{key}"
            raise error.under(msg) from None
    return found


_LISTS = {bool: ("booleans", False), int: ("integers", 0), float: ("numbers", 0.0)}


MAX_SEALED = 256
_SEALED: set[str] = set()
"""Keys of infos that are known to be good: those that an environment tells with every step."""


def seal(info: Any) -> dict[str, Any]:
    """One row's info as it is now, cut loose from the environment's own objects and checked to the last value.

    Raises:
        InvalidArgument: Not a mapping, or a key or value that cannot be sent; `field` is info and the key.
    """
    if not isinstance(info, Mapping):
        msg = f"expected a mapping, got {type(info).__name__}"
        raise InvalidArgument(msg, field="info")
    sealed: dict[str, Any] = {}
    for key, value in info.items():
        if type(value) is int and key in _SEALED and -(1 << 63) <= value < 1 << 63:
            sealed[key] = value
            continue
        path = "info"
        try:
            path = f"info.{_key(key)}"
            sealed[key] = _int64(value) if type(value) is int else value if type(value) in _LISTS else _message(value)
        except OpenEnvError as error:
            raise error.under(path) from None
        if len(_SEALED) < MAX_SEALED:
            _SEALED.add(key)
    return sealed


def _message(value: Any) -> value_pb2.Value:
    return value if isinstance(value, value_pb2.Value) else to_message(value)


def info_columns(infos: Sequence[Mapping[str, Any] | None], columns: Any) -> None:
    """Write one info per row into a `repeated InfoColumn` field, a column per key, empty where no row has any.

    Raises:
        InvalidArgument: `field` is info and the key of the value that cannot be sent.
    """
    keys: dict[Any, None] = {key: None for info in infos if info for key in info}
    if not (keys and _plain_columns(keys, infos, columns)):
        _any_columns(keys, infos, columns)


def _plain_columns(keys: Iterable[str], infos: Sequence[Mapping[str, Any] | None], columns: Any) -> bool:
    """Write infos that all have the same keys, known to be good, and numbers alone; False, with nothing written, else.

    Sealed infos of the kind that an environment tells with every step come here.
    """
    found: list[tuple[str, str, list[Any]]] = []
    for key in keys:
        try:
            column = [info[key] for info in infos]  # type: ignore[index]
        except (KeyError, TypeError):
            return False
        kinds = {*map(type, column)}
        name, _ = _LISTS.get(kinds.pop(), ("", None))
        if kinds or not name or key not in _SEALED:
            return False
        found.append((key, name, column))
    try:
        for key, name, column in found:
            target = columns.add()
            target.key = key
            getattr(target, name).extend(column)
    except ValueError:  # an integer of more than 64 bits
        del columns[:]
        return False
    return True


def _any_columns(keys: Iterable[str], infos: Sequence[Mapping[str, Any] | None], columns: Any) -> None:
    for key in keys:
        path = "info"
        try:
            path = f"info.{_key(key)}"
            _info_column(columns.add(), key, infos)
        except OpenEnvError as error:
            raise error.under(path) from None


def _info_column(column: Any, key: str, infos: Sequence[Mapping[str, Any] | None]) -> None:
    column.key = key
    found = [info[key] for info in infos if info and key in info]
    filler: Any
    name, filler = _LISTS.get(_common(found), ("values", None))
    if name == "values":
        found, filler = list(map(_message, found)), to_message(None)
    if len(found) < len(infos):
        column.present = bytes(bool(info) and key in info for info in infos)  # type: ignore[operator]
        items = iter(found)
        found = [next(items) if there else filler for there in column.present]
    getattr(column, name).extend(found)


def _common(values: Sequence[Any]) -> type:
    """The one type of all values if they can travel as plain numbers, else object."""
    kinds = {*map(type, values)}
    kind: type = kinds.pop()
    if kinds or kind not in _LISTS:
        return object
    if kind is int and not (min(values) >= -(1 << 63) and max(values) < 1 << 63):
        return object
    return kind


def plain_numbers(column: Any, rows: int) -> Sequence[Any] | None:
    """The numbers of a column that has one for each of at least one row; None for any other column."""
    numbers: Sequence[Any] = column.integers or column.numbers or column.booleans
    return numbers if rows and len(numbers) == rows and not column.present else None


def read_info(columns: Any, rows: int) -> list[dict[str, Any]]:
    """The infos of all rows.

    Raises:
        InvalidArgument: A column's length is not the number of rows.
    """
    infos: list[dict[str, Any]] = [{} for _ in range(rows)]
    for column in columns if rows else ():
        key, present, plain = column.key, column.present, column.integers
        if len(plain) == rows == 1 and not present:  # what nearly all are
            infos[0][key] = plain[0]
            continue
        plain = plain or column.numbers or column.booleans
        found = plain or list(map(from_message, column.values))
        if len(found) != rows or len(present) not in (0, rows):
            msg = f"{len(found)} values for {rows} rows"
            raise InvalidArgument(msg, field=f"info.{key}")
        if present:
            for info, value, there in zip(infos, found, present, strict=True):
                if there:
                    info[key] = value
        else:
            for info, value in zip(infos, found, strict=True):
                info[key] = value
    return infos
