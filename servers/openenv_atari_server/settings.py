"""The construction options of the environment, checked, each with the value that is in force."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_atari_server.games import Game, describe_game, find_game
from openenv_atari_server.options import check_choice, check_flag, check_integer, check_probability
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import ArraySpec

if TYPE_CHECKING:
    from ale_py import Action

_RAW = {"obs_type": "rgb", "repeat_action_probability": 0.25, "noop_max": 0}
"""What `ALE/…-v5` registers in ale-py 0.12; without preprocessing the options that are missing here mean nothing."""
_STANDARD = {
    "obs_type": "grayscale",
    "repeat_action_probability": 0.0,
    "noop_max": 30,
    "img_height": 84,
    "img_width": 84,
    "stack_num": 4,
    "maxpool": True,
    "reward_clipping": True,
    "use_fire_reset": True,
}
"""The defaults of `ale_py.vector_env.AtariVectorEnv` of ale-py 0.12."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of `AtariEnvironment`, which documents them. Those that are None have a value in `in_force`."""

    game: str
    obs_type: str | None
    frameskip: int
    repeat_action_probability: float | None
    full_action_space: bool
    mode: int | None
    difficulty: int | None
    noop_max: int | None
    terminal_on_life_loss: bool
    max_episode_frames: int
    preprocessing: bool
    img_height: int | None
    img_width: int | None
    stack_num: int | None
    maxpool: bool | None
    reward_clipping: bool | None
    use_fire_reset: bool | None

    def __post_init__(self) -> None:
        """Check them.

        Raises:
            InvalidArgument: One is wrong, or makes no sense beside another; `field` names it.
        """
        check_flag("preprocessing", self.preprocessing)
        self._refuse_senseless()
        found = self.in_force
        check_choice("obs_type", found["obs_type"], ("rgb", "grayscale", "ram"))
        check_integer("frameskip", self.frameskip, low=1)
        check_probability("repeat_action_probability", found["repeat_action_probability"])
        check_flag("full_action_space", self.full_action_space)
        check_integer("noop_max", found["noop_max"])
        check_flag("terminal_on_life_loss", self.terminal_on_life_loss)
        check_integer("max_episode_frames", self.max_episode_frames)
        check_choice("mode", self.mode, (None, *self.described.modes))
        check_choice("difficulty", self.difficulty, (None, *self.described.difficulties))
        if self.preprocessing:
            for name, high in (("img_height", 1024), ("img_width", 1024), ("stack_num", 64)):
                check_integer(name, found[name], low=1, high=high)
            for name in ("maxpool", "reward_clipping", "use_fire_reset"):
                check_flag(name, found[name])

    def _refuse_senseless(self) -> None:
        if not self.preprocessing:
            for name in _STANDARD.keys() - _RAW.keys():
                if getattr(self, name) is not None:
                    message = "it is a part of the preprocessing; give preprocessing=True as well"
                    raise InvalidArgument(message, field=name)
            return
        for name in ("mode", "difficulty"):
            if getattr(self, name) is not None:
                message = "ale-py's preprocessing plays the game's default; leave it out, or the preprocessing"
                raise InvalidArgument(message, field=name)
        if self.obs_type == "ram":
            message = "there is no preprocessing of the console's memory; take rgb or grayscale"
            raise InvalidArgument(message, field="obs_type")

    @cached_property
    def described(self) -> Game:
        """The game's facts."""
        return describe_game(find_game(self.game))

    @cached_property
    def in_force(self) -> dict[str, Any]:
        """All options that mean something in this session, by name, `game` by ALE's id."""
        values = dataclasses.asdict(self) | {"game": find_game(self.game)}
        defaults: dict[str, Any] = _STANDARD if self.preprocessing else _RAW
        values |= {name: value for name, value in defaults.items() if values[name] is None}
        return {name: value for name, value in values.items() if name in defaults or name not in _STANDARD}

    @property
    def actions(self) -> tuple[Action, ...]:
        """The session's action set."""
        return self.described.all_actions if self.full_action_space else self.described.minimal_actions

    def action_spec(self) -> dict[str, ArraySpec]:
        """`action_id` is a scalar that indexes the action set."""
        return {"action_id": ArraySpec(np.int64, (), 0, len(self.actions) - 1)}

    def observation_spec(self) -> dict[str, ArraySpec]:
        """One of `screen` and `ram` has a shape; the other is absent."""
        found, game = self.in_force, self.described
        height, width = game.height, game.width
        lead: tuple[int, ...] = ()
        if self.preprocessing:
            lead, height, width = (found["stack_num"],), found["img_height"], found["img_width"]
        shapes = {
            "rgb": ("screen", (*lead, height, width, 3)),
            "grayscale": ("screen", (*lead, height, width)),
            "ram": ("ram", (game.ram_bytes,)),
        }
        field, shape = shapes[found["obs_type"]]
        spec = {"screen": ArraySpec(np.uint8, (0,)), "ram": ArraySpec(np.uint8, (0,))}
        return spec | {field: ArraySpec(np.uint8, shape, 0, 255)}
