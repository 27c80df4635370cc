"""Pools of environments in one process: `python -m benchmarks.players.vectors ale 32 rgb` (or `envpool 32 rgb`).

Both are asked for whole screens, unscaled and unstacked, save for the world `gray`: what both do by default. EnvPool
can't do without pressing nothing once after a reset and taking the maximum of a step's last two frames; its screens
have the colours first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.player import WORLDS, outcome, run

GAMES = {"rgb": "pong", "gray": "pong"}
FRAMESKIP, REPEAT_ACTION_PROBABILITY = 4, 0.25


class PoolPlayer:
    """A player.

    Args:
        make: Makes an environment whose lanes have these seeds, and resets it.
        image: Turns its observations into (lanes, height, width, 3).
        lanes: How many.
        world: What is played.
    """

    def __init__(
        self, make: Callable[[list[int], str], tuple[Any, Any]], image: Callable[[Any], Any], lanes: int, world: str
    ) -> None:
        """Nothing is made until it is known with which seeds."""
        self._make, self._image, self._world = make, image, world
        self._env: Any = None
        self._batches = np.random.default_rng(1).integers(0, WORLDS[world], (1024, lanes))
        self._at = 0

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        self._env, first = self._make(seeds, self._world)
        found = [[outcome(np.ascontiguousarray(image))] for image in self._image(first)]
        for batch in np.array(actions).T:
            observation, rewards, terminated, truncated, _ = self._env.step(batch)
            for lane, image in enumerate(self._image(observation)):
                done = terminated[lane] or truncated[lane]
                found[lane].append(outcome(np.ascontiguousarray(image), rewards[lane], done))
        return found

    def step(self) -> int:
        """See `Player`."""
        self._at = (self._at + 1) % len(self._batches)
        batch = self._batches[self._at]
        if self._env is None:
            self._env, _ = self._make(list(range(len(batch))), self._world)
        self._env.step(batch)
        return len(batch)

    def close(self) -> None:
        """See `Player`."""
        if self._env is not None:
            self._env.close()


def _ale(seeds: list[int], world: str) -> tuple[Any, Any]:
    from ale_py.vector_env import AtariVectorEnv

    if world == "gray":
        env = AtariVectorEnv("pong", len(seeds))
        return env, env.reset(seed=np.array(seeds))[0]
    env = AtariVectorEnv(
        GAMES.get(world, world),
        len(seeds),
        img_height=210,
        img_width=160,
        grayscale=False,
        stack_num=1,
        frameskip=FRAMESKIP,
        repeat_action_probability=REPEAT_ACTION_PROBABILITY,
        maxpool=False,
        noop_max=0,
        use_fire_reset=False,
        reward_clipping=False,
    )
    return env, env.reset(seed=np.array(seeds))[0]


def _envpool(seeds: list[int], world: str) -> tuple[Any, Any]:
    import envpool

    env = envpool.make(
        f"{GAMES.get(world, world).capitalize()}-v5",
        env_type="gymnasium",
        num_envs=len(seeds),
        env_seed=seeds,
        seed=0,
        img_height=210,
        img_width=160,
        gray_scale=False,
        stack_num=1,
        frame_skip=FRAMESKIP,
        repeat_action_probability=REPEAT_ACTION_PROBABILITY,
        noop_max=1,
        use_fire_reset=False,
    )
    return env, env.reset()[0]


def ale_image(world: str) -> Callable[[Any], Any]:
    """How AtariVectorEnv's observations are read: a stack of one is no stack."""
    return (lambda screens: screens) if world == "gray" else (lambda screens: screens[:, 0])


def pool(lanes: int, world: str) -> PoolPlayer:
    """AtariVectorEnv in this process."""
    return PoolPlayer(_ale, ale_image(world), lanes, world)


if __name__ == "__main__":
    LANES, WORLD = int(sys.argv[2]), sys.argv[3]
    if sys.argv[1] == "ale":
        run(lambda _: pool(LANES, WORLD), "", ("ale-py",))
    else:
        envpool_player = PoolPlayer(_envpool, lambda screens: screens.transpose(0, 2, 3, 1), LANES, WORLD)
        run(lambda _: envpool_player, "", ("envpool",))
