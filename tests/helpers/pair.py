"""A client's core and the shards' cores joined without processes, sockets or clocks: any message drives both."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.environment import Environment
from openenv_grpc.session.calls import Call, OpenRequest
from openenv_grpc.session.client import ClientCore
from openenv_grpc.session.packet import Packet
from openenv_grpc.session.shard import Interrupted, Lane, ShardCore
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from openenv_grpc.v1 import session_pb2
from openenv_grpc.worker.describe import capabilities_of, records_of
from openenv_grpc.worker.memory import Memory
from openenv_grpc.worker.shard import Assignment, open_shard

MAX = 64 << 20
Request, Response = session_pb2.SessionRequest, session_pb2.SessionResponse


class FakeAlarm:
    """Interrupts by count, not by time: `calls_left` calls of environment code go well, the next one doesn't.

    Attributes:
        budgets: Seconds that each request was given.
    """

    def __init__(self) -> None:
        self.calls_left = math.inf
        self.budgets: list[float] = []

    def start(self, seconds: float) -> None:
        self.budgets.append(seconds)

    def stop(self) -> None:
        self.calls_left = math.inf

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.calls_left <= 0:
            raise Interrupted
        self.calls_left -= 1
        return function(*args, **kwargs)


class Shard:
    """One shard's core with its memory: whole frames in, whole frames out."""

    def __init__(self, cls: type[Environment[Any, Any, Any]], assignment: Assignment, opening: bytes) -> None:
        self.alarm = FakeAlarm()
        self.lanes: list[Lane] = []
        core: ShardCore
        memory: Memory
        core, memory, self.opened = open_shard(cls, assignment, opening, self.lanes, self.alarm)
        os.close(memory.fd)  # the server's, if there were one
        self.core, self.memory, self._slot = core, memory, 0
        self._cls, self._writer = cls, core.writer

    @property
    def in_columns(self) -> bool:
        """Whether answers are columns."""
        return self._writer.in_columns

    def rewind(self) -> None:
        """Begin again, with new environments and the old memory, empty: much cheaper than another shard."""
        config = self.core._config
        self.memory.map[:] = bytes(len(self.memory.map))
        self.alarm = FakeAlarm()
        self.lanes[:] = [Lane(lane.index, self._cls()) for lane in self.lanes]
        self.core = ShardCore(config, self.lanes, self._writer, self.alarm)
        self._slot = 0

    def handle(self, frame: bytes) -> bytes:
        """Answer one request, in the other slot each time as the server does."""
        self._slot = 1 - self._slot
        return self.join(self.core.handle(frame, self._slot))

    def join(self, packet: Packet) -> bytes:
        if not packet.payload:
            return packet.frame
        return frames.join(packet.frame, self.memory.map, packet.slot * self.memory.slot_bytes, packet.payload)


class Pair:
    """A session.

    Attributes:
        client: The client's core.
        shards: The shards' cores.
        sent, received: All frames so far.
    """

    def __init__(
        self,
        cls: type[Environment[Any, Any, Any]],
        lanes: int = 1,
        shards: int = 1,
        *,
        mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        fields: Sequence[str] = (),
        layout: Layout = Layout.COLUMNS,
        vector: bool | None = None,
        limits: Limits | None = None,
        **options: Any,
    ) -> None:
        limits = limits or Limits()
        records = records_of(cls)
        request = OpenRequest(options, lanes, shards, mode, fields)
        message = Request(open=Request.FromString(request.encode(records.spec_hash)).open)
        message.open.layout = int(layout)  # type: ignore[assignment]
        opening = message.SerializeToString()
        edges = [lanes * index // shards for index in range(shards + 1)]
        parts = [(low, high - low) for low, high in itertools.pairwise(edges)]
        self.shards = [Shard(cls, Assignment(index, *part, 2, limits), opening) for index, part in enumerate(parts)]
        answer = Response(open=self.shards[0].opened.open)
        answer.open.limits.CopyFrom(wire.limits_to_message(limits))
        for first, count in parts:
            answer.open.shards.add(first_lane=first, lanes=count)
        vector = lanes > 1 if vector is None else vector
        data, capabilities = frames.encode(answer), capabilities_of(cls)
        self._make = functools.partial(ClientCore, records, capabilities, request, data, vector=vector)
        self.client = self._make(max_message_bytes=MAX)
        self.sent: list[bytes] = []
        self.received: list[bytes] = []

    def rewind(self) -> None:
        """Begin again, with new environments, which are built without options."""
        for shard in self.shards:
            shard.rewind()
        self.client = self._make(max_message_bytes=MAX)
        self.sent, self.received = [], []

    @property
    def environments(self) -> list[Any]:
        return [lane.environment for shard in self.shards for lane in shard.lanes]

    def exchange(self, frame: bytes) -> bytes:
        """Have the right shard answer one request."""
        self.sent.append(frame)
        shard = frames.decode(frame, Request, MAX).header.shard
        answer = self.shards[shard].handle(frame)
        self.received.append(answer)
        return answer

    def run(self, call: Call) -> Any:
        """Carry a call through."""
        for frame in call.frames:
            self.client.receive(self.exchange(frame))
        return call.result()

    def plain(self, **request: Any) -> session_pb2.SessionResponse:
        """Answer a request written by hand."""
        return Response.FromString(self.exchange(Request(**request).SerializeToString()))

    def reset(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.reset(*args, **kwargs))

    def step(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.step(*args, **kwargs))

    def state(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.state(*args, **kwargs))

    def snapshot(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.snapshot(*args, **kwargs))

    def restore(self, *args: Any, **kwargs: Any) -> Any:
        return self.run(self.client.restore(*args, **kwargs))
