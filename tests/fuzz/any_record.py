"""Any record of any message, and any value of a column, as an input chooses them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from openenv_grpc.codec.arrays import bounds
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.schema import Field, Kind
from openenv_grpc.specs import ArraySpec
from tests.fuzz.source import Source
from tests.fuzz.targets.values import python_value

DEPTH = 2
"""Depth of nesting from which on records hold no further records."""


def record(source: Source, records: RecordSet, name: str, depth: int = 0) -> Any:
    """A record that can be sent, and comes back as it is."""
    schema = records.schemas[name]
    chosen = {oneof: source.pick((None, *members)) for oneof, members in schema.oneofs.items()}
    fields = {}
    for field in schema.fields:
        left_out = field.oneof is not None and chosen[field.oneof] is not field
        fields[field.attr] = None if left_out else _field(source, records, field, depth)
    return records.classes[name](**fields)


def _field(source: Source, records: RecordSet, field: Field, depth: int) -> Any:
    most = 0 if field.kind is Kind.RECORD and depth >= DEPTH else 3
    if field.key is not None:
        count = source.below(most + 1) if source.flag() else 0
        return {_value(source, records, field.key, depth): _value(source, records, field, depth) for _ in range(count)}
    if field.repeated:
        return [_value(source, records, field, depth) for _ in range(source.below(most + 1) if source.flag() else 0)]
    if field.optional and field.oneof is None and (not most or source.flag()):
        return None
    return None if not most else _value(source, records, field, depth)


def _value(source: Source, records: RecordSet, field: Field, depth: int) -> Any:
    if field.kind is Kind.RECORD:
        return record(source, records, str(field.type_name), depth + 1)
    if field.kind is Kind.VALUE:
        return python_value(source, 2, odd=False)
    if field.kind is Kind.TEXT:
        return source.text()
    if field.kind is Kind.BLOB:
        return source.blob(8)
    assert field.spec is not None
    if field.kind is Kind.ARRAY:
        axes = tuple(source.below(3) for _ in range(source.below(4))) if field.any_shape else field.spec.shape
        return array(source, field.spec, tuple(source.below(3) if axis == -1 else axis for axis in axes))
    return number(source, field.spec)


def number(source: Source, spec: ArraySpec) -> Any:
    """A number that the spec allows and its dtype holds."""
    if spec.dtype.kind == "b":
        return source.flag()
    return source.integer(*whole(spec)) if spec.dtype.kind in "iu" else array(source, spec, ()).item()


def whole(spec: ArraySpec) -> tuple[int, int]:
    """The integers that a spec allows; the second is less than the first when there are none."""
    info = _iinfo(spec.dtype)
    low = info.min if spec.low is None else max(info.min, spec.low)
    high = info.max if spec.high is None else min(info.max, spec.high)
    return (math.ceil(low), math.floor(high)) if low <= info.max and high >= info.min else (1, 0)


_iinfo = functools.cache(np.iinfo)


def array(source: Source, spec: ArraySpec, shape: tuple[int, ...]) -> Any:
    """An array that the spec allows. One longer than 64 bytes repeats itself."""
    dtype, size = spec.dtype, math.prod(shape) * spec.dtype.itemsize
    raw = source.take(min(size, 64)) or b"\0"
    raw = (raw * (size // len(raw) + 1))[:size]
    found = np.frombuffer(bytes(byte & 1 for byte in raw) if dtype.kind == "b" else raw, dtype).reshape(shape)
    if spec.low is None and spec.high is None:
        return found
    if dtype.kind in "iu":
        return np.clip(found, *whole(spec))
    low, high = bounds(spec, dtype)
    found = np.where(found == found, found, dtype.type(1))  # NaN is within no bounds
    found = found if low is None else np.maximum(found, dtype.type(low))
    return found if high is None else np.minimum(found, dtype.type(high))
