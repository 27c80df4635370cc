"""Our clients: `python -m benchmarks.players.ours ADDRESS rgb LANES IN_FLIGHT TRANSPORT`.

One lane is an `EnvClient`, several are one `VectorEnvClient`, in lock step: act, wait, act. With IN_FLIGHT batches they
are a `VectorEnv`: whichever batch has come is sent on, while the others are under way.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import openenv_grpc as oe
from benchmarks.player import WORLDS, echo_message, echo_outcome, outcome, random_actions, run
from openenv_grpc.client import VectorEnvClient

PACKAGES = ("grpcio", "protobuf", "numpy")
OPTIONS: dict[str, dict[str, Any]] = {
    "rgb": {"game": "pong"},
    "ram": {"game": "pong", "obs_type": "ram"},
    "breakout": {"game": "breakout"},
    "seaquest": {"game": "seaquest"},
    "gray": {"game": "pong", "preprocessing": True},
    "echo": {},
}
FIELD = {name: "ram" if name == "ram" else "screen" for name in OPTIONS if name != "echo"}


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
    """A player: many lanes in one session, in lock step."""

    def __init__(self, address: str, world: str, lanes: int, transport: str) -> None:
        """Open the session."""
        self._world, self._lanes = world, lanes
        self._vec: Any = VectorEnvClient.connect(address, lanes, transport=transport, **OPTIONS[world])
        self._begun = False  # a reset with seeds loads 32 games: once is enough
        self._batches = _batches(world, lanes)

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
        self._vec.step(next(self._batches))
        return self._lanes

    def close(self) -> None:
        """See `Player`."""
        self._vec.close()


class ManyBatches:
    """A player: many lanes in one session, in batches, each sent on as soon as it has come."""

    def __init__(self, address: str, world: str, lanes: int, batches: int, transport: str) -> None:
        """Open the session."""
        size = lanes // batches
        self._vec = oe.connect_vec(address, lanes, batch_size=size, transport=transport, **OPTIONS[world])
        self._begun = False
        self._lanes = lanes
        self._batches = _batches(world, size)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`; in lock step, before the batches begin."""
        found = [[outcome(screen)] for screen in self._vec.reset(seed=seeds)[0]]
        for batch in zip(*actions, strict=True):
            screens, rewards, terminated, truncated, _ = self._vec.step(np.array(batch))
            for lane, screen in enumerate(screens):
                found[lane].append(outcome(screen, rewards[lane], terminated[lane] or truncated[lane]))
        return found

    def step(self) -> int:
        """See `Player`."""
        if not self._begun:
            self._vec.async_reset()
            self._begun = True
        self._vec.recv()
        actions = next(self._batches)
        self._vec.send(actions)
        return len(actions)

    def close(self) -> None:
        """See `Player`."""
        self._vec.close()


def _batches(world: str, lanes: int) -> Iterator[Any]:
    """Random actions of all lanes, without end, drawn beforehand."""
    drawn = np.random.default_rng(1).integers(0, WORLDS[world], (256, lanes))
    batches = list(drawn) if world in FIELD else [[to_action(world, int(each)) for each in batch] for batch in drawn]
    return itertools.cycle(batches)


def main(address: str, world: str, lanes: str, in_flight: str, transport: str) -> None:
    """Play."""

    def player(at: str) -> OneLane | ManyLanes | ManyBatches:
        if int(lanes) == 1:
            return OneLane(at, world, transport)
        if int(in_flight) == 1:
            return ManyLanes(at, world, int(lanes), transport)
        return ManyBatches(at, world, int(lanes), int(in_flight), transport)

    run(player, address, PACKAGES)


if __name__ == "__main__":
    main(*sys.argv[1:])
