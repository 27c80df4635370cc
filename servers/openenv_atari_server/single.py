"""One game with preprocessing: the vector environment of ale-py with one environment, rows made records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from openenv_atari import AtariObservation, AtariState
from openenv_atari_server.options import check_integer
from openenv_atari_server.preprocessed import PreprocessedGames
from openenv_atari_server.raw import ABSENT
from openenv_grpc.environment import BatchResult, StepResult
from openenv_grpc.errors import IllegalVerb
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from openenv_atari_server.settings import Settings


class PreprocessedGame:
    """One game with preprocessing. Its `reset` and `step` are those of `AtariEnvironment`, which see.

    A step after an episode's end begins another one: the C++ resets. In a session it is refused or never made.

    Args:
        settings: Options with preprocessing.
    """

    def __init__(self, settings: Settings) -> None:
        """Do nothing yet: the emulator is made by the first reset."""
        self._settings = settings
        self._games: PreprocessedGames | None = None

    def reset(self, seed: int | None, out: Mapping[str, NDArray[np.uint8]] | None) -> StepResult[AtariObservation]:
        """Begin a new game."""
        if seed is not None:
            check_integer("seed", seed)
        if self._games is None:
            self._games = PreprocessedGames(self._settings, 1, AutoresetMode.DISABLED)
        return self._first_row(self._games.reset([0], seeds=[seed], options={}), out)

    def step(self, index: int, out: Mapping[str, NDArray[np.uint8]] | None) -> StepResult[AtariObservation]:
        """Hold an action for some frames."""
        return self._first_row(self._begun.step([0], {"action_id": np.array([index])}), out)

    def state(self) -> AtariState:
        """As `AtariEnvironment.state`."""
        return self._begun.state(0)

    def close(self) -> None:
        """End the emulator's thread."""
        if self._games is not None:
            self._games.close()

    @property
    def _begun(self) -> PreprocessedGames:
        if self._games is None:
            message = "the environment was not reset yet"
            raise IllegalVerb(message)
        return self._games

    def _first_row(
        self, result: BatchResult, out: Mapping[str, NDArray[np.uint8]] | None
    ) -> StepResult[AtariObservation]:
        screen = result.observation["screen"][0]
        if out is not None:
            target = out.get("screen", ABSENT)
            if target is not ABSENT:
                target[...] = screen
            screen = target
        info = {name: column.item(0) for name, column in result.info.items() if name != "_seed"}
        observation = AtariObservation(screen=screen, ram=ABSENT)
        if result.reward is None or result.terminated is None or result.truncated is None:  # a reset
            return StepResult(observation, info=info)
        return StepResult(
            observation,
            float(result.reward.item(0)),
            result.terminated.item(0),
            result.truncated.item(0),
            info,
        )
