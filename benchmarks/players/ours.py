"""Our clients: `python -m benchmarks.players.ours ADDRESS rgb LANES IN_FLIGHT TRANSPORT`.

One lane is an `EnvClient`, several are one `VectorEnvClient`, in lock step: act, wait, act. IN_FLIGHT threads share the
session of several lanes, each with a group of its own.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import openenv_grpc as oe
from benchmarks.player import WORLDS, echo_message, echo_outcome, outcome, random_actions, run
from openenv_grpc.client import VectorEnvClient

PACKAGES = ("grpcio", "protobuf", "numpy")
OPTIONS: dict[str, dict[str, Any]] = {"rgb": {"game": "pong"}, "ram": {"game": "pong", "obs_type": "ram"}, "echo": {}}
FIELD = {"rgb": "screen", "ram": "ram"}


def to_action(world: str, action: int) -> Any:
    """An action as our client takes it."""
    return echo_message(action) if world == "echo" else action


def see(world: str, result: Any) -> str:
    """The outcome of one lane's result."""
    done = result.terminated or result.truncated
    if world == "echo":
        return echo_outcome(result.observation.message, result.observation.length, result.reward, done)
    return outcome(getattr(result.observation, FIELD[world]), result.reward, done)


class OneLane:
    """A player: one lane in lock step."""

    def __init__(self, address: str, world: str, transport: str) -> None:
        """Open the session."""
        self._world = world
        self._env = oe.connect(address, transport=transport, **OPTIONS[world])
        self._env.reset(seed=0)
        self._actions = random_actions(WORLDS[world])

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        return [self._lane(*lane) for lane in zip(seeds, actions, strict=True)]

    def _lane(self, seed: int, actions: list[int]) -> list[str]:
        first = see(self._world, self._env.reset(seed=seed))
        return [first, *(see(self._world, self._env.step(to_action(self._world, action))) for action in actions)]

    def step(self) -> int:
        """See `Player`."""
        env, world = self._env, self._world
        for _ in range(16):
            if env.step(to_action(world, next(self._actions))).done:
                env.reset()
        return 16

    def close(self) -> None:
        """See `Player`."""
        self._env.close()


class ManyLanes:
    """A player: many lanes in one session, with as many requests in flight as there are groups."""

    def __init__(self, address: str, world: str, lanes: int, groups: int, transport: str) -> None:
        """Open the session."""
        self._world, self._lanes = world, lanes
        self._vec: Any = VectorEnvClient.connect(address, lanes, transport=transport, **OPTIONS[world])
        self._begun = False  # a reset with seeds loads 32 games: once is enough
        batches = np.random.default_rng(1).integers(0, WORLDS[world], (256, lanes)).tolist()
        self._batches = [[to_action(world, action) for action in batch] for batch in batches]
        if world in FIELD:
            self._batches = list(np.array(self._batches))
        self._at = 0
        size = lanes // groups
        self._groups = [range(low, low + size) for low in range(0, lanes, size)]
        self._threads = ThreadPoolExecutor(groups)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        results = [self._vec.reset(seed=seeds)]
        self._begun = True
        for batch in zip(*actions, strict=True):
            results.append(self._vec.step([to_action(self._world, action) for action in batch]))
        return [[self._see(result, lane) for result in results] for lane in range(self._lanes)]

    def _see(self, result: Any, lane: int) -> str:
        seen = result.observation
        end = result.reward[lane], result.done[lane]
        if self._world == "echo":
            return echo_outcome(seen.message[lane], int(seen.length[lane]), *end)
        return outcome(getattr(seen, FIELD[self._world])[lane], *end)

    def step(self) -> int:
        """See `Player`."""
        if not self._begun:
            self._vec.reset(seed=0)
            self._begun = True
        if len(self._groups) == 1:
            self._vec.step(self._batch())
            return self._lanes
        return sum(self._threads.map(self._some, self._groups))

    def _batch(self) -> Any:
        self._at = (self._at + 1) % len(self._batches)
        return self._batches[self._at]

    def _some(self, group: range) -> int:
        for _ in range(4):
            self._vec.step(self._batch()[group.start : group.stop], lanes=group)
        return 4 * len(group)

    def close(self) -> None:
        """See `Player`."""
        self._threads.shutdown()
        self._vec.close()


def main(address: str, world: str, lanes: str, in_flight: str, transport: str) -> None:
    """Play."""

    def player(at: str) -> OneLane | ManyLanes:
        if int(lanes) == 1:
            return OneLane(at, world, transport)
        return ManyLanes(at, world, int(lanes), int(in_flight), transport)

    run(player, address, PACKAGES)


if __name__ == "__main__":
    main(*sys.argv[1:])
