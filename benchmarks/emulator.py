"""The emulator without any library: the ceiling of all contestants, and what their pixels must equal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms

from benchmarks.player import outcome, random_actions

GAMES = {"rgb": "pong", "ram": "pong", "breakout": "breakout", "seaquest": "seaquest"}
"""The game of each world."""
FRAMESKIP = 4
REPEAT_ACTION_PROBABILITY = 0.25
MAX_FRAMES = 108_000
CONDITIONS = "frameskip 4, repeat_action_probability 0.25, random actions, no resize, no stack"


class Emulator:
    """One game, four frames a step.

    Args:
        world: What is played and seen: a key of GAMES.
        pool: Whether a screen is the maximum of a step's last two, as EnvPool has it.
    """

    def __init__(self, world: str = "rgb", *, pool: bool = False) -> None:
        """Nothing is loaded until the first reset."""
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.ale = ALEInterface()
        self.ale.setFloat("repeat_action_probability", REPEAT_ACTION_PROBABILITY)
        self.ale.setInt("max_num_frames_per_episode", MAX_FRAMES)
        self._world, self._pool = world, pool

    def reset(self, seed: int, noops: int = 0) -> None:
        """Load the game with a seed."""
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(roms.get_rom_path(GAMES[self._world]))
        self.ale.reset_game()
        for _ in range(noops):
            self.ale.act(0)
        self.actions = self.ale.getMinimalActionSet()
        rgb = self._world != "ram"
        self._render = self.ale.getScreenRGB if rgb else self.ale.getRAM
        self.observation = np.empty((*self.ale.getScreenDims(), 3) if rgb else self.ale.getRAMSize(), np.uint8)
        self._before = self.observation.copy()
        self._render(self.observation)

    def step(self, action: int) -> float:
        """One step of four frames, and what is seen after it; the reward is returned."""
        press, reward = self.actions[action], 0.0
        for left in range(FRAMESKIP, 0, -1):
            reward += self.ale.act(press)
            if self._pool and left == 2:
                self._render(self._before)
        self._render(self.observation)
        if self._pool:
            np.maximum(self.observation, self._before, out=self.observation)
        return reward

    def play(self, seed: int, actions: list[int], noops: int = 0) -> list[str]:
        """The outcomes of a reset and of each step."""
        self.reset(seed, noops)
        found = [outcome(self.observation)]
        for action in actions:
            over = self.ale.game_over()  # then the next step begins a new episode, as all contestants do
            reward = 0.0 if over else self.step(action)
            if over:
                self.ale.reset_game()
                self._render(self.observation)
            found.append(outcome(self.observation, reward, self.ale.game_over()))
        return found


def reference(world: str) -> Callable[[list[int], list[list[int]]], list[list[str]]]:
    """What all contestants of a question must equal: each lane played by itself."""

    def play(seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        emulator = Emulator(world)
        return [emulator.play(seed, each) for seed, each in zip(seeds, actions, strict=True)]

    return play


class EmulatorLoop:
    """A player: one emulator in this process."""

    def __init__(self, world: str, seed: int = 0) -> None:
        """Load the game."""
        self._emulator = Emulator(world)
        self._emulator.reset(seed)
        self._actions = random_actions(len(self._emulator.actions), seed)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        return [self._emulator.play(seed, each) for seed, each in zip(seeds, actions, strict=True)]

    def step(self, count: int = 16) -> int:
        """See `Player`."""
        emulator, actions = self._emulator, self._actions
        for _ in range(count):
            emulator.step(next(actions))
            if emulator.ale.game_over():
                emulator.ale.reset_game()
        return count

    def close(self) -> None:
        """See `Player`."""
