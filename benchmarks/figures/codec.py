"""What do reading and writing a step cost, without any wire? Frames are those of a real server.

Encoding is the server's: a header and a payload that lies in shared memory become one message.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.contestants import step_frames
from benchmarks.figures import Figure
from benchmarks.setting import Setting
from benchmarks.targets import Target
from openenv_grpc.codec import frame as frames
from openenv_grpc.codec.columns import TransitionLayout
from openenv_grpc.v1 import session_pb2

LIMIT = 64 << 20
DECODE = "decode a step with one frame"
ENCODE = "encode a step with one frame"
BUFFERS = "buffers made by encoding, in payloads"
TARGETS = [
    Target(DECODE, (DECODE,), "", 10.0, at_most=True),
    Target("encoding makes one copy", (BUFFERS,), "", 1.01, at_most=True),
]


def measure(setting: Setting, quick: bool) -> list[Figure]:
    """Microseconds of each direction, and the memory that encoding asks for."""
    _, answer, observation = step_frames(setting, "rgb")
    layout = TransitionLayout(observation)

    def decode() -> Any:
        frame = frames.decode(answer, session_pb2.SessionResponse, LIMIT)
        columns, _ = layout.read(frame, 1, len(frame.header.step.final_lanes))
        return columns

    assert decode()["screen"].shape == (1, 210, 160, 3)
    _, _, offset, size, _ = frames.decode(answer, session_pb2.SessionResponse, LIMIT)
    header, memory = answer[:offset], bytearray(answer[offset:])

    def encode() -> bytes:
        return frames.join(header, memory, 0, size)

    assert encode() == answer
    rounds = 20 if quick else 100
    return [
        Figure(DECODE, "µs", _timed(decode, rounds), note="bytes to header and checked views of all columns"),
        Figure(ENCODE, "µs", _timed(encode, rounds), note="header and shared memory to one message"),
        Figure(BUFFERS, "×", [_allocated(encode) / size], note="peak of memory allocated while it runs"),
    ]


def _timed(work: Callable[[], Any], rounds: int, times: int = 200) -> list[float]:
    samples = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(times):
            work()
        samples.append((time.perf_counter() - start) / times * 1e6)
    return samples


def _allocated(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        tracemalloc.clear_traces()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
