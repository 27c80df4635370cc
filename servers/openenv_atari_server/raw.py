"""A game as `gymnasium.make("ALE/…-v5")` plays it, rendered where the library says.

Steps follow `ale_py.env.AtariEnv` of ale-py 0.12 call for call, so rewards, ends and info are the same. Seeds differ:
Gymnasium hashes its seed before ALE sees it, while a seed here is ALE's own `random_seed`.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_atari import AtariObservation, AtariState
from openenv_atari_server.games import new_ale
from openenv_atari_server.options import check_integer
from openenv_grpc.environment import StepResult
from openenv_grpc.errors import IllegalVerb, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from openenv_atari_server.settings import Settings

ABSENT: NDArray[np.uint8] = np.empty(0, np.uint8)
"""The field that a session's `obs_type` leaves out."""


class RawGame:
    """One emulator, without preprocessing. Its `reset` and `step` are those of `AtariEnvironment`, which see.

    Args:
        settings: The options.

    Attributes:
        render: Writes the observation as it is now into an array of its shape.
    """

    def __init__(self, settings: Settings) -> None:
        """Make an emulator. The ROM is loaded by the first reset, which knows the seed."""
        options = settings.in_force
        self._settings = settings
        self._game = settings.described
        self._presses = [action.value for action in settings.actions]
        self._frames = range(options["frameskip"])
        self._mode = options["mode"]
        self._difficulty = options["difficulty"]
        self._noop_max = options["noop_max"]
        self._life_loss_ends = options["terminal_on_life_loss"]
        self._ale = new_ale()
        self._ale.setFloat("repeat_action_probability", options["repeat_action_probability"])
        self._ale.setInt("max_num_frames_per_episode", options["max_episode_frames"])
        self._choose_observation(options["obs_type"])
        self._num_actions = 0  # none is accepted before the first reset
        self._lives = 0
        self._step_count = 0
        self._episode_id = ""
        self._rng = np.random.default_rng(0)

    def _choose_observation(self, obs_type: str) -> None:
        """Which field, of what shape, written by which function; the function outlives the ROMs that are loaded."""
        height, width = self._game.height, self._game.width
        choices: dict[str, tuple[str, tuple[int, ...], Callable[[NDArray[np.uint8]], None]]] = {
            "rgb": ("screen", (height, width, 3), self._ale.getScreenRGB),
            "grayscale": ("screen", (height, width), self._ale.getScreenGrayscale),
            "ram": ("ram", (self._game.ram_bytes,), self._ale.getRAM),
        }
        self._field, self._shape, self.render = choices[obs_type]

    def reset(self, seed: int | None, out: Mapping[str, NDArray[np.uint8]] | None) -> StepResult[AtariObservation]:
        """Begin a new game."""
        if seed is not None:
            check_integer("seed", seed)
        loaded = self.begin(seed)
        info = self._info() if loaded is None else self._info() | {"seed": loaded}
        return StepResult(self._observe(out), info=info)

    @staticmethod
    def check_reset_options(options: Mapping[str, Any]) -> None:
        """Refuse options of a reset: there are none.

        Raises:
            InvalidArgument: There are.
        """
        if options:
            message = "a reset of this environment has no options"
            raise InvalidArgument(message, field=f"options.{next(iter(options))}")

    def begin(self, seed: int | None) -> int | None:
        """Begin a new game and render nothing; the seed that the ROM was loaded with, if it was loaded."""
        if seed is None and not self._num_actions:
            seed = secrets.randbits(31)
        if seed is not None:
            self._load(seed)
        self._ale.reset_game()
        self._press_noops()
        self._lives = self._ale.lives()
        self._step_count = 0
        self._episode_id = ""
        return seed

    def _load(self, seed: int) -> None:
        self._ale.setInt("random_seed", seed)
        self._ale.loadROM(self._game.rom)
        if self._mode is not None:
            self._ale.setMode(self._mode)
        if self._difficulty is not None:
            self._ale.setDifficulty(self._difficulty)
        self._rng = np.random.default_rng(seed)
        self._num_actions = len(self._presses)

    def _press_noops(self) -> None:
        for _ in range(self._rng.integers(1, self._noop_max + 1) if self._noop_max else 0):
            self._ale.act(0)
            if self._ale.game_over():
                self._ale.reset_game()

    def step(self, index: int, out: Mapping[str, NDArray[np.uint8]] | None) -> StepResult[AtariObservation]:
        """Hold an action for some frames."""
        outcome = self.play(index)
        return StepResult(self._observe(out), *outcome, self._info())

    def play(self, index: int) -> tuple[float, bool, bool]:
        """Hold an action for some frames and render nothing: reward, terminated, truncated."""
        if not 0 <= index < self._num_actions:
            self._refuse(index)
        ale, press, reward = self._ale, self._presses[index], 0.0
        for _ in self._frames:
            reward += ale.act(press)
        lives = ale.lives()
        terminated = ale.game_over(with_truncation=False) or (self._life_loss_ends and lives < self._lives)
        self._lives = lives
        self._step_count += 1
        return reward, terminated, ale.game_truncated()

    def _refuse(self, index: int) -> None:
        self._require_reset()
        message = f"{index} is not within [0, {self._num_actions - 1}], the action set of {self._game.name}"
        raise InvalidArgument(message, field="action_id")

    def _require_reset(self) -> None:
        if not self._num_actions:
            message = "the environment was not reset yet"
            raise IllegalVerb(message)

    def _observe(self, out: Mapping[str, NDArray[np.uint8]] | None) -> AtariObservation:
        """Render into the destination if there is one, into an array of our own outside a session."""
        frame = np.empty(self._shape, np.uint8) if out is None else out.get(self._field, ABSENT)
        if frame is not ABSENT:
            self.render(frame)
        if self._field == "screen":
            return AtariObservation(screen=frame, ram=ABSENT)
        return AtariObservation(screen=ABSENT, ram=frame)

    def counters(self) -> tuple[int, int, int]:
        """Lives, frames of the episode, frames since the ROM was loaded."""
        return self._lives, self._ale.getEpisodeFrameNumber(), self._ale.getFrameNumber()

    def _info(self) -> dict[str, Any]:
        lives, episode, total = self.counters()
        return {"lives": lives, "episode_frame_number": episode, "frame_number": total}

    def state(self) -> AtariState:
        """As `AtariEnvironment.state`."""
        self._require_reset()
        self._episode_id = self._episode_id or uuid.uuid4().hex
        return AtariState(
            episode_id=self._episode_id,
            step_count=self._step_count,
            lives=self._ale.lives(),
            frame_number=self._ale.getFrameNumber(),
            episode_frame_number=self._ale.getEpisodeFrameNumber(),
            action_meanings=[action.name for action in self._settings.actions],
            options=self._settings.in_force,
        )

    def close(self) -> None:
        """Nothing to do: the emulator goes with the object."""
