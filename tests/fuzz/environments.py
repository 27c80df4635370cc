"""The tests' environments as the fuzz targets use them: nothing that an input says can hurt or slow the process."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tests.helpers.packages  # noqa: F401 - makes the environments' messages importable

# isort: split
from openenv_bare import BareAction, BareObservation
from openenv_probe import ProbeState

from openenv_grpc.environment import StepResult
from openenv_grpc.errors import InvalidArgument
from tests.environments_for_tests.bare import BareEnvironment as BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment
from tests.environments_for_tests.probe import blank as blank
from tests.fuzz import model

ALLOWED = ("raise", "refuse", "quit", "wrong")


class TameEnvironment(ProbeEnvironment):
    """A ProbeEnvironment that neither dies nor sleeps."""

    def _do(self, verb: str, amount: float) -> Any:
        return super()._do(verb, amount) if str(verb).partition(":")[0] in ALLOWED else None

    def state(self) -> ProbeState:
        return ProbeState(episode=self.episode, steps=self.steps, total=self.total, pid=0, modules=[])


class FussyEnvironment(BareEnvironment):
    """A BareEnvironment that fails where `tests/fuzz/model.py` says it does. It fails before it changes anything."""

    def __init__(self) -> None:
        super().__init__(size=2, goal=model.GOAL)
        self.broken = False

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[BareObservation]:
        if self.broken or seed == model.BAD_SEED:
            self.broken = False
            message = "no new episode"
            raise RuntimeError(message)
        result = super().reset(seed=seed, options=options)
        return dataclasses.replace(result, terminated=seed == model.SHORT_SEED)

    def step(self, action: BareAction) -> StepResult[BareObservation]:
        if action.move == model.FAIL:
            message = "no such move"
            raise ValueError(message)
        if action.move == model.REFUSE:
            message = "not this one"
            raise InvalidArgument(message, field="move")
        self.broken = self.broken or action.move == model.BREAK
        return super().step(action)

    def save(self) -> bytes:
        return super().save() + f" {self.broken:d}".encode()

    def load(self, data: bytes) -> None:
        numbers, _, broken = data.rpartition(b" ")
        super().load(numbers)
        self.broken = broken == b"1"
