"""The session table: opens sessions, caps them, reaps the idle and the overdue."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import secrets
import socket
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.codec import values
from openenv_grpc.errors import (
    DeadlineExceeded,
    InvalidArgument,
    OpenEnvError,
    ProtocolMismatch,
    ServerDraining,
    ServerFull,
    SessionLost,
    SpecMismatch,
    from_status,
)
from openenv_grpc.server.link import GRACE_S, ShardLink
from openenv_grpc.server.session import RETRY_S, Session
from openenv_grpc.session.local import SLOTS
from openenv_grpc.session.options import check_options
from openenv_grpc.specs import PROTOCOL_REVISION, EnvironmentSpec, Limits
from openenv_grpc.v1 import session_pb2
from openenv_grpc.worker.memory import seal

if TYPE_CHECKING:
    from collections.abc import Callable

    from openenv_grpc.server.handover import Handover
    from openenv_grpc.server.workers import Workers

log = logging.getLogger(__name__)
TICK_S = 0.25
SHARE_TIMEOUT_S = 5.0
"""How long a worker may take to map joint memory."""
GRAVES = 1024
"""How many ended sessions are remembered, to tell those who ask for them why they ended."""


class SessionTable:
    """All sessions of a server.

    Args:
        workers: Forks their workers.
        limits: Limits in force.
        handover: Hands local lanes over; None where there are none.

    Attributes:
        default_options: The server's own options, under those of a client.
    """

    def __init__(self, workers: Workers, limits: Limits, handover: Handover | None = None) -> None:
        """No session yet."""
        self.workers = workers
        self.handover = handover
        self.limits = limits
        self.sessions: dict[str, Session] = {}
        self.draining = False
        self.default_options: dict[str, Any] = {}
        self._taken = 0
        self._next_core = 0
        self._waiting = 0
        self._freed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._graves: dict[str, OpenEnvError] = {}

    def background(self, work: Any) -> None:
        """Run a coroutine that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, session_id: str) -> Session:
        """The session of that id.

        Raises:
            SessionLost: There is none.
        """
        session = self.sessions.get(session_id)
        if session is not None:
            return session
        error = self._graves.get(session_id)
        if error is None:
            msg = "no such session; it was closed, was idle too long, or its environment crashed"
            raise SessionLost(msg)
        msg = f"the session has ended: {error.message}"
        raise SessionLost(msg, metadata=error.metadata)

    async def open(
        self, request: Any, spec: EnvironmentSpec, on_frame: Callable[[bytes | None], None] | None
    ) -> tuple[Session, bytes]:
        """Open a session; the frame that answers Open is returned too.

        Raises:
            OpenEnvError: The request is wrong, the server is full, or the environment cannot be built.
        """
        opening = request.open
        shards = self._plan(opening, spec)
        await self._enter(opening.wait_ms / 1000)
        session = Session(secrets.token_urlsafe(24), self, on_frame)
        try:
            local = opening.local_lane and on_frame is not None and self.handover is not None
            answers = await self._start(session, request, shards, local=local)
            answer = self._opened(session, answers, shards)
            await self._offer(session, answer, answers)
            self._check_serving()
            if session.ended is not None:  # a shard was lost while another was still being built
                raise session.ended
        except BaseException as error:
            self._leave()
            session.release(SessionLost("it was not opened"))
            if isinstance(error, OSError):
                msg = f"the machine has no room for a worker: {error}"
                raise ServerFull(msg, retry_after_s=RETRY_S) from error
            raise
        self.sessions[session.id] = session
        return session, frames.encode(answer)

    def _check_serving(self) -> None:
        if self.draining:
            msg = "the server is shutting down"
            raise ServerDraining(msg, retry_after_s=RETRY_S)

    def _plan(self, opening: Any, spec: EnvironmentSpec) -> list[tuple[int, int]]:
        """(first lane, lanes) of each shard, for a request that has been checked."""
        self._check_serving()
        if opening.protocol_revision != PROTOCOL_REVISION:
            msg = f"the client speaks {opening.protocol_revision}, the server {PROTOCOL_REVISION}"
            raise ProtocolMismatch(
                msg,
                field="open.protocol_revision",
            )
        if opening.spec_hash and opening.spec_hash != spec.spec_hash:
            msg = f"the client was generated from other messages than the server's {spec.name}"
            raise SpecMismatch(msg, field="open.spec_hash")
        if not 1 <= opening.lanes <= self.limits.lanes:
            msg = f"{opening.lanes}, expected 1 to {self.limits.lanes}"
            raise InvalidArgument(msg, field="open.lanes")
        most = min(opening.lanes, self.limits.shards)
        if opening.shards > most:
            msg = f"{opening.shards} for {opening.lanes} lanes, at most {most}"
            raise InvalidArgument(msg, field="open.shards")
        merged = self.default_options | values.from_map(opening.options, "open.options")
        for name, value in check_options(spec.options, merged).items():
            opening.options[name].CopyFrom(values.to_message(value))
        count = opening.shards or min(most, len(os.sched_getaffinity(0)))
        edges = [opening.lanes * index // count for index in range(count + 1)]
        return [(low, high - low) for low, high in itertools.pairwise(edges)]

    async def _enter(self, wait_s: float) -> None:
        """Take one of the places, in line if the client asked for that."""
        if self._taken < self.limits.sessions and not self._waiting:
            self._taken += 1
            return
        full = ServerFull(f"all {self.limits.sessions} sessions are taken", retry_after_s=RETRY_S)
        if not wait_s or self._waiting >= self.limits.waiting:
            raise full
        self._waiting += 1
        try:
            async with self._freed:
                free = self._freed.wait_for(lambda: self._taken < self.limits.sessions or self.draining)
                await asyncio.wait_for(free, wait_s)
                self._check_serving()
                self._taken += 1
        except asyncio.TimeoutError:
            raise full from None
        finally:
            self._waiting -= 1

    def _leave(self) -> None:
        self._taken -= 1
        self.background(self._announce())

    async def _announce(self) -> None:
        async with self._freed:
            self._freed.notify_all()

    def _cores(self, shards: int) -> list[int | None]:
        """The core that each shard keeps to.

        The kernel wakes all shards of a session from the core that the server runs on, and leaves them there: two
        shards of 4 ms each take 8 ms on two cores. A session of one shard has nothing to spread.
        """
        if shards == 1:
            return [None]
        available = sorted(os.sched_getaffinity(0))
        self._next_core += shards
        return [available[(self._next_core + index) % len(available)] for index in range(shards)]

    async def _start(self, session: Session, request: Any, shards: list[tuple[int, int]], *, local: bool) -> list[Any]:
        """Fork all workers, then let them build their environments at the same time."""
        opening = frames.encode(session_pb2.SessionRequest(open=request.open))
        cores = self._cores(len(shards))
        common = {"slots": SLOTS, "session_lanes": request.open.lanes, "local": local, "limits": asdict(self.limits)}
        for index, (first, lanes) in enumerate(shards):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.setblocking(False)
            assignment = {"shard": index, "first_lane": first, "lanes": lanes, "core": cores[index]}
            try:
                worker = await self.workers.fork({"op": "shard", **assignment, **common}, theirs)
            except BaseException:
                ours.close()
                raise
            session.links.append(ShardLink(index, ours, worker, self.limits, session.on_lost))
        building = asyncio.gather(*(link.open(opening) for link in session.links))
        try:
            packets = await asyncio.wait_for(building, self.limits.step_time_s + GRACE_S)
        except asyncio.TimeoutError:
            msg = f"the environment was not built within {self.limits.step_time_s:g} s"
            raise DeadlineExceeded(msg) from None
        return [
            frames.decode(packet.frame, session_pb2.SessionResponse, self.limits.message_bytes).header
            for packet in packets
        ]

    def _opened(self, session: Session, answers: list[Any], shards: list[tuple[int, int]]) -> Any:
        for answer in answers:
            if answer.HasField("status"):
                raise from_status(answer.status)
            if answer.open.spec != answers[0].open.spec:
                msg = "the environment gives different specs for the same options"
                raise SpecMismatch(msg, field="open.options")
        merged = session_pb2.SessionResponse(open=answers[0].open)
        opened = merged.open
        opened.session_id = session.id
        opened.limits.CopyFrom(wire.limits_to_message(self.limits))
        for first, lanes in shards:
            opened.shards.add(first_lane=first, lanes=lanes)
        return merged

    async def _offer(self, session: Session, answer: Any, answers: list[Any]) -> None:
        """Offer the local lane, where every worker can have one; else close what there is of it."""
        answer.open.ClearField("local_lane")
        if self.handover is None or any(link.local is None for link in session.links):
            for link in session.links:
                link.let_go()
            return
        joint = session.links[0].joint
        if joint is not None:
            try:
                for link in session.links[1:]:
                    await asyncio.wait_for(link.share(joint), SHARE_TIMEOUT_S)
            except asyncio.TimeoutError:
                msg = f"a worker did not map the session's memory within {SHARE_TIMEOUT_S:g} s"
                raise DeadlineExceeded(msg) from None
            if session.ended is not None:
                raise session.ended
            seal(joint)
        lane = answer.open.local_lane
        lane.token, lane.slots = self.handover.offer(session), SLOTS
        for each in answers:
            lane.slot_bytes.extend(each.open.local_lane.slot_bytes)
            lane.cores.extend(each.open.local_lane.cores)
        lane.joint_slot_bytes = answers[0].open.local_lane.joint_slot_bytes

    def remove(self, session: Session) -> None:
        """Take a session that ends off the table."""
        if self.sessions.pop(session.id, None) is None:
            return
        self._leave()
        if session.ended is not None:
            self._graves[session.id] = session.ended
        if len(self._graves) > GRAVES:
            del self._graves[next(iter(self._graves))]

    async def watch(self) -> None:
        """End sessions that are idle or whose worker ignores its alarm, for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            for session in list(self.sessions.values()):
                overdue = next(filter(None, (link.overdue() for link in session.links)), None)
                if overdue is not None:
                    session.end(overdue, at_once=True)
                elif session.is_idle():
                    session.end(SessionLost(f"idle for more than {self.limits.session_idle_s:g} s"))

    async def drain(self) -> None:
        """Open nothing new, let what runs finish, then end all sessions with a goodbye."""
        self.draining = True
        await self._announce()
        for link in [link for session in self.sessions.values() for link in session.links]:
            link.drain()
        give_up = time.monotonic() + self.limits.step_time_s + 2.0
        while any(session.is_busy() for session in self.sessions.values()) and time.monotonic() < give_up:
            await asyncio.sleep(0.02)
        for session in list(self.sessions.values()):
            session.end(ServerDraining("the server is shutting down; the session has ended", retry_after_s=RETRY_S))
