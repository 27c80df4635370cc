"""Atari without a game: the messages, shapes and infos of `atari`, and no work. What a step costs is transport.

Served as `benchmarks.idle:IdleAtari`. As in `atari` the lanes of a shard are one object, with the same Python around
each lane's game, unless lanes are wanted one by one: what an environment has that knows nothing of `Batched`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from openenv_atari import AtariAction, AtariObservation, AtariState
from openenv_grpc.environment import Batch, BatchResult, Environment, StepResult
from openenv_grpc.specs import ArraySpec, AutoresetMode

ACTIONS = 6
SCREEN = (210, 160, 3)
FRAMESKIP = 4
ABSENT = np.empty(0, np.uint8)
ACTION_SPEC = {"action_id": ArraySpec(np.int64, (), 0, ACTIONS - 1)}
OBSERVATION_SPEC = {"screen": ArraySpec(np.uint8, SCREEN, 0, 255), "ram": ArraySpec(np.uint8, (0,))}
INFOS = ("lives", "episode_frame_number", "frame_number")


def _state(frame: int) -> AtariState:
    steps = frame // FRAMESKIP
    return AtariState(episode_id="", step_count=steps, lives=0, frame_number=frame, episode_frame_number=frame)


class IdleGames(Batch[AtariState]):
    """The lanes of a shard. For each there is what `openenv_atari_server.raw_games` does, but for the emulator."""

    partial_steps = True

    def __init__(self, lanes: int) -> None:
        """Nothing is emulated."""
        self._frames = [0] * lanes

    def action_spec(self) -> dict[str, ArraySpec]:
        """Pong's."""
        return ACTION_SPEC

    def observation_spec(self) -> dict[str, ArraySpec]:
        """Pong's, in rgb."""
        return OBSERVATION_SPEC

    def reset(self, lanes: Sequence[int], *, seeds: Sequence[int | None], options: Mapping[str, Any]) -> BatchResult:
        """Begin to count."""
        for lane in lanes:
            self._frames[lane] = 0
        return BatchResult({"screen": self.out["screen"]}, info=self._info(lanes))

    def step(self, lanes: Sequence[int], actions: Mapping[str, Any]) -> BatchResult:
        """Count, and hand back what games hand back."""
        screens, outcomes = self.out["screen"], []
        for lane, _press, _screen in zip(lanes, actions["action_id"].tolist(), list(screens), strict=True):
            self._frames[lane] += FRAMESKIP
            outcomes.append((0.0, False, False))
        reward, terminated, truncated = map(np.array, zip(*outcomes, strict=True))
        return BatchResult({"screen": screens}, reward, terminated, truncated, self._info(lanes))

    def _info(self, lanes: Sequence[int]) -> dict[str, Any]:
        counters = np.array([(0, self._frames[lane], self._frames[lane]) for lane in lanes], np.int64)
        return dict(zip(INFOS, counters.T, strict=True))

    def state(self, lane: int) -> AtariState:
        """The count."""
        return _state(self._frames[lane])


class IdleAtari(Environment[AtariAction, AtariObservation, AtariState]):
    """The screen is whatever lies where it should have been rendered; an episode never ends.

    Args:
        together: Whether the lanes of a shard are one object.
    """

    seeds = False

    def __init__(self, *, together: bool = True) -> None:
        """Nothing is emulated."""
        self._frame = 0

    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]) -> IdleGames | None:
        """All lanes of a shard; None for one lane, and if lanes are wanted one by one."""
        return IdleGames(lanes) if lanes > 1 and options.get("together", True) else None

    def action_spec(self) -> dict[str, ArraySpec]:
        """Pong's."""
        return ACTION_SPEC

    def observation_spec(self) -> dict[str, ArraySpec]:
        """Pong's, in rgb."""
        return OBSERVATION_SPEC

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> StepResult[AtariObservation]:
        """Begin to count."""
        self._frame = 0
        return self._result()

    def step(self, action: AtariAction) -> StepResult[AtariObservation]:
        """Count, and hand back what a game hands back."""
        self._frame += FRAMESKIP
        return self._result()

    def _result(self) -> StepResult[AtariObservation]:
        info = {"lives": 0, "episode_frame_number": self._frame, "frame_number": self._frame}
        return StepResult(AtariObservation(screen=self.out["screen"], ram=ABSENT), 0.0, False, False, info)

    def state(self) -> AtariState:
        """The count."""
        return _state(self._frame)
