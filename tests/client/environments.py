"""Environments for these tests, with the messages of echo: the action's text says what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from openenv_echo import EchoAction, EchoObservation, EchoState
from openenv_grpc.environment import Environment, StepResult

SLOW = "tests.client.environments:SlowEnvironment"
SHORT = "tests.client.environments:ShortEnvironment"
UNBUILDABLE = "tests.client.environments:UnbuildableEnvironment"
GREEDY = "tests.client.environments:GreedyEnvironment"


class SlowEnvironment(Environment[EchoAction, EchoObservation, EchoState]):
    """Obeys `sleep 0.5`, `raise text`, `end` and `cut`; says back anything; `length` counts the steps."""

    def __init__(self, greeting: str = "", threshold: float = 0.5) -> None:
        self._greeting, self._threshold = greeting, threshold
        self._steps = 0

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[EchoObservation]:
        self._steps = 0
        return StepResult(EchoObservation(message=self._greeting, length=0), info={"pid": os.getpid()})

    def step(self, action: EchoAction) -> StepResult[EchoObservation]:
        verb, _, rest = action.message.partition(" ")
        self._steps += 1
        info: dict[str, Any] = {"length": len(action.message)}
        if verb == "sleep":
            began = time.monotonic()
            time.sleep(float(rest.split()[0]))
            info |= {"began": began, "ended": time.monotonic()}
        if verb == "raise":
            raise ValueError(rest)
        observation = EchoObservation(message=action.message, length=self._steps)
        return StepResult(observation, 1.5, verb == "end", verb == "cut", info)

    def state(self) -> EchoState:
        return EchoState(episode_id=str(os.getpid()), step_count=self._steps)


class ShortEnvironment(SlowEnvironment):
    """Ends by itself: after three steps, and one more for each unit of the seed."""

    seeded = 0

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[EchoObservation]:
        self.seeded = seed or 0
        return super().reset(seed=seed, options=options)

    def step(self, action: EchoAction) -> StepResult[EchoObservation]:
        result = super().step(action)
        return StepResult(result.observation, 1.0, terminated=self._steps >= 3 + self.seeded)


class UnbuildableEnvironment(SlowEnvironment):
    """Cannot be built."""

    def __init__(self) -> None:
        message = "the engine is missing"
        raise RuntimeError(message)


class GreedyEnvironment(SlowEnvironment):
    """Wants an option that callers could not give."""

    def __init__(self, shards: int = 1) -> None:
        super().__init__()
