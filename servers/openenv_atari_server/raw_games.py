"""Many games at once without preprocessing: what one game costs beyond its emulator is paid once for a whole shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_atari import AtariState
from openenv_atari_server.options import check_integer
from openenv_atari_server.raw import RawGame
from openenv_grpc.environment import Batch, BatchResult
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from openenv_atari_server.settings import Settings
    from openenv_grpc.specs import ArraySpec

_COUNTERS = ("lives", "episode_frame_number", "frame_number")


class RawGames(Batch[AtariState]):
    """The lanes of a shard. Each plays what a `RawGame` of its own would, which it is.

    Args:
        settings: Options without preprocessing.
        lanes: How many.
        mode: What happens when an episode ends.
    """

    partial_steps = True

    def __init__(self, settings: Settings, lanes: int, mode: AutoresetMode) -> None:
        """Make the emulators. Resets load the ROM, where they are given a seed."""
        self._settings = settings
        self._mode = mode
        self._games = [RawGame(settings) for _ in range(lanes)]
        self._over = [False] * lanes
        specs = settings.observation_spec().items()
        self._field, self._shape = next((name, spec.shape) for name, spec in specs if not spec.absent)

    def action_spec(self) -> dict[str, ArraySpec]:
        """As `Settings.action_spec`."""
        return self._settings.action_spec()

    def observation_spec(self) -> dict[str, ArraySpec]:
        """As `Settings.observation_spec`."""
        return self._settings.observation_spec()

    def reset(self, lanes: Sequence[int], *, seeds: Sequence[int | None], options: Mapping[str, Any]) -> BatchResult:
        """Begin new games, as `AtariEnvironment.reset` does.

        Raises:
            InvalidArgument: A seed is out of range, or there are options. Nothing was reset.
        """
        RawGame.check_reset_options(options)
        for seed in seeds:
            if seed is not None:
                check_integer("seed", seed)
        screens = self._destination(len(lanes))
        given = [
            self._begin(lane, seed, screen) for lane, seed, screen in zip(lanes, seeds, list(screens), strict=True)
        ]
        seeded = np.array([seed is not None for seed in given])
        info = self._info(lanes)
        if seeded.any():
            info |= {"seed": np.array([seed or 0 for seed in given], np.int64), "_seed": seeded}
        return BatchResult({self._field: screens}, info=info)

    def _begin(self, lane: int, seed: int | None, screen: NDArray[np.uint8]) -> int | None:
        """Begin a lane's game; the seed that it was loaded with, if it was."""
        loaded = self._games[lane].begin(seed)
        self._games[lane].render(screen)
        self._over[lane] = False
        return loaded

    def step(self, lanes: Sequence[int], actions: Mapping[str, Any]) -> BatchResult:
        """Hold an action for some frames in each lane, as `AtariEnvironment.step` does.

        Raises:
            InvalidArgument: An action is not in the action set; the lanes before it were played.
            IllegalVerb: A lane was not reset yet.
        """
        games, over, screens = self._games, self._over, self._destination(len(lanes))
        outcomes = []
        for lane, press, screen in zip(lanes, actions["action_id"].tolist(), list(screens), strict=True):
            if over[lane] and self._mode is AutoresetMode.NEXT_STEP:
                self._begin(lane, None, screen)
                outcomes.append((0.0, False, False))
                continue
            game = games[lane]
            outcome = game.play(press)
            game.render(screen)
            outcomes.append(outcome)
            over[lane] = outcome[1] or outcome[2]
        reward, terminated, truncated = map(np.array, zip(*outcomes, strict=True))
        result = BatchResult({self._field: screens}, reward, terminated, truncated, self._info(lanes))
        return result if self._mode is not AutoresetMode.SAME_STEP else self._begin_ended(lanes, result)

    def _begin_ended(self, lanes: Sequence[int], result: BatchResult) -> BatchResult:
        """SAME_STEP: begin another game where one has ended, and keep its last observation and info."""
        rows = [row for row, lane in enumerate(lanes) if self._over[lane]]
        if not rows:
            return result
        screens = result.observation[self._field]
        finals = screens[rows]
        for row in rows:
            self._begin(lanes[row], None, screens[row])
        return BatchResult(
            result.observation,
            result.reward,
            result.terminated,
            result.truncated,
            self._info(lanes),
            [lanes[row] for row in rows],
            {self._field: finals},
            {name: column[rows] for name, column in result.info.items()},
        )

    def _destination(self, rows: int) -> NDArray[np.uint8]:
        target = self.out.get(self._field)
        return np.empty((rows, *self._shape), np.uint8) if target is None else target

    def _info(self, lanes: Sequence[int]) -> dict[str, NDArray[np.int64]]:
        counters = np.array([self._games[lane].counters() for lane in lanes], np.int64)
        return dict(zip(_COUNTERS, counters.T, strict=True))

    def state(self, lane: int) -> AtariState:
        """As `AtariEnvironment.state`."""
        return self._games[lane].state()
