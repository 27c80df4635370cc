"""What CPU time does transport take per env-step, on both sides of the local lane?

Our server serves an environment that does nothing, to clients in processes of their own: all their time, and that of
the server and its workers, is transport, or Python around it. Beside it: what the environment's own step takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.figures import Figure
from benchmarks.harness import Contestant
from benchmarks.idle import SCREEN, IdleAtari, IdleGames
from benchmarks.processes import Child, Server
from benchmarks.setting import Setting
from benchmarks.targets import Target
from openenv_atari import AtariAction

ENVIRONMENT = "benchmarks.idle:IdleAtari"
PLAYER = "benchmarks.players.idle"
QUICK, FULL = (3, 0.2), (15, 0.5)
"""Turns of each client, and seconds."""
LIMIT = "Atari's shapes without a game; left out: caches that a game's own work has emptied"
OWN = "the environment's own step, called in a loop"
ALONE = "lanes one by one"
SHARD = 16
"""Lanes of a shard, of 32 on two cores."""


class Face(NamedTuple):
    """One way to step: a client with so many lanes, which are one object in each shard or not."""

    lanes: int
    client: str
    together: bool = True

    @property
    def figure(self) -> str:
        """The figure's name."""
        lanes = f"{self.lanes} lane{'s' * (self.lanes > 1)}"
        more = f", {self.client}" * (self.client == "VectorEnv") + f", {ALONE}" * (not self.together)
        return f"transport CPU per env-step, both sides, {lanes}, local lane{more}"

    def contestant(self, server: Server) -> Contestant:
        """Its client, yet to be started."""
        how = "together" if self.together else "alone"
        client = [PLAYER, server.address, str(self.lanes), self.client, how]
        return Contestant(self.figure, client, server, self.lanes)


FACES = [
    Face(32, "VectorEnvClient"),
    Face(32, "VectorEnv"),
    Face(32, "VectorEnvClient", together=False),
    Face(1, "EnvClient"),
    Face(256, "VectorEnvClient"),
]
MAIN = FACES[0].figure
TARGETS = [Target(MAIN, (MAIN,), "", 12.0, 8.0, at_most=True)]


def measure(setting: Setting, quick: bool) -> list[Figure]:
    """Microseconds of each face, which take turns, and of the environment alone."""
    rounds, seconds = QUICK if quick else FULL
    server = setting.ours(ENVIRONMENT)
    found = [face.contestant(server) for face in FACES]
    for one in found:
        one.child = Child(setting.stack, one.client)
        one.child.ask("open")
    for _ in range(rounds):
        for one in found:
            one.measure(seconds)
    figures = [_figure(face, one) for face, one in zip(FACES, found, strict=True)]
    return [*figures, *_own_steps(rounds)]


def _figure(face: Face, one: Contestant) -> Figure:
    both = [client + server for client, server in zip(one.client_us, one.server_us, strict=True)]
    client, server = statistics.median(one.client_us), statistics.median(one.server_us)
    note = f"{face.client} in lock step: client {client:.3g}, server and workers {server:.3g}"
    if face.client == "VectorEnv":
        note += "; infos looked at"
    if face.figure == MAIN:
        note += f". {LIMIT}"
    return Figure(face.figure, "µs", both, note=note)


def _own_steps(rounds: int) -> list[Figure]:
    """Per lane, together and one by one."""
    note = "counted in the rows above"
    games, lanes, actions = IdleGames(SHARD), range(SHARD), {"action_id": np.zeros(SHARD, np.int64)}
    games.out = {"screen": np.empty((SHARD, *SCREEN), np.uint8)}
    together = [each / SHARD for each in _timed(lambda: games.step(lanes, actions), rounds)]
    game, action = IdleAtari(), AtariAction(action_id=0)
    game.out = {"screen": np.empty(SCREEN, np.uint8)}
    alone = _timed(lambda: game.step(action), rounds)
    return [Figure(OWN, "µs", together, note=note), Figure(f"{OWN}, {ALONE}", "µs", alone, note=note)]


def _timed(work: Callable[[], object], rounds: int, times: int = 2000) -> list[float]:
    samples = []
    for _ in range(rounds):
        start = time.thread_time()
        for _ in range(times):
            work()
        samples.append((time.thread_time() - start) / times * 1e6)
    return samples
