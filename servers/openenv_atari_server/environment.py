"""One Atari 2600 game as an environment, raw or preprocessed, alone or with all lanes of a shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from openenv_atari import AtariAction, AtariObservation, AtariState
from openenv_atari_server.preprocessed import PreprocessedGames
from openenv_atari_server.raw import RawGame
from openenv_atari_server.raw_games import RawGames
from openenv_atari_server.settings import Settings
from openenv_atari_server.single import PreprocessedGame
from openenv_grpc.environment import Environment, StepResult
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openenv_grpc.specs import ArraySpec


class AtariEnvironment(Environment[AtariAction, AtariObservation, AtariState]):
    """An Atari 2600 game. Defaults are those that ale-py 0.12 registers for `ALE/…-v5`.

    With `preprocessing`, options whose default is None have the default of ale-py's `AtariVectorEnv`, which then does
    the work; without it, those from `img_height` on are refused.

    Args:
        game: ALE's id (`space_invaders`), or `SpaceInvaders`, or `ALE/SpaceInvaders-v5`.
        obs_type: `rgb`: `screen` is uint8 (height, width, 3); `grayscale`: `screen` is uint8 (height, width);
            `ram`: `ram` is uint8 (128,). The other field is absent. None for rgb, with preprocessing for grayscale.
        frameskip: Frames that a step holds its action for; their rewards add up. At least 1.
        repeat_action_probability: Chance, per frame, that the console goes on with the action before; in [0, 1).
            None for 0.25, with preprocessing for 0.
        full_action_space: All 18 actions instead of those that do something in this game.
        mode: One of the game's modes; None for the game's default. Not with preprocessing.
        difficulty: One of the game's difficulties; None for the console's default. Not with preprocessing.
        noop_max: A reset plays 1 to so many no-op frames, drawn evenly by a numpy generator that has the seed of ALE
            (the rule of Gymnasium's AtariPreprocessing); with preprocessing 0 to one less, drawn by a C++ generator
            that has it. 0 for none. None for 0, with preprocessing for 30.
        terminal_on_life_loss: A step after which fewer lives are left than before it ends the episode
            (AtariVectorEnv's `episodic_life`).
        max_episode_frames: Frames after which the episode is truncated; 0 for no limit.
        preprocessing: `screen` is a stack of the last frames, each the pixel-wise maximum of a step's last two,
            resized: uint8 (stack_num, img_height, img_width), in rgb with another axis of 3. The first frames of an
            episode are 0.
        img_height: Height of a frame in pixels, 1 to 1024; None for 84.
        img_width: Width of a frame in pixels, 1 to 1024; None for 84.
        stack_num: Frames in a stack, the newest last, 1 to 64; None for 4.
        maxpool: Whether to take the maximum of the last two frames, not the last one; None for True.
        reward_clipping: Whether a step's reward is cut to -1, 0 or 1; None for True.
        use_fire_reset: Whether a reset presses FIRE in games that have it; None for True.

    Raises:
        InvalidArgument: An option is wrong; `field` names it.
    """

    def __init__(
        self,
        *,
        game: str = "pong",
        obs_type: Literal["rgb", "grayscale", "ram"] | None = None,
        frameskip: int = 4,
        repeat_action_probability: float | None = None,
        full_action_space: bool = False,
        mode: int | None = None,
        difficulty: int | None = None,
        noop_max: int | None = None,
        terminal_on_life_loss: bool = False,
        max_episode_frames: int = 108_000,
        preprocessing: bool = False,
        img_height: int | None = None,
        img_width: int | None = None,
        stack_num: int | None = None,
        maxpool: bool | None = None,
        reward_clipping: bool | None = None,
        use_fire_reset: bool | None = None,
    ) -> None:
        """Check the options. The ROM is loaded by the first reset, which knows the seed."""
        self.settings = settings = Settings(
            game=game,
            obs_type=obs_type,
            frameskip=frameskip,
            repeat_action_probability=repeat_action_probability,
            full_action_space=full_action_space,
            mode=mode,
            difficulty=difficulty,
            noop_max=noop_max,
            terminal_on_life_loss=terminal_on_life_loss,
            max_episode_frames=max_episode_frames,
            preprocessing=preprocessing,
            img_height=img_height,
            img_width=img_width,
            stack_num=stack_num,
            maxpool=maxpool,
            reward_clipping=reward_clipping,
            use_fire_reset=use_fire_reset,
        )
        self._game = PreprocessedGame(settings) if preprocessing else RawGame(settings)

    @classmethod
    def batch(
        cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]
    ) -> PreprocessedGames | RawGames | None:
        """All lanes of a shard: with preprocessing in C++, where an autoreset mode resets them. None for one lane.

        With autoreset off lanes are stepped some at a time, which the C++ cannot do.

        Raises:
            InvalidArgument: An option is wrong; `field` names it.
        """
        if lanes == 1 or (options.get("preprocessing") and autoreset_mode is AutoresetMode.DISABLED):
            return None
        kind = PreprocessedGames if options.get("preprocessing") else RawGames
        return kind(cls(**options).settings, lanes, autoreset_mode)

    def action_spec(self) -> dict[str, ArraySpec]:
        """`action_id` is a scalar that indexes this session's action set."""
        return self.settings.action_spec()

    def observation_spec(self) -> dict[str, ArraySpec]:
        """One of `screen` and `ram` has this session's shape; the other is absent."""
        return self.settings.observation_spec()

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
        RawGame.check_reset_options(options)
        return self._game.reset(seed, None if self.out is Environment.out else self.out)

    def step(self, action: AtariAction) -> StepResult[AtariObservation]:
        """Hold an action for `frameskip` frames.

        Returns:
            The screen (or memory) after the last frame, the sum of the frames' rewards as the game counts them, and
            `info` with `lives`, `episode_frame_number` and `frame_number`.

        Raises:
            InvalidArgument: `action_id` is not in the action set; nothing was played.
            IllegalVerb: There was no reset yet.
        """
        return self._game.step(action.action_id, None if self.out is Environment.out else self.out)

    def state(self) -> AtariState:
        """Counters of the episode, and the options in force, `game` by ALE's id.

        Raises:
            IllegalVerb: There was no reset yet.
        """
        return self._game.state()

    def close(self) -> None:
        """Release the emulator."""
        self._game.close()
