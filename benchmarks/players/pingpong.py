"""Client of `benchmarks.servers.pingpong`: `python -m benchmarks.players.pingpong ADDRESS stream REQUEST_BYTES`.

The plainest sync client there is: a queue into the stream, `next` out of it; or one unary call after the other.
"""

from __future__ import annotations

import queue
import sys

import grpc

from benchmarks.player import run

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class PingPong:
    """A player that plays nothing: bytes out, bytes in."""

    def __init__(self, address: str, kind: str, size: int) -> None:
        """Connect."""
        self._channel = grpc.insecure_channel(address, options=OPTIONS)
        self._request = bytes(size)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._unary = self._channel.unary_unary("/PingPong/Unary") if kind == "unary" else None
        if self._unary is None:
            self._stream = self._channel.stream_stream("/PingPong/Stream")(iter(self._requests.get, None))
        self.step()

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """There is nothing to play."""
        raise NotImplementedError

    def step(self) -> int:
        """See `Player`."""
        for _ in range(16):
            if self._unary is not None:
                self._unary(self._request)
            else:
                self._requests.put(self._request)
                next(self._stream)
        return 16

    def close(self) -> None:
        """See `Player`."""
        self._requests.put(None)
        self._channel.close()


if __name__ == "__main__":
    run(lambda address: PingPong(address, sys.argv[2], int(sys.argv[3])), sys.argv[1], ("grpcio",))
