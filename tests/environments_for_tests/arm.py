"""An environment with observations and actions of several fields, and infos of every kind that Gymnasium lays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from openenv_arm import ArmAction, ArmObservation, ArmState, Grip

from openenv_grpc.environment import Environment, StepResult
from openenv_grpc.specs import ArraySpec


class ArmEnvironment(Environment[ArmAction, ArmObservation, ArmState]):
    """Episodes of `limit` to `limit + 2` turns, as the last seed says; with the brake on they are truncated."""

    def __init__(self, limit: int = 2, light: int = 0) -> None:
        self.limit, self.light, self.seed = limit, light, 0
        self.turns = self.runs = 0
        self.joints = np.zeros(2, np.float32)

    def action_spec(self) -> Mapping[str, ArraySpec]:
        return {"light": ArraySpec(np.uint8, (self.light,))}

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        return {"camera": ArraySpec(np.uint8, (self.light, 2))}

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[ArmObservation]:
        self.seed = self.seed if seed is None else seed
        self.turns, self.runs = 0, self.runs + 1
        self.joints = np.full(2, self.seed + options.get("shift", 0), np.float32)
        return StepResult(self._observe(False, Grip.GRIP_OPEN, np.zeros(self.light)), info={"run": self.runs})

    def step(self, action: ArmAction) -> StepResult[ArmObservation]:
        """Raises when all force is -1."""
        if (action.force == -1).all():
            message = "too much force"
            raise ValueError(message)
        self.turns += 1
        self.joints = self.joints + action.force
        ended = self.turns >= self.limit + self.seed % 3
        info: dict[str, Any] = {"energy": float(abs(action.force).sum())}
        if self.turns % 2 == self.seed % 2:
            info["contact"] = {"joints": self.joints.copy(), "count": self.turns, "hard": action.brake}
        if ended:
            info |= {"note": f"ended after {self.turns}", "path": [self.turns, self.seed]}
        observation = self._observe(action.brake, action.grip, action.light)
        reward = float(self.joints.sum())
        return StepResult(observation, reward, ended and not action.brake, ended and action.brake, info)

    def _observe(self, braked: bool, grip: Grip, light: np.ndarray) -> ArmObservation:
        camera = np.repeat(light[:, None], 2, 1).astype(np.uint8)
        heat = self.turns / 8
        return ArmObservation(joints=self.joints, braked=braked, grip=grip, turns=self.turns, heat=heat, camera=camera)

    def state(self) -> ArmState:
        return ArmState(turns=self.turns)
