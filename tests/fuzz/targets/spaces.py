"""Gymnasium's spaces from columns that a hostile server describes.

What may happen: a SpecMismatch for columns that cannot be, an Unsupported where gymnasium has no space, or a space that
holds what the bounds allow. What may not: any other exception, a space of another dtype or shape, memory that the
column's size does not explain. Columns of 64 KiB to 256 MiB are left out: they are allowed, and slow.
"""

from __future__ import annotations

import dataclasses
import functools
from types import SimpleNamespace
from typing import Any

import numpy as np

from openenv_grpc.client.spaces import action_space, single_action_space
from openenv_grpc.codec.arrays import NUMBERS, check_bounds
from openenv_grpc.codec.describe import MAX_ARRAY_BYTES, columns_from_message
from openenv_grpc.codec.schema import Field, Schema
from openenv_grpc.errors import SpecMismatch, Unsupported
from openenv_grpc.specs import ArraySpec
from openenv_grpc.v1 import spec_pb2
from tests.codegen.kitchen import load
from tests.fuzz.source import Source


@functools.cache
def _schemas() -> tuple[Schema, Schema]:
    """Fields of each dtype, text and enums among them."""
    records = load().RECORDS
    return records.action, records.observation


def one_input(data: bytes) -> None:
    source = Source(data)
    schema = source.pick(_schemas())
    fields = [source.pick(schema.fields) for _ in range(1 + source.flag(4))]
    chosen = {field.name: field for field in fields}
    message = spec_pb2.SessionSpec()
    for field in chosen.values():
        if field.column:
            _column(source, field, message.action.add(name=field.name))
    try:
        specs = columns_from_message(message.action)
    except SpecMismatch as error:
        str(error)
        return
    if any(1 << 16 < spec.nbytes <= MAX_ARRAY_BYTES for spec in specs.values()):
        return
    core = _core(dataclasses.replace(schema, fields=tuple(chosen.values())), specs, 1 + source.below(3))
    try:
        single, batched = single_action_space(core), action_space(core)
    except Unsupported as error:
        str(error)
        return
    present = [field for field in chosen.values() if not (field.column and specs[field.name].absent)]
    if len(present) == 1 and present[0].column:
        _check(single, batched, specs[present[0].name], core.lanes)


def _column(source: Source, field: Field, column: Any) -> None:
    assert field.spec is not None
    column.dtype = source.below(20) if source.flag(8) else NUMBERS[field.spec.dtype]
    for name in ("low", "high"):
        if source.flag():
            setattr(column, name, source.float() if source.flag() else float(source.integer(-(1 << 65), 1 << 65)))
    small = not source.flag(4)
    axes = range(source.below(4 if small else 40))
    column.shape.extend([source.below(5) if small else source.integer(0, (1 << 64) - 1) for _ in axes])


def _core(schema: Schema, specs: dict[str, ArraySpec], lanes: int) -> Any:
    """As much of a client's core as spaces need."""
    return SimpleNamespace(records=SimpleNamespace(action=schema), spec=SimpleNamespace(action=specs), lanes=lanes)


def _check(single: Any, batched: Any, spec: ArraySpec, lanes: int) -> None:
    assert single.shape == spec.shape
    assert batched.shape == (lanes, *spec.shape)
    if spec.dtype.kind == "b":
        return
    if spec.shape:
        assert single.dtype == spec.dtype
    discrete = hasattr(single, "start")
    for end in (int(single.start), int(single.start) + int(single.n) - 1) if discrete else (single.low, single.high):
        assert single.contains(np.asarray(end))
        check_bounds(np.asarray(end, spec.dtype), spec)
