"""The loop that all providers run on, in a thread of its own, and how others wait for what happens there."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from openenv_grpc.client.channel import START_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from openenv_grpc.client import AsyncEnvClient, AsyncVectorEnvClient, EnvClient, VectorEnv
    from openenv_grpc.providers.base import EnvironmentSource, Lease, Provider

T = TypeVar("T")
ClientT = TypeVar("ClientT", bound="EnvClient[Any, Any, Any] | VectorEnv")
AsyncClientT = TypeVar("AsyncClientT", bound="AsyncEnvClient[Any, Any, Any] | AsyncVectorEnvClient[Any, Any, Any]")


class _Home:
    """The loop of this process: made when it is first needed, and again in a child that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(target=self._loop.run_forever, name="openenv-providers", daemon=True).start()
            return self._loop

    def forget(self) -> None:
        """In a forked child: the lock may have been held, and the thread is the parent's."""
        self._lock, self._loop = threading.Lock(), None


_HOME = _Home()
os.register_at_fork(after_in_child=_HOME.forget)


class _Job(Generic[T]):
    """A coroutine on that loop. `future` is done when nothing of it runs any more, cancelled or not."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self.future: Future[T] = Future()
        self._task: asyncio.Task[T] | None = None
        self._coroutine = coroutine
        self._loop = _HOME.loop()
        self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._coroutine)
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())

    def cancel(self, undo: Callable[[T], Coroutine[Any, Any, None]] | None) -> None:
        """Ask it to end. What it returns all the same is undone."""

        def drop(future: Future[T]) -> None:
            if future.exception() is None and undo is not None:
                _Job(undo(future.result()))

        def ask() -> None:
            if self._task is not None:
                self._task.cancel()

        self.future.add_done_callback(drop)
        self._loop.call_soon_threadsafe(ask)


def run(coroutine: Coroutine[Any, Any, T], undo: Callable[[T], Coroutine[Any, Any, None]] | None = None) -> T:
    """Run it on the providers' loop and wait. Ctrl-C cancels it, and waits for the end of what it began.

    Args:
        coroutine: What to run.
        undo: What to do with a result that nobody waits for any more.
    """
    job = _Job(coroutine)
    try:
        return job.future.result()
    except BaseException:
        if not job.future.done():
            job.cancel(undo)
            job.future.exception()
        raise


def run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run it on the providers' loop and wait. Ctrl-C ends the waiting, not what goes on there."""
    return _Job(coroutine).future.result()


async def wait_for(
    coroutine: Coroutine[Any, Any, T], undo: Callable[[T], Coroutine[Any, Any, None]] | None = None
) -> T:
    """The same for a task of any loop. Cancelled, it does not wait for the end of what it began."""
    job = _Job(coroutine)
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    job.future.add_done_callback(lambda _: None if loop.is_closed() else loop.call_soon_threadsafe(done.set))
    try:
        await done.wait()
    except asyncio.CancelledError:
        job.cancel(undo)
        raise
    return job.future.result()


def start(provider: Provider, source: EnvironmentSource, timeout_s: float = START_TIMEOUT_S) -> Lease:
    """A lease; blocks until the server serves.

    Raises:
        OpenEnvError: It does not; the message has the reason and the end of its log.
    """
    return run(provider.create(source, time.monotonic() + timeout_s), _end_of)


async def start_async(provider: Provider, source: EnvironmentSource, timeout_s: float = START_TIMEOUT_S) -> Lease:
    """The same for asyncio."""
    return await wait_for(provider.create(source, time.monotonic() + timeout_s), _end_of)


def start_client(
    provider: Provider, source: EnvironmentSource, timeout_s: float, connect: Callable[[str, str | None], ClientT]
) -> ClientT:
    """A client of a server of its own, which ends with it.

    Args:
        provider: Where to start it.
        source: What to run.
        timeout_s: Seconds until it must serve.
        connect: Makes the client, from the lease's address and its token.

    Raises:
        OpenEnvError: The server does not serve, or the session cannot be opened; nothing is left of either.
    """
    lease = start(provider, source, timeout_s)
    try:
        client = connect(lease.address, lease.token)
    except BaseException:
        lease.destroy()
        raise
    client.set_isolation(lease.isolation)
    client.add_cleanup(lease.destroy)
    return client


async def start_client_async(
    provider: Provider,
    source: EnvironmentSource,
    timeout_s: float,
    connect: Callable[[str, str | None], Awaitable[AsyncClientT]],
) -> AsyncClientT:
    """The same for asyncio."""
    lease = await start_async(provider, source, timeout_s)
    try:
        client = await connect(lease.address, lease.token)
    except BaseException:
        await asyncio.to_thread(lease.destroy)
        raise
    client.set_isolation(lease.isolation)
    client.add_cleanup(lambda: asyncio.to_thread(lease.destroy))
    return client


def _end_of(lease: Lease) -> Coroutine[Any, Any, None]:
    return lease.provider.destroy(lease.id)
