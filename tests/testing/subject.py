"""Environments that the cases are tried on: one that can show nearly all of them, and one without extras."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import numpy as np

from openenv_grpc.specs import ArraySpec
from openenv_grpc.testing import Hints
from tests.environments_for_tests.probe import ProbeEnvironment

FULL = "tests.testing.subject:FullEnvironment"
PLAIN = "tests.testing.subject:PlainEnvironment"
HINTS = Hints(
    ending_action={"verb": "end"},
    truncating_action={"verb": "cut"},
    slow_action={"verb": "sleep", "amount": 0.4},
    failing_action={"verb": "raise:as told"},
    stochastic=True,
)


class FullEnvironment(ProbeEnvironment):
    """Honours seeds, can be saved, and bounds its observations."""

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        bounds = {"level": ArraySpec(np.int32, (), -5, 5), "ratio": ArraySpec(np.float32, (), 0, 1)}
        return {**super().observation_spec(), **bounds}

    def save(self) -> bytes:
        return pickle.dumps((self.episode, self.steps, self.total, self.random.getstate()))

    def load(self, data: bytes) -> None:
        self.episode, self.steps, self.total, state = pickle.loads(data)
        self.random.setstate(state)


class PlainEnvironment(ProbeEnvironment):
    """Honours no seeds and cannot be saved."""

    seeds = False
