"""The fair alternative to gRPC: raw bytes over a WebSocket without deflate, the environment in the server's process.

`python -m benchmarks.servers.websocket rgb`. A request is an action (one byte), or 255 and a seed of eight bytes for a
reset (255 alone resets without one). An answer is the reward (eight bytes), a byte that says whether the episode is
over, and the observation as it is.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import Any

from websockets.asyncio.server import serve

from benchmarks.emulator import Emulator
from benchmarks.player import echo_message
from benchmarks.servers import serving_at

HEAD = struct.Struct("<d?")
SEED = struct.Struct("<q")
RESET = 255


class Game:
    """Pong for one connection."""

    def __init__(self, world: str) -> None:
        """Load it."""
        self._emulator = Emulator(world)
        self._emulator.reset(0)

    def reset(self, seed: int | None) -> bytes:
        """Begin an episode."""
        if seed is None:
            self._emulator.ale.reset_game()
        else:
            self._emulator.reset(seed)
        return self._answer(0.0)

    def step(self, action: int) -> bytes:
        """One step."""
        return self._answer(self._emulator.step(action))

    def _answer(self, reward: float) -> bytes:
        return b"".join((HEAD.pack(reward, self._emulator.ale.game_over()), self._emulator.observation))


class Echo:
    """What the echo environment does, for one connection."""

    def reset(self, seed: int | None) -> bytes:
        """Begin an episode."""
        return HEAD.pack(0.0, False)

    def step(self, action: int) -> bytes:
        """Say it back."""
        message = echo_message(action).encode()
        return HEAD.pack(0.1 * len(message), False) + message


async def _talk(connection: Any) -> None:
    world = sys.argv[1]
    game: Game | Echo = Echo() if world == "echo" else Game(world)
    async for message in connection:
        if message[0] == RESET:
            answer = game.reset(SEED.unpack(message[1:])[0] if len(message) > 1 else None)
        else:
            answer = game.step(message[0])
        await connection.send(answer)


async def _main() -> None:
    async with serve(_talk, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        host, port = next(iter(server.sockets)).getsockname()
        serving_at(f"{host}:{port}")
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
