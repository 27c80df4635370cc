"""What an environment's author writes: one class with `reset`, `step`, `state` and `close`.

Authors write synchronous code and never see processes, carriers or frames. An environment is one lane: the library
makes as many of it as a session asks for, each in a worker process.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, get_args, runtime_checkable

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from openenv_grpc.specs import ArraySpec

ActionT = TypeVar("ActionT")
ObservationT = TypeVar("ObservationT")
StateT = TypeVar("StateT")


@dataclass(frozen=True)
class StepResult(Generic[ObservationT]):
    """What `reset` and `step` answer. It unpacks like Gymnasium's five-tuple.

    Attributes:
        observation: The observation, an instance of the environment's Observation class.
        reward: Reward of the step; 0 after a reset.
        terminated: The episode reached a terminal state.
        truncated: The episode was cut short (time limit, out of bounds).
        info: Values by name, for logs and debugging: None, bool, int, float, str, bytes, numpy arrays, lists and
            mappings of these.
    """

    observation: ObservationT
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the episode has ended, one way or the other."""
        return self.terminated or self.truncated

    def __iter__(self) -> Iterator[Any]:
        """Yield observation, reward, terminated, truncated, info."""
        yield from (self.observation, self.reward, self.terminated, self.truncated, self.info)


class Environment(ABC, Generic[ActionT, ObservationT, StateT]):
    """One lane of an environment.

    The keyword parameters of `__init__` are the construction options that a client may give when it opens a session;
    their annotations (bool, int, float, str, Literal, Optional of these) and defaults are checked and published.

    Attributes:
        seeds: Class attribute: whether `reset` honours seeds. Where it is False the library refuses seeds for you.
        out: Destination arrays of the observation that the current `reset` or `step` is about to return, by field,
            writable. An environment that fills one and returns that same array saves a copy; it must not keep the array
            beyond the call. Fields that the client did not ask for are missing. Empty outside a session.
        deadline: Moment (`time.monotonic()`) at which the current call will be interrupted; infinite when it won't.
    """

    seeds: ClassVar[bool] = True
    out: Mapping[str, NDArray[Any]] = {}
    deadline: float = math.inf

    @abstractmethod
    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[ObservationT]:
        """Begin a new episode.

        Args:
            seed: Makes the episode reproducible; None to go on with the random state as it is.
            options: Options of this episode; empty unless the client gave some.
        """

    @abstractmethod
    def step(self, action: ActionT) -> StepResult[ObservationT]:
        """Take one action. An exception is reported to the client with its message, and the session lives on."""

    @abstractmethod
    def state(self) -> StateT:
        """The episode's state, for people and trainers; agents do not see it."""

    def close(self) -> None:
        """Release what the environment holds."""

    def action_spec(self) -> Mapping[str, ArraySpec]:
        """Specs of action fields that only this instance knows (per-session shapes, bounds), by field."""
        return {}

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        """Specs of observation fields that only this instance knows, by field.

        A field that the instance's options leave out has a shape with an axis of 0.
        """
        return {}

    def time_left_s(self) -> float:
        """Seconds until the current call will be interrupted; infinite when it won't be."""
        return self.deadline - time.monotonic()


@runtime_checkable
class Snapshot(Protocol):
    """Optional capability: an environment that can be saved and put back."""

    def save(self) -> bytes:
        """All that the environment needs to go on from here, random state included."""

    def load(self, data: bytes) -> None:
        """Go back to where `save` was called, on the same version of the environment with the same options."""


def message_types(cls: type[Environment[Any, Any, Any]]) -> tuple[type[Any], type[Any], type[Any]]:
    """The Action, Observation and State classes that an environment names in its base class.

    Raises:
        InvalidArgument: The class does not say `Environment[Action, Observation, State]`.
    """
    for klass in cls.__mro__:
        for base in klass.__dict__.get("__orig_bases__", ()):
            args = get_args(base)
            if getattr(base, "__origin__", None) is Environment and len(args) == 3 and all(map(_is_class, args)):
                return args
    msg = f"{cls.__name__} must subclass Environment[Action, Observation, State]"
    raise InvalidArgument(msg, field="environment")


def _is_class(arg: object) -> bool:
    return isinstance(arg, type)
