"""Which episode is played on which lane, and what came of it: the accounting of a rollout, without I/O.

The law of this file: what is counted depends on the seed alone, never on timing. Lane i of N plays the episodes
i, i + N, i + 2N, …; episode k begins with the seed `seed + k`; a lane that has played its share plays no more.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Episode:
    """One episode, as far as it has been played.

    Attributes:
        index: Its number, from 0.
        lane: Where it is played.
        seed: What it began with; None where the environment honours no seeds.
        reward: Sum of its rewards: its return.
        length: Steps taken.
        terminated: It reached a terminal state.
        truncated: It was cut short, by the environment or by the limit of steps.
    """

    index: int
    lane: int
    seed: int | None
    reward: float = 0.0
    length: int = 0
    terminated: bool = False
    truncated: bool = False

    @property
    def ending(self) -> str:
        """How it ended."""
        return "terminated" if self.terminated else "truncated" if self.truncated else ""

    def row(self) -> dict[str, Any]:
        """What is written of it."""
        return {
            "episode": self.index,
            "lane": self.lane,
            "seed": self.seed,
            "return": self.reward,
            "length": self.length,
            "terminated": self.terminated,
            "truncated": self.truncated,
        }


class Ledger:
    """All episodes of a rollout.

    Args:
        episodes: How many to play.
        lanes: How many lanes play them.
        seed: Seed of the first episode; None to give none.
        max_steps: Steps after which an episode is cut short; None to play until it ends.

    Attributes:
        running: The episodes that are being played, by lane, in order of lanes.
        steps: Steps taken in all lanes together.
    """

    def __init__(self, episodes: int, lanes: int, seed: int | None, max_steps: int | None = None) -> None:
        """Begin every lane's first episode."""
        self.episodes = episodes
        self.running: dict[int, Episode] = {}
        self.steps = 0
        self._lanes = lanes
        self._seed = seed
        self._max_steps = max_steps
        self._finished: dict[int, Episode] = {}
        for lane in range(min(lanes, episodes)):
            self._begin(lane, lane)

    def _begin(self, lane: int, index: int) -> None:
        seed = None if self._seed is None else self._seed + index
        self.running[lane] = Episode(index, lane, seed)

    @property
    def finished(self) -> list[Episode]:
        """Episodes played to their end, in order of their numbers."""
        return [self._finished[index] for index in sorted(self._finished)]

    @property
    def latest(self) -> list[Episode]:
        """Episodes played to their end, in the order in which they ended."""
        return list(self._finished.values())

    @property
    def longest(self) -> int:
        """Steps of the longest episode that is being played."""
        return max((episode.length for episode in self.running.values()), default=0)

    def record(
        self,
        lanes: Sequence[int],
        rewards: Sequence[float],
        terminated: Sequence[bool],
        truncated: Sequence[bool],
    ) -> list[int]:
        """Take the outcome of one step of some lanes; the lanes whose episodes have ended are answered.

        Each of these plays its next episode from now on, if one is left: it is in `running` then.
        """
        self.steps += len(lanes)
        ended = []
        for lane, reward, terminal, cut in zip(lanes, rewards, terminated, truncated, strict=True):
            episode = self.running[lane]
            episode.reward += reward
            episode.length += 1
            episode.terminated = terminal
            episode.truncated = cut or (episode.length == self._max_steps and not terminal)
            if episode.terminated or episode.truncated:
                ended.append(lane)
                self._end(episode)
        return ended

    def _end(self, episode: Episode) -> None:
        self._finished[episode.index] = episode
        following = episode.index + self._lanes
        if following < self.episodes:
            self._begin(episode.lane, following)
        else:
            del self.running[episode.lane]


@dataclass(frozen=True)
class Spread:
    """Statistics of some numbers; `std` is the population's, as numpy's is."""

    mean: float
    std: float
    min: float
    max: float


def spread(numbers: Sequence[float]) -> Spread | None:
    """Statistics of numbers; None when there are none."""
    if not numbers:
        return None
    return Spread(statistics.fmean(numbers), statistics.pstdev(numbers), min(numbers), max(numbers))
