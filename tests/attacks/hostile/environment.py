"""An environment whose actions are attacks: the text names one, with its arguments; the answer is what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from hostile import calls, network, privileges, resources
from openenv_echo import EchoAction, EchoObservation, EchoState
from openenv_grpc.environment import Environment, StepResult

ATTACKS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for module in (calls, network, privileges, resources)
    for function in vars(module).values()
    if callable(function) and getattr(function, "__module__", "") == module.__name__
}


class HostileEnvironment(Environment[EchoAction, EchoObservation, EchoState]):
    """Speaks echo's messages."""

    def __init__(self) -> None:
        """Nothing was attacked yet."""
        self._count = 0

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[EchoObservation]:
        """Begin."""
        return StepResult(EchoObservation(message="", length=0))

    def step(self, action: EchoAction) -> StepResult[EchoObservation]:
        """Attack."""
        self._count += 1
        name, arguments = json.loads(action.message)
        found = json.dumps(ATTACKS[name](*arguments))
        return StepResult(EchoObservation(message=found, length=len(found)))

    def state(self) -> EchoState:
        """How often."""
        return EchoState(episode_id="hostile", step_count=self._count)
