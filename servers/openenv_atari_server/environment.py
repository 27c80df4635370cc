"""One Atari 2600 game as an environment: what `gymnasium.make("ALE/…-v5")` does, rendered where the library says.

Steps follow `ale_py.env.AtariEnv` of ale-py 0.12 call for call, so rewards, ends and info are the same. Seeds differ:
Gymnasium hashes its seed before ALE sees it, while a seed here is ALE's own `random_seed`.
"""

from __future__ import annotations

import secrets
import uuid
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from openenv_atari import AtariAction, AtariObservation, AtariState
from openenv_atari_server.games import describe_game, find_game, new_ale
from openenv_atari_server.options import check_choice, check_flag, check_integer, check_probability
from openenv_grpc.environment import Environment, StepResult
from openenv_grpc.errors import IllegalVerb, InvalidArgument
from openenv_grpc.specs import ArraySpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_ABSENT: NDArray[np.uint8] = np.empty(0, np.uint8)


class AtariEnvironment(Environment[AtariAction, AtariObservation, AtariState]):
    """An Atari 2600 game. Defaults are those that ale-py 0.12 registers for `ALE/…-v5`.

    Args:
        game: ALE's id (`space_invaders`), or `SpaceInvaders`, or `ALE/SpaceInvaders-v5`.
        obs_type: `rgb`: `screen` is uint8 (height, width, 3); `grayscale`: `screen` is uint8 (height, width);
            `ram`: `ram` is uint8 (128,). The other field is absent.
        frameskip: Frames that a step holds its action for; their rewards add up. At least 1.
        repeat_action_probability: Chance, per frame, that the console goes on with the action before; in [0, 1).
        full_action_space: All 18 actions instead of those that do something in this game.
        mode: One of the game's modes; None for the game's default.
        difficulty: One of the game's difficulties; None for the console's default.
        noop_max: A reset plays 1 to so many no-op frames, drawn evenly by a numpy generator that has the seed of ALE
            (the rule of Gymnasium's AtariPreprocessing). 0 for none.
        terminal_on_life_loss: A step after which fewer lives are left than before it ends the episode.
        max_episode_frames: Frames after which the episode is truncated; 0 for no limit.

    Raises:
        InvalidArgument: An option is wrong; `field` names it.
    """

    def __init__(
        self,
        *,
        game: str = "pong",
        obs_type: Literal["rgb", "grayscale", "ram"] = "rgb",
        frameskip: int = 4,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        mode: int | None = None,
        difficulty: int | None = None,
        noop_max: int = 0,
        terminal_on_life_loss: bool = False,
        max_episode_frames: int = 108_000,
    ) -> None:
        """Check the options. The ROM is loaded by the first reset, which knows the seed."""
        check_choice("obs_type", obs_type, ("rgb", "grayscale", "ram"))
        check_integer("frameskip", frameskip, low=1)
        check_probability("repeat_action_probability", repeat_action_probability)
        check_flag("full_action_space", full_action_space)
        check_integer("noop_max", noop_max)
        check_flag("terminal_on_life_loss", terminal_on_life_loss)
        check_integer("max_episode_frames", max_episode_frames)
        self._game = describe_game(find_game(game))
        check_choice("mode", mode, (None, *self._game.modes))
        check_choice("difficulty", difficulty, (None, *self._game.difficulties))

        self._options = {
            "game": self._game.name,
            "obs_type": obs_type,
            "frameskip": frameskip,
            "repeat_action_probability": float(repeat_action_probability),
            "full_action_space": full_action_space,
            "mode": mode,
            "difficulty": difficulty,
            "noop_max": noop_max,
            "terminal_on_life_loss": terminal_on_life_loss,
            "max_episode_frames": max_episode_frames,
        }
        actions = self._game.all_actions if full_action_space else self._game.minimal_actions
        self._meanings = [action.name for action in actions]
        self._presses = [action.value for action in actions]
        self._frames = range(frameskip)
        self._mode = mode
        self._difficulty = difficulty
        self._noop_max = noop_max
        self._life_loss_ends = terminal_on_life_loss
        self._ale = new_ale()
        self._ale.setFloat("repeat_action_probability", repeat_action_probability)
        self._ale.setInt("max_num_frames_per_episode", max_episode_frames)
        self._choose_observation(obs_type)
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
        self._field, self._shape, self._render = choices[obs_type]

    def action_spec(self) -> dict[str, ArraySpec]:
        """`action_id` is a scalar that indexes this session's action set."""
        return {"action_id": ArraySpec(np.int64, (), 0, len(self._presses) - 1)}

    def observation_spec(self) -> dict[str, ArraySpec]:
        """One of `screen` and `ram` has this game's shape; the other is absent."""
        spec = {"screen": ArraySpec(np.uint8, (0,)), "ram": ArraySpec(np.uint8, (0,))}
        return spec | {self._field: ArraySpec(np.uint8, self._shape, 0, 255)}

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[AtariObservation]:
        """Begin a new game.

        Args:
            seed: ALE's `random_seed`, from 0 to 2³¹ − 1: loads the ROM anew, so that the episode equals `setInt`,
                `loadROM`, `setMode`, `setDifficulty` and `reset_game` in that order. None goes on with the random
                state as it is; the first reset of all then draws a seed.
            options: There are none.

        Returns:
            The first observation. `info` has `lives`, `episode_frame_number`, `frame_number` and, where the ROM was
            loaded, the `seed` it was loaded with.

        Raises:
            InvalidArgument: The seed is out of range, or there are options.
        """
        if options:
            message = "a reset of this environment has no options"
            raise InvalidArgument(message, field=f"options.{next(iter(options))}")
        if seed is not None:
            check_integer("seed", seed)
        elif not self._num_actions:
            seed = secrets.randbits(31)
        if seed is not None:
            self._load(seed)
        self._ale.reset_game()
        self._press_noops()
        self._lives = self._ale.lives()
        self._step_count = 0
        self._episode_id = uuid.uuid4().hex
        info = self._info() if seed is None else self._info() | {"seed": seed}
        return StepResult(self._observe(), info=info)

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

    def step(self, action: AtariAction) -> StepResult[AtariObservation]:
        """Hold an action for `frameskip` frames.

        Returns:
            The screen (or memory) after the last frame, the sum of the frames' rewards as the game counts them, and
            `info` with `lives`, `episode_frame_number` and `frame_number`.

        Raises:
            InvalidArgument: `action_id` is not in the action set; nothing was played.
            IllegalVerb: There was no reset yet.
        """
        index = action.action_id
        if not 0 <= index < self._num_actions:
            self._refuse(index)
        ale, press, reward = self._ale, self._presses[index], 0.0
        for _ in self._frames:
            reward += ale.act(press)
        lives = ale.lives()
        terminated = ale.game_over(with_truncation=False) or (self._life_loss_ends and lives < self._lives)
        self._lives = lives
        self._step_count += 1
        return StepResult(self._observe(), reward, terminated, ale.game_truncated(), self._info())

    def _refuse(self, index: int) -> None:
        self._require_reset()
        message = f"{index} is not within [0, {self._num_actions - 1}], the action set of {self._game.name}"
        raise InvalidArgument(message, field="action_id")

    def _require_reset(self) -> None:
        if not self._num_actions:
            message = "the environment was not reset yet"
            raise IllegalVerb(message)

    def _observe(self) -> AtariObservation:
        """Render into the destination if there is one, into an array of our own outside a session."""
        out = self.out
        frame = np.empty(self._shape, np.uint8) if out is Environment.out else out.get(self._field, _ABSENT)
        if frame is not _ABSENT:
            self._render(frame)
        if self._field == "screen":
            return AtariObservation(screen=frame, ram=_ABSENT)
        return AtariObservation(screen=_ABSENT, ram=frame)

    def _info(self) -> dict[str, Any]:
        ale = self._ale
        return {
            "lives": ale.lives(),
            "episode_frame_number": ale.getEpisodeFrameNumber(),
            "frame_number": ale.getFrameNumber(),
        }

    def state(self) -> AtariState:
        """Counters of the episode, and the options in force, `game` by ALE's id.

        Raises:
            IllegalVerb: There was no reset yet.
        """
        self._require_reset()
        return AtariState(
            episode_id=self._episode_id,
            step_count=self._step_count,
            lives=self._ale.lives(),
            frame_number=self._ale.getFrameNumber(),
            episode_frame_number=self._ale.getEpisodeFrameNumber(),
            action_meanings=self._meanings,
            options=self._options,
        )
