"""What callers hand to a `VectorEnv`, read and checked before anything is sent."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from openenv_grpc.session.client import ClientCore

RESET_MASK = "reset_mask"
"""Gymnasium's name, among a reset's options, for the mask of lanes to reset."""


def read_autoreset_mode(value: AutoresetMode | str | Enum) -> AutoresetMode:
    """The mode that is meant: ours, Gymnasium's enum of that name, or the name ("SAME_STEP") or value ("SameStep").

    Raises:
        InvalidArgument: There is no such mode.
    """
    name = value.name if isinstance(value, Enum) else value
    for mode in AutoresetMode:
        if name in (mode.name, mode.name.title().replace("_", "")):
            return mode
    msg = f"no mode {value!r}; there are: {', '.join(mode.name for mode in AutoresetMode)}"
    raise InvalidArgument(msg, field="autoreset_mode")


def read_batch_size(batch_size: int | None, core: ClientCore) -> int:
    """How many lanes a batch has; all by default.

    Raises:
        InvalidArgument: Not 1 to the number of lanes, or so few that a shard would get more requests than may wait.
    """
    size = core.lanes if batch_size is None else _integer(batch_size)
    if size is None or not 1 <= size <= core.lanes:
        msg = f"{batch_size!r}, expected 1 to num_envs, which is {core.lanes}"
        raise InvalidArgument(msg, field="batch_size")
    limit, widest = core.limits.in_flight, max(map(len, core.shards))
    least = -(-widest // limit)
    if size < least:
        msg = f"{size}: the {widest} lanes of a shard would need more than {limit} requests; expected {least} or more"
        raise InvalidArgument(msg, field="batch_size")
    return size


def read_lanes(env_ids: ArrayLike | None, num_envs: int) -> NDArray[np.int64]:
    """Different lanes, in the caller's order.

    Raises:
        InvalidArgument: They are none.
    """
    lanes = np.asarray(env_ids)
    good = lanes.ndim == 1 and lanes.size and lanes.dtype.kind in "iu"
    if not good or lanes.min() < 0 or lanes.max() >= num_envs or len({*lanes.tolist()}) != len(lanes):
        msg = f"expected different integers within 0..{num_envs - 1}, at least one"
        raise InvalidArgument(msg, field="env_ids")
    return lanes.astype(np.int64)


def read_reset_mask(options: Mapping[str, Any], num_envs: int) -> list[int] | None:
    """The lanes that the mask among a reset's options names; None without a mask.

    Raises:
        InvalidArgument: It is none, or empty.
    """
    if RESET_MASK not in options:
        return None
    mask = options[RESET_MASK]
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (num_envs,) or not mask.any():
        msg = f"expected a numpy array of bool, shape ({num_envs},), with at least one True"
        raise InvalidArgument(msg, field=f"options.{RESET_MASK}")
    lanes: list[int] = np.flatnonzero(mask).tolist()
    return lanes


def read_seeds(seed: int | Sequence[int | None] | None, lanes: Sequence[int]) -> list[int | None] | None:
    """One seed per lane, or None; a number s means s + i for lane i.

    Raises:
        InvalidArgument: Neither a number nor one seed per lane.
    """
    if seed is None:
        return None
    number = _integer(seed)
    seeds: Any = seed if number is None else [number + lane for lane in lanes]
    if not isinstance(seeds, Iterable) or len(found := list(seeds)) != len(lanes):
        msg = f"expected an integer or {len(lanes)} seeds, one per lane"
        raise InvalidArgument(msg, field="seed")
    return found


def _integer(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None
