"""What an environment's author writes: one class with `reset`, `step`, `state` and `close`.

Authors write synchronous code and never see processes, carriers or frames. An environment is one lane: the library
makes as many of it as a session asks for, each in a worker process. What it can do beyond that are small protocols:
`Snapshot` and `Batched`.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, get_args, runtime_checkable

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from openenv_grpc.specs import ArraySpec, AutoresetMode

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


@dataclass(frozen=True)
class BatchResult:
    """What `reset` and `step` of a batch answer: columns of n rows, one per lane of the call, in its order.

    Attributes:
        observation: By field. Numbers and arrays: an array (n, …) of the dtype and shape that the field's spec says,
            enums as int32. Other fields: a list of n values. Fields that the client did not ask for may be missing.
        reward: Real numbers (n,), made float64; None for zeros.
        terminated: bool (n,): the lane's episode reached a terminal state. None for False throughout.
        truncated: bool (n,): it was cut short. None for False throughout.
        info: By name: an array whose first axis is n, or a list of n values, as in `StepResult.info`. As in
            Gymnasium's vector environments a bool array (n,) under `_name` masks the rows that have `name`.
        final_lanes: SAME_STEP: lanes of this step whose episode ended and which were reset, in increasing order.
        final_observation: Their last observations, columns of as many rows as there are `final_lanes`.
        final_info: Their last infos, like `info`.
    """

    observation: Mapping[str, Any]
    reward: NDArray[Any] | None = None
    terminated: NDArray[np.bool_] | None = None
    truncated: NDArray[np.bool_] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    final_lanes: Sequence[int] = ()
    final_observation: Mapping[str, Any] = field(default_factory=dict)
    final_info: Mapping[str, Any] = field(default_factory=dict)


class Batch(ABC, Generic[StateT]):
    """All lanes of a shard, stepped by one object: columns in, columns out. Lanes are numbered from 0.

    The library checks verbs, actions and results around it as it does for single lanes: a lane is stepped only after a
    reset, and with autoreset off never after its episode's end. The batch itself resets lanes whose episode has ended:
    in `NEXT_STEP` in place of their next step (reward 0, the action is ignored), in `SAME_STEP` within the step that
    ends it, answering the new episode's first observation in the lane's row and the old one's last in the `final_`
    columns. An exception fails all lanes of the call. An interruption (its time is up) may leave these lanes in any
    state, as they will be reset before they are stepped again; the others must be as they were.

    Where the environment class is a `Snapshot`, its batch has `save(lane)` and `load(lane, data)` as well.

    Attributes:
        partial_steps: Class attribute: whether `step` can be asked for some of the lanes. Where it is False the library
            refuses such steps for you, and with several lanes also chunks, in which lanes stop one by one.
        out: Destination columns of the observation that the current call is about to return, by field, writable arrays
            (n, …) of n the call's lanes. A batch that fills one and returns that same array saves a copy; it must not
            keep the array beyond the call. Fields may be missing; `final_observation` has no destinations.
        deadline: Moment (`time.monotonic()`) at which the current call will be interrupted; infinite when it won't.
    """

    partial_steps: ClassVar[bool] = False
    out: Mapping[str, NDArray[Any]] = {}
    deadline: float = math.inf

    @abstractmethod
    def reset(self, lanes: Sequence[int], *, seeds: Sequence[int | None], options: Mapping[str, Any]) -> BatchResult:
        """Begin a new episode in some lanes, or all, and leave the others as they are.

        Args:
            lanes: Numbers of n lanes, increasing.
            seeds: One per lane, as `Environment.reset` takes it.
            options: Options of these episodes; empty unless the client gave some.
        """

    @abstractmethod
    def step(self, lanes: Sequence[int], actions: Mapping[str, Any]) -> BatchResult:
        """Take one action in each lane.

        Args:
            lanes: Numbers of n lanes, increasing; all of them unless there are `partial_steps`.
            actions: By field. Numbers and arrays: a read-only array (n, …) within the bounds of the field's spec, enums
                as int32. Other fields: a list of n values.
        """

    @abstractmethod
    def state(self, lane: int) -> StateT:
        """The state of a lane's episode, as `Environment.state`."""

    def close(self) -> None:
        """Release what the batch holds."""

    def action_spec(self) -> Mapping[str, ArraySpec]:
        """As `Environment.action_spec`, of one lane."""
        return {}

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        """As `Environment.observation_spec`, of one lane."""
        return {}


@runtime_checkable
class Batched(Protocol):
    """Optional capability: an environment class that may step all lanes of a shard as one."""

    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]) -> Batch[Any] | None:
        """All lanes of a shard as one, or None where they are better made one by one.

        Args:
            lanes: How many; at least 1.
            autoreset_mode: What the batch does when an episode ends. With autoreset off clients reset and step some of
                the lanes: offer None there if the batch has no `partial_steps`.
            options: Construction options, the keyword arguments of `__init__`.

        Raises:
            InvalidArgument: As `__init__`; other exceptions refuse the session as well.
        """


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
