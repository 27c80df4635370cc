"""ALE run in process, without any of our code: what the environment must equal, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ale_py
import numpy as np
from ale_py import roms

if TYPE_CHECKING:
    from openenv_grpc.environment import StepResult


class Reference:
    """The sequence of calls that `reset(seed=…)` and `step` promise, on an emulator of their own."""

    def __init__(
        self,
        game: str,
        seed: int,
        *,
        obs_type: str = "rgb",
        frameskip: int = 4,
        repeat: float = 0.25,
        mode: int | None = None,
        difficulty: int | None = None,
        max_frames: int = 108_000,
    ) -> None:
        ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
        ale = self.ale = ale_py.ALEInterface()
        self.obs_type, self.frameskip = obs_type, frameskip
        ale.setFloat("repeat_action_probability", repeat)
        ale.setInt("max_num_frames_per_episode", max_frames)
        ale.setInt("random_seed", seed)
        ale.loadROM(roms.get_rom_path(game))
        if mode is not None:
            ale.setMode(mode)
        if difficulty is not None:
            ale.setDifficulty(difficulty)
        ale.reset_game()
        self.actions = ale.getMinimalActionSet()

    def observe(self) -> np.ndarray:
        get = {"rgb": self.ale.getScreenRGB, "grayscale": self.ale.getScreenGrayscale, "ram": self.ale.getRAM}
        return get[self.obs_type]()

    def info(self) -> dict[str, Any]:
        return {
            "lives": self.ale.lives(),
            "episode_frame_number": self.ale.getEpisodeFrameNumber(),
            "frame_number": self.ale.getFrameNumber(),
        }

    def step(self, action_id: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = 0.0
        for _ in range(self.frameskip):
            reward += self.ale.act(self.actions[action_id])
        ended = self.ale.game_over(with_truncation=False), self.ale.game_truncated()
        return self.observe(), reward, *ended, self.info()


def frame(result: StepResult[Any]) -> np.ndarray:
    """The one field of an Atari observation that is there."""
    screen, ram = result.observation.screen, result.observation.ram
    assert (screen.size == 0) != (ram.size == 0)
    return screen if screen.size else ram


def assert_same(result: StepResult[Any], expected: tuple[np.ndarray, float, bool, bool, dict[str, Any]]) -> None:
    observation, *rest = expected
    ours = frame(result)
    assert ours.dtype == observation.dtype
    assert ours.shape == observation.shape
    assert ours.tobytes() == observation.tobytes()
    assert [result.reward, result.terminated, result.truncated, result.info] == rest
