"""One open session as the server sees it: its shards, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument, OpenEnvError, ServerDraining, SessionLost
from openenv_grpc.session.packet import ENDED, FAILED
from openenv_grpc.session.shard import status_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from openenv_grpc.server.link import ShardLink
    from openenv_grpc.server.sessions import SessionTable

log = logging.getLogger(__name__)
RETRY_S = 1.0
CLOSE_GRACE_S = 1.0
"""What a worker gets to close its environments before it is killed."""


class Session:
    """One open session.

    Args:
        session_id: Its name, a secret.
        table: Where it is listed.
        on_frame: Takes frames for the session's stream; None for a session of unary calls.

    Attributes:
        local_key: What its local lane is offered under; empty where it is not.
    """

    def __init__(self, session_id: str, table: SessionTable, on_frame: Callable[[bytes | None], None] | None) -> None:
        """No shard yet."""
        self.id = session_id
        self.links: list[ShardLink] = []
        self.ended: OpenEnvError | None = None
        self.local_key = b""
        self._last_used = time.monotonic()
        self._table = table
        self._on_frame = on_frame

    @property
    def in_flight(self) -> int:
        """Requests of all shards that wait for their answers."""
        return sum(link.in_flight for link in self.links)

    def is_busy(self) -> bool:
        """Whether a request is under way, whichever way it came."""
        return any(link.is_busy() for link in self.links)

    def is_idle(self) -> bool:
        """Whether nobody holds it: no stream, no request in progress, not used for a while."""
        quiet = time.monotonic() - self._last_used > self._table.limits.session_idle_s
        return self._on_frame is None and not self.in_flight and quiet

    def touch(self) -> None:
        """Count as used just now."""
        self._last_used = time.monotonic()

    def submit(self, request: Any, frame: bytes, deliver: Callable[[bytes, int], None]) -> None:
        """Send a request to its shard.

        Raises:
            SessionLost: The session has ended.
            InvalidArgument: There is no such shard.
            ServerFull: Too many requests wait already.
            ServerDraining: The server is shutting down.
        """
        if self.ended is not None:
            msg = f"the session has ended: {self.ended.message}"
            raise SessionLost(msg, metadata=self.ended.metadata)
        if self._table.draining:
            msg = "the server is shutting down and takes no new request"
            raise ServerDraining(msg, retry_after_s=RETRY_S)
        if request.shard >= len(self.links):
            msg = f"{request.shard}, the session has {len(self.links)} shards"
            raise InvalidArgument(msg, field="shard")
        self.touch()
        self.links[request.shard].submit(frame, request.seq, request.timeout_ms, deliver)

    def end(self, error: OpenEnvError, *, farewell: bytes | None = None, at_once: bool = False) -> None:
        """End the session: answer what waits, say goodbye on the stream, end the workers.

        Args:
            error: Why; what waits is answered with it.
            farewell: The stream's last frame; by default one that says why.
            at_once: Kill the workers instead of letting them close their environments.
        """
        if self.ended is not None:
            return
        self.ended = error
        is_open = self.id in self._table.sessions
        self._table.remove(self)
        self.release(error, at_once=at_once)
        if self._on_frame is not None and is_open:  # while it opens, whoever opens it says why it did not
            self._on_frame(farewell or status_frame(0, 0, error, ended=True))
            self._on_frame(None)

    def release(self, error: OpenEnvError, *, at_once: bool = False) -> None:
        """Let go of all workers. They see it, close their environments and exit; those that don't are killed."""
        workers, loop = self._table.workers, asyncio.get_running_loop()
        if self._table.handover is not None:
            self._table.handover.withdraw(self)
        for link in self.links:
            link.close(error, FAILED | ENDED)
            loop.call_later(0 if at_once else CLOSE_GRACE_S, workers.kill, link.worker)

    def on_lost(self, link: ShardLink) -> None:
        """A worker is gone: find out why, then end the session."""
        self._table.background(self._bury(link))

    async def _bury(self, link: ShardLink) -> None:
        error = await link.worker.obituary()
        error.metadata["shard"] = str(link.shard)
        log.warning("session ended: %s", error)
        self.end(error, at_once=True)
