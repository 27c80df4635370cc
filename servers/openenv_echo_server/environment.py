"""The echo environment, whole."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from openenv_echo import EchoAction, EchoObservation, EchoState
from openenv_grpc.environment import Environment, StepResult

if TYPE_CHECKING:
    from collections.abc import Mapping


class EchoEnvironment(Environment[EchoAction, EchoObservation, EchoState]):
    """Says back what it is told; the reward is 0.1 per character, and an episode never ends by itself."""

    def __init__(self) -> None:
        """An environment with options takes them here, as keyword parameters with annotations and defaults."""
        self._state = EchoState(episode_id="", step_count=0)

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[EchoObservation]:
        """Begin an episode. Nothing here is random, so every seed is honoured; there are no options to honour."""
        self._state = EchoState(episode_id=uuid.uuid4().hex, step_count=0)
        return StepResult(EchoObservation(message="", length=0))

    def step(self, action: EchoAction) -> StepResult[EchoObservation]:
        """Say it back."""
        self._state = EchoState(episode_id=self._state.episode_id, step_count=self._state.step_count + 1)
        length = len(action.message)
        return StepResult(EchoObservation(message=action.message, length=length), reward=0.1 * length)

    def state(self) -> EchoState:
        """Which episode this is, and how long."""
        return self._state
