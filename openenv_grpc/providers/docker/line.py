"""Callers that wait in line for something to change, on one loop: the first that came is the first to look again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openenv_grpc.errors import OpenEnvError


class Line:
    """A line of callers; its length is how many there are."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiters)

    async def wait(self, deadline: float) -> None:
        """Wait to be called.

        Args:
            deadline: In seconds of `time.monotonic`.

        Raises:
            asyncio.TimeoutError: Nobody has called in time.
            OpenEnvError: Whoever called has given this.
        """
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await asyncio.wait_for(waiter, max(deadline - time.monotonic(), 0))
        except asyncio.TimeoutError:
            self.call()  # we may have been called in this very moment
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)

    def call(self, error: OpenEnvError | None = None) -> None:
        """Have the first who waits look again, or fail."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None) if error is None else waiter.set_exception(error)
                return
