"""Client of `benchmarks.servers.websocket`: `python -m benchmarks.players.websocket ADDRESS rgb`."""

from __future__ import annotations

import struct
import sys

import numpy as np
from websockets.sync.client import connect

from benchmarks.player import WORLDS, echo_outcome, outcome, random_actions, run

HEAD = struct.Struct("<d?")
SEED = struct.Struct("<q")
RESET = bytes([255])


class WebSocketPlayer:
    """A player: one lane in lock step."""

    def __init__(self, address: str, world: str) -> None:
        """Connect."""
        self._world = world
        self._connection = connect(f"ws://{address}", compression=None, max_size=None, ping_interval=None, proxy=None)
        self._actions = random_actions(WORLDS[world])
        self._ask(RESET)

    def _ask(self, request: bytes) -> tuple[np.ndarray, float, bool]:
        self._connection.send(request)
        answer = self._connection.recv()
        reward, done = HEAD.unpack_from(answer)
        return np.frombuffer(answer, np.uint8, offset=HEAD.size), reward, done

    def _see(self, seen: np.ndarray, reward: float, done: bool) -> str:
        if self._world == "echo":
            return echo_outcome(message := seen.tobytes().decode(), len(message), reward, done)
        return outcome(seen, reward, done)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        return [
            [self._see(*self._ask(request)) for request in [RESET + SEED.pack(seed), *(bytes([a]) for a in each)]]
            for seed, each in zip(seeds, actions, strict=True)
        ]

    def step(self) -> int:
        """See `Player`."""
        for _ in range(16):
            if self._ask(bytes([next(self._actions)]))[2]:
                self._ask(RESET)
        return 16

    def close(self) -> None:
        """See `Player`."""
        self._connection.close()


if __name__ == "__main__":
    run(lambda address: WebSocketPlayer(address, sys.argv[2]), sys.argv[1], ("websockets",))
