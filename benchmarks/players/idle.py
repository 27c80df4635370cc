"""Our clients by the local lane, where nothing is played: `python -m benchmarks.players.idle ADDRESS LANES CLIENT HOW`.

CLIENT is `EnvClient`, `VectorEnvClient` or `VectorEnv`; all in lock step. HOW is `together` or `alone`: how the lanes
of a shard are made. Screens, rewards and ends are taken out of each result, as a trainer does, and of `VectorEnv`,
which hands them over, infos.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np

import openenv_grpc as oe
from benchmarks.idle import ACTIONS
from benchmarks.player import run
from openenv_grpc.client import VectorEnvClient

STEPS = 16
"""Between two looks at the clock."""


def connect(address: str, lanes: int, client: str, how: str) -> Any:
    """A session."""
    if client == "EnvClient":
        return oe.connect(address, transport="local")
    kind: Any = oe.connect_vec if client == "VectorEnv" else VectorEnvClient.connect
    return kind(address, lanes, transport="local", together=how == "together")


class IdlePlayer:
    """A player that plays nothing."""

    def __init__(self, address: str, lanes: int, client: str, how: str) -> None:
        """Open the session."""
        self._lanes = lanes
        self._env = connect(address, lanes, client, how)
        self._env.reset()
        shape = (256,) if client == "EnvClient" else (256, lanes)
        drawn = np.random.default_rng(1).integers(0, ACTIONS, shape)
        self._actions = itertools.cycle(drawn.tolist() if client == "EnvClient" else list(drawn))
        self._take = _take_tuple if client == "VectorEnv" else _take_result

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """There is nothing to play."""
        raise NotImplementedError

    def step(self) -> int:
        """See `Player`."""
        step, take, actions = self._env.step, self._take, self._actions
        for _ in range(STEPS):
            take(step(next(actions)))
        return STEPS * self._lanes

    def close(self) -> None:
        """See `Player`."""
        self._env.close()


def _take_result(result: Any) -> tuple[Any, ...]:
    return result.observation.screen, result.reward, result.terminated, result.truncated


def _take_tuple(result: Any) -> tuple[Any, ...]:
    screens, rewards, terminated, truncated, infos = result
    return screens, rewards, terminated, truncated, *infos.values()


if __name__ == "__main__":
    LANES, CLIENT, HOW = int(sys.argv[2]), sys.argv[3], sys.argv[4]
    run(lambda address: IdlePlayer(address, LANES, CLIENT, HOW), sys.argv[1], ("grpcio", "numpy"))
