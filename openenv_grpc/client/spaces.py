"""Gymnasium spaces of a session, from its columns. gymnasium is imported when a space is asked for, not before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec.arrays import bounds
from openenv_grpc.codec.describe import MAX_ARRAY_BYTES
from openenv_grpc.codec.schema import Kind
from openenv_grpc.errors import Unsupported

if TYPE_CHECKING:
    from openenv_grpc.codec.schema import Field, Schema
    from openenv_grpc.session.client import ClientCore
    from openenv_grpc.specs import ArraySpec


_INT64 = np.iinfo(np.int64)


def action_fields(core: ClientCore) -> list[Field]:
    """The fields of an action that the session has: all but arrays that are absent."""
    return _present(core.records.action, core.spec.action)


def observation_fields(core: ClientCore) -> list[Field]:
    """The fields of an observation that the session has: those asked for, but for arrays that are absent."""
    present = _present(core.records.observation, core.spec.observation)
    return [field for field in present if not core.fields or field.name in core.fields]


def single_action_space(core: ClientCore) -> Any:
    """One lane's action: the space of its only field that is present, or a Dict of all of these."""
    return _space(core.records.action, action_fields(core), core.spec.action)


def single_observation_space(core: ClientCore) -> Any:
    """One lane's observation: the space of its only field that is present, or a Dict of all of these."""
    return _space(core.records.observation, observation_fields(core), core.spec.observation)


def action_space(core: ClientCore) -> Any:
    """All lanes' actions."""
    return _batched(_space(core.records.action, action_fields(core), core.spec.action, core.lanes), core.lanes)


def observation_space(core: ClientCore) -> Any:
    """All lanes' observations."""
    fields = observation_fields(core)
    return _batched(_space(core.records.observation, fields, core.spec.observation, core.lanes), core.lanes)


def _present(schema: Schema, specs: dict[str, ArraySpec]) -> list[Field]:
    return [field for field in schema.fields if not (field.column and specs[field.name].absent)]


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError:
        msg = "spaces need gymnasium: pip install 'openenv-grpc[gymnasium]'"
        raise Unsupported(msg) from None
    return gymnasium


def _batched(space: Any, lanes: int) -> Any:
    from gymnasium.vector.utils import batch_space

    return batch_space(space, lanes)


def _space(schema: Schema, present: list[Field], specs: dict[str, ArraySpec], lanes: int = 1) -> Any:
    """The space of these fields of one of so many lanes.

    Raises:
        Unsupported: Gymnasium is missing, has no space for a field, or would need too much memory for it.
    """
    spaces = _gymnasium().spaces
    size = lanes * sum(specs[field.name].nbytes for field in present if field.column)
    if size > MAX_ARRAY_BYTES:  # a Box holds its bounds element by element
        msg = f"the spaces of {schema.full_name} would hold {size} bytes, at most {MAX_ARRAY_BYTES} are allowed"
        raise Unsupported(msg)
    found = {field.attr: _field_space(spaces, schema, field, specs.get(field.name)) for field in present}
    return next(iter(found.values())) if len(found) == 1 else spaces.Dict(found)


def _field_space(spaces: Any, schema: Schema, field: Field, spec: ArraySpec | None) -> Any:
    name = f"{schema.full_name}.{field.name}"
    if field.single and field.kind is Kind.TEXT:
        return spaces.Text(max_length=1 << 16, min_length=0)
    if spec is None or not field.column or spec.dtype.kind == "c":
        msg = f"gymnasium has no space for {name}; use the records"
        raise Unsupported(msg)
    if spec.dtype.kind == "b":
        return spaces.Discrete(2) if not spec.shape else spaces.MultiBinary(spec.shape)
    low, high = _range(spec)
    bounded = spec.low is not None and spec.high is not None
    if field.kind is Kind.ENUM:
        numbers = [value.number for value in schema.descriptor.fields_by_name[field.name].enum_type.values]
        low, high, bounded = max(low, min(numbers)), min(high, max(numbers)), True
    if low > high or low == np.inf or high == -np.inf:
        msg = f"no {spec.dtype} is within the bounds of {name}"
        raise Unsupported(msg)
    if not spec.shape and isinstance(low, int) and bounded and _fits_discrete(low, high):
        return spaces.Discrete(int(high - low + 1), start=low)
    return spaces.Box(low, high, spec.shape, spec.dtype.newbyteorder("=").type)


def _fits_discrete(low: float, high: float) -> bool:
    """Whether gymnasium can count the numbers from low to high: it does so in 64 bits."""
    return _INT64.min <= low and high <= _INT64.max and high - low < _INT64.max


def _range(spec: ArraySpec) -> tuple[float, float]:
    """The least and the largest number that the column can hold, integers for an integer dtype; (1, 0) for none."""
    return _whole(spec) if spec.dtype.kind in "iu" else _real(spec)


def _whole(spec: ArraySpec) -> tuple[int, int]:
    """Bounds come as any float, infinities among them: what the dtype holds goes first, then they are rounded."""
    info = np.iinfo(spec.dtype)
    low = -math.inf if spec.low is None else spec.low
    high = math.inf if spec.high is None else spec.high
    if low > info.max or high < info.min:
        return 1, 0
    return (
        int(info.min) if low <= info.min else math.ceil(low),
        int(info.max) if high >= info.max else math.floor(high),
    )


def _real(spec: ArraySpec) -> tuple[float, float]:
    low, high = bounds(spec, spec.dtype)
    return -np.inf if low is None else low, np.inf if high is None else high
