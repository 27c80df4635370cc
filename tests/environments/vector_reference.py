"""`AtariVectorEnv` of ale-py in process: what preprocessing must equal, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ale_py.vector_env import AtariVectorEnv as TheirVectorEnv

from openenv_atari_server import AtariEnvironment
from openenv_atari_server.preprocessed import PreprocessedGames
from openenv_grpc.specs import AutoresetMode

NEXT, SAME, OFF = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED
MODES = {NEXT: "NextStep", SAME: "SameStep"}
NAMES = {"terminal_on_life_loss": "episodic_life", "max_episode_frames": "max_num_frames_per_episode"}
INFO = ("lives", "frame_number", "episode_frame_number")


def vector_env(options: Mapping[str, Any], lanes: int, mode: AutoresetMode) -> TheirVectorEnv:
    """Theirs, with our options."""
    theirs = {NAMES.get(name, name): value for name, value in options.items() if name != "obs_type"}
    grayscale = options.get("obs_type", "grayscale") == "grayscale"
    return TheirVectorEnv(num_envs=lanes, autoreset_mode=MODES[mode], grayscale=grayscale, num_threads=1, **theirs)


def assert_columns(screen: np.ndarray, info: Mapping[str, Any], theirs: np.ndarray, their_info: Any) -> None:
    """The same frames and infos; ours may have the `seed` besides."""
    assert screen.dtype == theirs.dtype == np.uint8
    assert screen.shape == theirs.shape
    assert screen.tobytes() == theirs.tobytes()
    assert {name.removeprefix("_") for name in info} - {"seed"} == set(INFO)
    for name in INFO:
        assert np.asarray(info[name]).tolist() == their_info[name].tolist(), name


def games(lanes: int, mode: AutoresetMode, **options: Any) -> PreprocessedGames:
    """Ours, as a batch."""
    batch = AtariEnvironment.batch(lanes, mode, {"preprocessing": True, **options})
    assert batch is not None
    return batch


class Drive:
    """Plays `ours`, a function of actions, beside `AtariVectorEnv`, with random actions.

    Attributes:
        terminations, truncations: How many episodes ended, and how.
    """

    def __init__(self, theirs: TheirVectorEnv, seed: int = 0) -> None:
        self.theirs, self.rng = theirs, np.random.default_rng(seed)
        self.terminations = self.truncations = 0

    def actions(self) -> np.ndarray:
        return self.rng.integers(self.theirs.single_action_space.n, size=self.theirs.num_envs)

    def check(self, actions: np.ndarray, ours: Any, final: Any) -> None:
        """One step: `ours` is screen, reward, terminated, truncated, info; `final` is (lanes, last screens)."""
        screen, reward, terminated, truncated, info = ours
        observation, *their_outcome, their_info = self.theirs.step(actions)
        assert_columns(screen, info, observation, their_info)
        for found, expected in zip((reward, terminated, truncated), their_outcome, strict=True):
            assert np.asarray(found).tolist() == expected.tolist()
        done = their_outcome[1] | their_outcome[2]
        self.terminations += int(their_outcome[1].sum())
        self.truncations += int(their_outcome[2].sum())
        lanes, last = final
        if "final_obs" in their_info:
            assert list(lanes) == np.flatnonzero(done).tolist()
            assert np.asarray(last).tobytes() == their_info["final_obs"][done].tobytes()
        else:
            assert not len(lanes)
