"""Gymnasium spaces of a session, from its columns. gymnasium is imported when a space is asked for, not before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec.schema import Kind
from openenv_grpc.errors import Unsupported

if TYPE_CHECKING:
    from openenv_grpc.codec.schema import Field, Schema
    from openenv_grpc.session.client import ClientCore
    from openenv_grpc.specs import ArraySpec


def single_action_space(core: ClientCore) -> Any:
    """One lane's action: the space of its only field, or a Dict of all fields."""
    return _space(core.records.action, core.spec.action)


def single_observation_space(core: ClientCore) -> Any:
    """One lane's observation: the space of its only field that is present, or a Dict of all of these."""
    return _space(core.records.observation, core.spec.observation)


def action_space(core: ClientCore) -> Any:
    """All lanes' actions."""
    return _batched(single_action_space(core), core.lanes)


def observation_space(core: ClientCore) -> Any:
    """All lanes' observations."""
    return _batched(single_observation_space(core), core.lanes)


def _gymnasium() -> Any:
    try:
        import gymnasium
    except ImportError:
        msg = "spaces need gymnasium: pip install 'openenv-grpc[gymnasium]'"
        raise Unsupported(msg) from None
    return gymnasium


def _batched(space: Any, lanes: int) -> Any:
    _gymnasium()
    from gymnasium.vector.utils import batch_space

    return batch_space(space, lanes)


def _space(schema: Schema, specs: dict[str, ArraySpec]) -> Any:
    spaces = _gymnasium().spaces
    present = [field for field in schema.fields if not (field.column and specs[field.name].absent)]
    found = {field.attr: _field_space(spaces, schema, field, specs.get(field.name)) for field in present}
    return next(iter(found.values())) if len(found) == 1 else spaces.Dict(found)


def _field_space(spaces: Any, schema: Schema, field: Field, spec: ArraySpec | None) -> Any:
    if field.single and field.kind is Kind.TEXT:
        return spaces.Text(max_length=1 << 16, min_length=0)
    if spec is None or not field.column:
        msg = f"gymnasium has no space for {schema.full_name}.{field.name}; use the records"
        raise Unsupported(msg)
    if field.kind is Kind.ENUM:
        numbers = [value.number for value in schema.descriptor.fields_by_name[field.name].enum_type.values]
        return spaces.Discrete(max(numbers) - min(numbers) + 1, start=min(numbers))
    bounded = spec.low is not None and spec.high is not None
    if not spec.shape and spec.dtype.kind in "iu" and bounded:
        return spaces.Discrete(int(spec.high) - int(spec.low) + 1, start=int(spec.low))  # type: ignore[arg-type]
    if spec.dtype.kind == "b":
        return spaces.Discrete(2) if not spec.shape else spaces.MultiBinary(spec.shape)
    low, high = _range(spec)
    return spaces.Box(low, high, spec.shape, spec.dtype.newbyteorder("=").type)


def _range(spec: ArraySpec) -> tuple[float, float]:
    if spec.dtype.kind in "iu":
        info = np.iinfo(spec.dtype)
        return (info.min if spec.low is None else int(spec.low)), (info.max if spec.high is None else int(spec.high))
    return (-np.inf if spec.low is None else spec.low), (np.inf if spec.high is None else spec.high)
