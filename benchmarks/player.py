"""The client's side of a contestant: a process that plays what it is told, line by line.

It runs in any virtual environment, OpenEnv's and EnvPool's too, so it imports the standard library alone. Requests and
answers are JSON lines on stdin and stdout. The timed loop runs in here, so the pipe costs nothing; and every
contestant's client runs under the same conditions: alone in a process, one main thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any, Protocol

WARM_UP_S = 0.05
"""Of play before each measurement: wakes everything that slept while others had their turns."""
WORLDS = {"rgb": 6, "ram": 6, "breakout": 4, "seaquest": 18, "gray": 6, "echo": 100}
"""What is played, and how many actions it has: screens of Pong, its memory, screens of other games, Pong's screens made
small, gray and stacked, echo."""


class Player(Protocol):
    """A connection (or an environment in process) that can play."""

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """Play each lane's actions after a reset with its seed; the outcomes of the reset and each step, per lane."""

    def step(self) -> int:
        """Take a few steps with random actions, as fast as it goes; how many env-steps that was."""

    def close(self) -> None:
        """Let go of everything."""


def outcome(observation: Any, reward: float | None = None, done: bool = False) -> str:
    """What happened, short enough to compare: a digest of the observation's bytes, the reward, the end.

    Args:
        observation: Bytes, or a C-ordered array.
        reward: None stands for 0, as some answer a reset.
        done: Whether the episode is over.
    """
    return f"{hashlib.sha1(observation, usedforsecurity=False).hexdigest()} {float(reward or 0):.6g} {bool(done)}"


def echo_message(action: int) -> str:
    """What is said to an echo environment; always of the same length."""
    return f"message {action:08d}"


def echo_outcome(message: str, length: int, reward: float | None = None, done: bool = False) -> str:
    """The outcome of an echo."""
    return outcome(f"{length} {message}".encode(), reward, done)


def random_actions(count: int, seed: int = 1) -> Iterator[int]:
    """Actions without end: a table drawn beforehand, so that drawing costs nobody anything."""
    table = random.Random(seed).choices(range(count), k=4096)
    while True:
        yield from table


def run(open_player: Callable[[str], Player], address: str, packages: tuple[str, ...] = ()) -> None:
    """Serve requests until stdin ends.

    Args:
        open_player: Makes a player of an address; empty for those that need none.
        address: The first player's.
        packages: Distributions whose versions are told.
    """
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    players: dict[str, Player] = {}

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        at, do = request.get("address", address), request["do"]
        if do == "open":
            players[at] = open_player(at)
            return {"versions": {name: metadata.version(name) for name in packages}, "python": sys.version.split()[0]}
        if do == "play":
            return {"outcomes": players[at].play(request["seeds"], request["actions"])}
        if do == "measure":
            return _measure(players[at], request["seconds"])
        if do == "close":
            players.pop(at).close()
            return {}
        raise ValueError(do)

    for line in sys.stdin:
        try:
            reply = answer(json.loads(line))
        except Exception as error:  # noqa: BLE001 - told to the benchmark, which ends
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=out, flush=True)
    for player in players.values():
        player.close()


def _measure(player: Player, seconds: float) -> dict[str, Any]:
    clock = time.perf_counter
    start, warm_up = clock(), player.step()
    while clock() - start < min(WARM_UP_S, seconds):
        warm_up += player.step()
    steps, start, before = 0, clock(), start
    while (elapsed := clock() - start) < seconds:
        steps += player.step()
    return {"steps": steps, "seconds": elapsed, "warm_up_steps": warm_up, "warm_up_s": start - before}
