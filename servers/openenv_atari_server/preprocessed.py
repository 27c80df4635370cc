"""Many games at once with the standard preprocessing, run by ale-py's own C++ (what `AtariVectorEnv` runs).

The C++ is `ale_py.ALEVectorInterface`: one thread emulates the lanes of a shard, one after the other, without Python.
It knows two autoreset modes. Its `NextStep` is used for all of ours: `SAME_STEP` resets lanes that have ended right
after the step, which plays what its `SameStep` plays and leaves their last infos to be read.
"""

from __future__ import annotations

import secrets
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from ale_py._ale_py import ALEVectorInterface  # `ale_py` itself has it only where gymnasium is installed

from openenv_atari import AtariState
from openenv_atari_server.options import check_integer
from openenv_grpc.environment import Batch, BatchResult
from openenv_grpc.errors import IllegalVerb, InvalidArgument
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_atari_server.settings import Settings
    from openenv_grpc.specs import ArraySpec

_NO_LIMIT = 2**31 - 2  # the C++ adds 1 to it


class PreprocessedGames(Batch[AtariState]):
    """The lanes of a shard, equal to `AtariVectorEnv` of ale-py 0.12 byte for byte.

    A lane's seed is ALE's `random_seed` and the seed of the no-op frames, as in `AtariVectorEnv`. A lane that is reset
    for the first time without a seed draws one, which its info then has.

    The C++ steps all lanes or none. Its thread never answers an action that is out of range, so actions are checked
    here, whoever calls.

    Args:
        settings: Options with preprocessing.
        lanes: How many.
        mode: What happens when an episode ends.
    """

    def __init__(self, settings: Settings, lanes: int, mode: AutoresetMode) -> None:
        """Load the game into each lane (about 85 ms each); a reset with a seed loads it again."""
        self._settings = settings
        self._same_step = mode is AutoresetMode.SAME_STEP
        options = settings.in_force
        # Any: the stub wants arrays where the C++ takes any sequence, and lists are quicker.
        self._games: Any = ALEVectorInterface(
            rom_path=settings.described.rom,
            num_envs=lanes,
            batch_size=0,  # all
            num_threads=1,
            thread_affinity_offset=-1,  # where the worker is
            frame_skip=options["frameskip"],
            stack_num=options["stack_num"],
            img_height=options["img_height"],
            img_width=options["img_width"],
            grayscale=options["obs_type"] == "grayscale",
            maxpool=options["maxpool"],
            noop_max=options["noop_max"],
            use_fire_reset=options["use_fire_reset"],
            episodic_life=options["terminal_on_life_loss"],
            life_loss_info=False,
            reward_clipping=options["reward_clipping"],
            max_episode_steps=min(options["max_episode_frames"] or _NO_LIMIT, _NO_LIMIT),
            repeat_action_probability=options["repeat_action_probability"],
            full_action_space=options["full_action_space"],
            autoreset_mode="NextStep",
        )
        self._receive: Any = partial(self._games.recv)
        self._answers: list[Any] = []
        self._all = list(range(lanes))
        self._strengths = [1.0] * lanes  # of paddles; the action set's actions are pressed all the way
        self._last_action = len(settings.actions) - 1
        self._begun = False
        self._seeded = np.zeros(lanes, np.bool_)
        self._ended = np.zeros(lanes, np.bool_)
        self._steps = np.zeros(lanes, np.int64)
        self._ids = [""] * lanes
        self._info: Mapping[str, NDArray[Any]] = {}

    def close(self) -> None:
        """End the emulator's thread."""
        self._games = self._receive = None

    def action_spec(self) -> dict[str, ArraySpec]:
        """As `Settings.action_spec`."""
        return self._settings.action_spec()

    def observation_spec(self) -> dict[str, ArraySpec]:
        """As `Settings.observation_spec`."""
        return self._settings.observation_spec()

    def reset(self, lanes: Sequence[int], *, seeds: Sequence[int | None], options: Mapping[str, Any]) -> BatchResult:
        """Begin new games.

        Args:
            lanes: Lanes to reset.
            seeds: From 0 to 2³¹ − 1: loads the lane's ROM anew. None goes on with the random state as it is.
            options: There are none.

        Returns:
            `screen`, and the info `lives`, `episode_frame_number`, `frame_number` and, where a lane was seeded, `seed`.

        Raises:
            InvalidArgument: A seed is out of range, or there are options.
        """
        if options:
            message = "a reset of this environment has no options"
            raise InvalidArgument(message, field=f"options.{next(iter(options))}")
        for seed in seeds:
            if seed is not None:
                check_integer("seed", seed)
        chosen = [
            secrets.randbits(31) if seed is None and not self._seeded[lane] else -1 if seed is None else seed
            for lane, seed in zip(lanes, seeds, strict=True)
        ]
        screen, info = self._reset(lanes, chosen)
        rows = {name: column[lanes] for name, column in info.items()}
        given = np.array(chosen, np.int64)
        if (given >= 0).any():
            rows |= {"seed": given, "_seed": given >= 0}
        return BatchResult({"screen": self._deliver(screen[lanes])}, info=rows)

    def _reset(self, lanes: Sequence[int], seeds: Sequence[int]) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        """Reset some lanes; the answer has rows of all. The first time, the C++ wants all to be reset."""
        chosen = dict(zip(lanes, seeds, strict=True))
        if not self._begun:
            chosen = {lane: chosen.get(lane, -1) for lane in self._all}
        screen, info = self._running.reset(list(chosen), list(chosen.values()))
        self._begun = True
        self._ended[lanes] = False
        self._begin(lanes)
        self._seeded[lanes] = True
        return screen, self._keep(info)

    def step(self, lanes: Sequence[int], actions: Mapping[str, Any]) -> BatchResult:
        """Hold an action for `frameskip` frames in each lane.

        Args:
            lanes: All of them.
            actions: `action_id`, integers (lanes,).

        Returns:
            `screen`, rewards, ends and the info `lives`, `episode_frame_number` and `frame_number`.

        Raises:
            InvalidArgument: An action is not in the action set; nothing was played.
            IllegalVerb: There was no reset yet.
        """
        presses = self._presses(actions["action_id"])
        # One call from C, so that an alarm finds the games before the step or after it, never with a step on its way.
        send = partial(self._running.send, presses, self._strengths)
        self._answers[:] = map(partial.__call__, (send, self._receive))
        screen, reward, terminated, truncated, info = self._answers[1]
        self._steps += 1
        self._begin(np.flatnonzero(self._ended))
        ended = self._ended = terminated | truncated
        info = self._keep(info)
        if not (self._same_step and ended.any()):
            return BatchResult({"screen": self._deliver(screen)}, reward, terminated, truncated, info)
        over = np.flatnonzero(ended).tolist()
        fresh, new_info = self._reset(over, [-1] * len(over))
        final_info = {name: column[over] for name, column in info.items()}
        observation = {"screen": self._deliver(fresh)}
        return BatchResult(
            observation, reward, terminated, truncated, new_info, over, {"screen": screen[over]}, final_info
        )

    def _presses(self, actions: Any) -> list[int]:
        presses: list[int] = actions.tolist()
        if not self._begun:
            message = "the environment was not reset yet"
            raise IllegalVerb(message)
        if min(presses) < 0 or max(presses) > self._last_action:
            wrong = next(press for press in presses if not 0 <= press <= self._last_action)
            message = (
                f"{wrong} is not within [0, {self._last_action}], the action set of {self._settings.described.name}"
            )
            raise InvalidArgument(message, field="action_id")
        return presses

    @property
    def _running(self) -> Any:
        if self._games is None:
            message = "the environment is closed"
            raise IllegalVerb(message)
        return self._games

    def _begin(self, lanes: Any) -> None:
        """Count the steps of some lanes anew."""
        self._steps[lanes] = 0
        for lane in lanes:
            self._ids[lane] = ""

    def _keep(self, info: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The infos of all lanes, less the numbers of the lanes."""
        info.pop("env_id")
        self._info = info
        return info

    def _deliver(self, screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Into the destination, if there is one."""
        target = self.out.get("screen")
        if target is None:
            return screen
        target[...] = screen
        return target

    def state(self, lane: int) -> AtariState:
        """Counters of a lane's episode, and the options in force, `game` by ALE's id.

        Raises:
            IllegalVerb: There was no reset yet.
        """
        if not self._seeded[lane]:
            message = "the environment was not reset yet"
            raise IllegalVerb(message)
        self._ids[lane] = self._ids[lane] or uuid.uuid4().hex
        return AtariState(
            episode_id=self._ids[lane],
            step_count=int(self._steps[lane]),
            lives=int(self._info["lives"][lane]),
            frame_number=int(self._info["frame_number"][lane]),
            episode_frame_number=int(self._info["episode_frame_number"][lane]),
            action_meanings=[action.name for action in self._settings.actions],
            options=self._settings.in_force,
        )
