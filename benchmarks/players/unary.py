"""Our server by unary calls: `python -m benchmarks.players.unary ADDRESS rgb`.

The library's clients have no unary mode: this is the least that a client can do. Plain channel methods carry the
library's frames; the answer is read as views of its bytes, as the library does.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import numpy as np

from benchmarks.player import WORLDS, echo_message, echo_outcome, outcome, random_actions, run
from benchmarks.players.ours import FIELD, OPTIONS, PACKAGES
from openenv_echo.v1 import echo_pb2
from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.codec.columns import REWARD, TERMINATED, TRUNCATED, TransitionLayout
from openenv_grpc.v1 import environment_pb2, session_pb2

SERVICE = "/openenv_grpc.v1.EnvironmentService/"
LIMIT = 64 << 20


class UnaryPlayer:
    """A player: one lane in lock step, a call per step."""

    def __init__(self, address: str, world: str) -> None:
        """Open the session."""
        self._world = world
        self._channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", LIMIT)])
        self._step, self._reset = (self._channel.unary_unary(SERVICE + verb) for verb in ("Step", "Reset"))
        opening = session_pb2.Open(lanes=1, protocol_revision=1)
        for name, value in OPTIONS[world].items():
            opening.options[name].text = value
        answer = self._channel.unary_unary(SERVICE + "Open")(
            environment_pb2.OpenRequest(open=opening).SerializeToString(), timeout=60
        )
        opened = environment_pb2.OpenResponse.FromString(answer).open
        self._layout = TransitionLayout(wire.session_from_message(opened.spec).observation)
        self._seq = 0
        self._id = opened.session_id
        self._actions = random_actions(WORLDS[world])
        self._begin(0)

    def _begin(self, seed: int | None) -> str:
        self._seq += 1
        seeds = [] if seed is None else [session_pb2.Seed(value=seed)]
        request = environment_pb2.ResetRequest(session_id=self._id, seq=self._seq, reset={"seeds": seeds})
        return self._see(*self._read(self._reset(frames.encode(request), timeout=60), "reset"))

    def _act(self, action: int) -> tuple[Any, dict[str, Any]]:
        self._seq += 1
        request = environment_pb2.StepRequest(session_id=self._id, seq=self._seq, step={})
        payload = b""
        if self._world == "echo":
            text = echo_pb2.EchoAction(message=echo_message(action))
            request.step.actions.append(text.SerializeToString())
        else:
            payload = np.array([action], "<i8").tobytes()
        return self._read(self._step(frames.encode(request, payload), timeout=60), "step")

    def _read(self, data: bytes, verb: str) -> tuple[Any, dict[str, Any]]:
        frame = frames.decode(data, session_pb2.SessionResponse, LIMIT)
        columns, _ = self._layout.read(frame, 1, 0)
        answer = getattr(frame.header, verb)
        record = echo_pb2.EchoObservation.FromString(answer.observations[0]) if self._world == "echo" else None
        return record, columns

    def _see(self, record: Any, columns: dict[str, Any]) -> str:
        end = columns[REWARD].item(), columns[TERMINATED].item() or columns[TRUNCATED].item()
        if self._world == "echo":
            return echo_outcome(record.message, columns["length"].item(), *end)
        return outcome(columns[FIELD[self._world]][0], *end)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        return [
            [self._begin(seed), *(self._see(*self._act(action)) for action in each)]
            for seed, each in zip(seeds, actions, strict=True)
        ]

    def step(self) -> int:
        """See `Player`."""
        for _ in range(16):
            _, columns = self._act(next(self._actions))
            if columns[TERMINATED].item() or columns[TRUNCATED].item():
                self._begin(None)
        return 16

    def close(self) -> None:
        """See `Player`."""
        request = environment_pb2.CloseRequest(session_id=self._id)
        self._channel.unary_unary(SERVICE + "Close")(request.SerializeToString(), timeout=10)
        self._channel.close()


if __name__ == "__main__":
    run(lambda address: UnaryPlayer(address, sys.argv[2]), sys.argv[1], PACKAGES)
