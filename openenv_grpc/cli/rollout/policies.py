"""Who chooses the actions of a rollout: chance, within the bounds of a session's specs, or a callable of the user's."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec.describe import records_of
from openenv_grpc.codec.schema import Kind
from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_grpc.client import VectorEnvClient
    from openenv_grpc.codec.schema import Field, Schema
    from openenv_grpc.specs import ArraySpec

    Sampler = Callable[[np.random.Generator], Any]
    Policy = Callable[["Turn"], Any]
    """Takes a turn; answers actions in any form that `VectorEnvClient.step` takes, one row per lane of the turn."""

WORDS = ("the", "a", "red", "old", "cat", "dog", "bird", "tree", "house", "sees", "finds", "likes", "under", "with")


@dataclass(frozen=True)
class Turn:
    """What a policy sees: one row per lane of a batch that plays.

    Attributes:
        observation: Columns of the observation, M rows, read-only.
        lanes: int64 (M,), increasing.
        episodes: int64 (M,), the number of the episode that each lane plays.
        steps: int64 (M,), steps of that episode so far; 0 means that the observation is its first.
        infos: One mapping per row, from the environment.
    """

    observation: Any
    lanes: NDArray[np.int64]
    episodes: NDArray[np.int64]
    steps: NDArray[np.int64]
    infos: Sequence[Mapping[str, Any]]


class RandomPolicy:
    """Draws every field of an action at random, within its bounds.

    Each episode has a random generator of its own, made from the seed and the episode's number: what is drawn depends
    neither on the number of lanes nor on which packages are installed. Numbers without bounds are drawn as Gymnasium's
    `Box` draws them. Optional and repeated fields are left out.

    Args:
        schema: The action message.
        specs: Columns of an action in this session.
        seed: Makes it reproducible.

    Raises:
        InvalidArgument: The action has only fields that may be left out: chance cannot choose among those.
    """

    def __init__(self, schema: Schema, specs: Mapping[str, ArraySpec], seed: int) -> None:
        """Choose how to draw each field."""
        single = [field for field in schema.fields if field.single]
        if schema.fields and not single:
            names = ", ".join(field.name for field in schema.fields)
            msg = (
                f"chance cannot choose among the optional fields of {schema.full_name} ({names}); give module:callable"
            )
            raise InvalidArgument(msg, field="policy")
        self._samplers = {field.attr: _sampler(field, schema, specs.get(field.name)) for field in single}
        self._seed = seed
        self._generators: dict[int, tuple[int, np.random.Generator]] = {}

    def __call__(self, turn: Turn) -> dict[str, list[Any]]:
        """One action per lane, as columns."""
        pairs = zip(turn.lanes.tolist(), turn.episodes.tolist(), strict=True)
        generators = [self._generator(lane, episode) for lane, episode in pairs]
        return {name: [sample(generator) for generator in generators] for name, sample in self._samplers.items()}

    def _generator(self, lane: int, episode: int) -> np.random.Generator:
        """The episode's generator. A lane plays one episode after the other: its last one's is forgotten."""
        played, generator = self._generators.get(lane, (None, None))
        if generator is None or played != episode:
            generator = np.random.default_rng((self._seed, episode))
            self._generators[lane] = episode, generator
        return generator


def _sampler(field: Field, schema: Schema, spec: ArraySpec | None) -> Sampler:
    if field.kind is Kind.TEXT:
        return lambda rng: " ".join(rng.choice(WORDS, rng.integers(1, 6)))
    if spec is None:
        return lambda rng: rng.bytes(int(rng.integers(0, 17)))
    if field.kind is Kind.ENUM:
        numbers = [value.number for value in schema.descriptor.fields_by_name[field.name].enum_type.values]
        return lambda rng: numbers[rng.integers(len(numbers))]
    draw = _draw_integers if spec.dtype.kind in "bui" else _draw_floats
    if spec.shape:
        return lambda rng: draw(rng, spec).astype(spec.dtype)
    return lambda rng: draw(rng, spec).astype(spec.dtype).item()


def _draw_integers(rng: np.random.Generator, spec: ArraySpec) -> NDArray[Any]:
    if spec.dtype.kind == "b":
        return np.asarray(rng.integers(2, size=spec.shape), np.bool_)
    info = np.iinfo(spec.dtype)
    low = info.min if spec.low is None else max(int(np.ceil(spec.low)), info.min)
    high = info.max if spec.high is None else min(int(np.floor(spec.high)), info.max)
    if spec.low is not None and spec.high is not None:
        dtype: Any = spec.dtype.newbyteorder("=").type
        return np.asarray(rng.integers(low, high, size=spec.shape, dtype=dtype, endpoint=True))
    return np.asarray(np.clip(np.floor(_unbounded(rng, spec)), max(low, -(1 << 53)), min(high, 1 << 53)))


def _draw_floats(rng: np.random.Generator, spec: ArraySpec) -> NDArray[Any]:
    if spec.dtype.kind == "c":
        return np.asarray(rng.normal(size=spec.shape) + 1j * rng.normal(size=spec.shape))
    if spec.low is not None and spec.high is not None:
        return np.asarray(rng.uniform(spec.low, spec.high, spec.shape))
    return _unbounded(rng, spec)


def _unbounded(rng: np.random.Generator, spec: ArraySpec) -> NDArray[Any]:
    """Normal without bounds, exponential beyond the only bound."""
    if spec.low is not None:
        return np.asarray(spec.low + rng.exponential(size=spec.shape))
    if spec.high is not None:
        return np.asarray(spec.high - rng.exponential(size=spec.shape))
    return np.asarray(rng.normal(size=spec.shape))


def load_policy(text: str) -> Policy:
    """A user's policy, named `module:callable`; modules in the current directory are found.

    Raises:
        InvalidArgument: There is no such module or callable.
    """
    module_name, _, path = text.partition(":")
    if not module_name or not path:
        msg = f"{text!r} is neither random nor module:callable"
        raise InvalidArgument(msg, field="policy")
    found: Any = _import(module_name)
    for part in path.split("."):
        if not hasattr(found, part):
            msg = f"{module_name} has no {path}"
            raise InvalidArgument(msg, field="policy")
        found = getattr(found, part)
    if not callable(found):
        msg = f"{text} is no callable but {type(found).__name__}"
        raise InvalidArgument(msg, field="policy")
    return _adapt(found, text)


def _import(name: str) -> Any:
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except ImportError as error:
        msg = f"cannot import {name}: {error}"
        raise InvalidArgument(msg, field="policy") from None
    finally:
        sys.path.remove(os.getcwd())


def _adapt(function: Callable[..., Any], text: str) -> Policy:
    """Call it with the observation and, where it takes two arguments, the info."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C
        return lambda turn: function(turn.observation)
    for count in (2, 1):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return lambda turn: function(*(turn.observation, info_of(turn))[:count])
    msg = f"{text} must take (observation) or (observation, info), it takes {signature}"
    raise InvalidArgument(msg, field="policy")


def info_of(turn: Turn) -> dict[str, Any]:
    """The second argument of a user's policy."""
    return {"lane": turn.lanes, "episode": turn.episodes, "step": turn.steps, "infos": turn.infos}


def random_policy(client: VectorEnvClient[Any, Any, Any], seed: int) -> Policy:
    """A random policy for a session.

    Raises:
        InvalidArgument: Chance cannot choose its actions.
    """
    return RandomPolicy(records_of(client.server.environment).action, client.spec.action, seed)
