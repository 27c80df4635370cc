"""An environment of columns alone: walks along a line and ends when it has gone far enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from openenv_bare import BareAction, BareObservation, BareState

from openenv_grpc.environment import Environment, StepResult
from openenv_grpc.specs import ArraySpec


class BareEnvironment(Environment[BareAction, BareObservation, BareState]):
    """An episode terminates at +goal and is truncated at -goal."""

    def __init__(self, size: int = 4, goal: int = 5) -> None:
        self.size, self.goal = size, goal
        self.position = self.steps = self.episode = 0

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        return {"pixels": ArraySpec(np.uint8, (self.size,))}

    def _observe(self) -> BareObservation:
        pixels = self.out.get("pixels", np.empty(self.size, np.uint8))
        pixels[:] = self.position % 256
        return BareObservation(position=self.position, steps=self.steps, pixels=pixels)

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[BareObservation]:
        self.position, self.steps, self.episode = seed or 0, 0, self.episode + 1
        return StepResult(self._observe())

    def step(self, action: BareAction) -> StepResult[BareObservation]:
        self.position += action.move
        self.steps += 1
        ended, cut = self.position >= self.goal, self.position <= -self.goal
        info = {"episode": self.episode} if ended or cut else {}
        return StepResult(self._observe(), float(action.move), ended, cut, info)

    def state(self) -> BareState:
        return BareState(position=self.position, episode=self.episode)

    def save(self) -> bytes:
        return f"{self.position} {self.steps} {self.episode}".encode()

    def load(self, data: bytes) -> None:
        self.position, self.steps, self.episode = map(int, data.split())
