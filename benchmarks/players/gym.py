"""Gymnasium's Atari environment with its usual wrappers, in process: `python -m benchmarks.players.gym rgb`."""

from __future__ import annotations

import sys

import ale_py
import gymnasium

from benchmarks.emulator import FRAMESKIP, REPEAT_ACTION_PROBABILITY
from benchmarks.player import WORLDS, outcome, random_actions, run


class GymnasiumPlayer:
    """A player."""

    def __init__(self, world: str) -> None:
        """Make the environment."""
        gymnasium.register_envs(ale_py)
        chosen = {"frameskip": FRAMESKIP, "repeat_action_probability": REPEAT_ACTION_PROBABILITY}
        self._env = gymnasium.make("ALE/Pong-v5", obs_type=world, **chosen)
        self._env.reset(seed=0)
        self._actions = random_actions(WORLDS[world])

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        return [self._lane(*lane) for lane in zip(seeds, actions, strict=True)]

    def _lane(self, seed: int, actions: list[int]) -> list[str]:
        atari = self._env.unwrapped
        atari.ale.setInt("random_seed", seed)  # reset(seed=…) would give ALE a hash of it
        atari.load_game()
        found = [outcome(self._env.reset()[0])]
        for action in actions:
            observation, reward, terminated, truncated, _ = self._env.step(action)
            found.append(outcome(observation, reward, terminated or truncated))
        return found

    def step(self) -> int:
        """See `Player`."""
        for _ in range(16):
            _, _, terminated, truncated, _ = self._env.step(next(self._actions))
            if terminated or truncated:
                self._env.reset()
        return 16

    def close(self) -> None:
        """See `Player`."""
        self._env.close()


if __name__ == "__main__":
    run(lambda _: GymnasiumPlayer(sys.argv[1]), "", ("gymnasium", "ale-py"))
