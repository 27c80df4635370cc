"""Worker processes as the server sees them: the warm parent that forks them, and how each one ended."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import (
    EnvironmentCrashed,
    EnvironmentFailed,
    OpenEnvError,
    ServerFull,
    ServerUnavailable,
    from_status,
)
from openenv_grpc.session.packet import FAILED, RECV_SIZE, Assembler
from openenv_grpc.v1 import session_pb2, spec_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openenv_grpc.specs import EnvironmentSpec

log = logging.getLogger(__name__)
_SIGNALS = {number.value for number in signal.Signals}
START_TIMEOUT_S = 60.0
"""Time for importing the environment, and for constructing the one that is described."""
STOP_GRACE_S = 1.5
"""Time for workers to close their environments when the server ends."""


@dataclass
class Worker:
    """One forked process. `ended` resolves to its exit code, negative for a signal."""

    pid: int
    ended: asyncio.Future[int]

    async def obituary(self) -> OpenEnvError:
        """Why it is gone, as an error. Waits a moment for the parent's report."""
        try:
            code = await asyncio.wait_for(asyncio.shield(self.ended), 5.0)
        except asyncio.TimeoutError:
            return EnvironmentCrashed("the environment's process closed its socket; the session has ended")
        if code >= 0:
            metadata = {"exit_code": str(code)}
            return EnvironmentCrashed(f"the environment's process exited with code {code}", metadata=metadata)
        name = signal.Signals(-code).name if -code in _SIGNALS else f"signal {-code}"
        hint = " (out of memory, or killed from outside)" if name == "SIGKILL" else ""
        return EnvironmentCrashed(f"the environment's process was ended by {name}{hint}", metadata={"signal": name})


class Workers:
    """The warm parent of one environment.

    Args:
        path: The environment, as `module:Class`.
        name: Its name, for logs and the description.
        on_gone: Called when the parent has died though it was not told to.
    """

    def __init__(self, path: str, name: str, on_gone: Callable[[OpenEnvError], None]) -> None:
        """Nothing is started yet."""
        self._on_gone = on_gone
        self._outgoing: deque[tuple[bytes, socket.socket | None]] = deque()
        self._path = path
        self._name = name
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._forks: dict[int, asyncio.Future[Worker]] = {}
        self._alive: dict[int, Worker] = {}
        self._next = 0

    async def start(self) -> None:
        """Start the parent and wait until it has imported the environment.

        Raises:
            EnvironmentFailed: The import failed; the message says why.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [sys.executable, "-m", "openenv_grpc.worker", str(theirs.fileno()), self._path, self._name]
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=_environment()
        )
        theirs.close()
        self._control = ours
        self._ready = loop.create_future()
        loop.add_reader(ours, self._on_message)
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), START_TIMEOUT_S)
        except asyncio.TimeoutError:
            msg = f"importing it took more than {START_TIMEOUT_S:.0f} s"
            raise EnvironmentFailed(msg) from None

    async def fork(self, message: Mapping[str, Any], sock: socket.socket) -> Worker:
        """Fork a worker that serves the other end of `sock`, which is closed here."""
        if self._control is None:
            msg = "the environment's parent process is gone; restart the server"
            raise ServerUnavailable(msg)
        self._next += 1
        future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        self._forks[self._next] = future
        self._send({**message, "id": self._next}, sock)
        return await future

    def _send(self, message: Mapping[str, Any], sock: socket.socket | None = None) -> None:
        """Send a message to the parent, which may be busy; a socket that goes with it is closed here."""
        self._outgoing.append((json.dumps(message).encode(), sock))
        if len(self._outgoing) == 1:
            self._flush()

    def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        while self._control is not None and self._outgoing:
            data, sock = self._outgoing[0]
            try:
                if sock is None:
                    self._control.send(data)
                else:
                    socket.send_fds(self._control, [data], [sock.fileno()])
            except BlockingIOError:
                loop.add_writer(self._control, self._flush)
                return
            except ConnectionError:  # the parent is gone; the reader will hear of it
                pass
            self._outgoing.popleft()
            if sock is not None:
                sock.close()
        if self._control is not None:
            loop.remove_writer(self._control)

    def kill(self, worker: Worker) -> None:
        """End a worker at once; one that has ended already is left alone."""
        if self._control is not None and not worker.ended.done():
            self._send({"op": "kill", "pid": worker.pid})

    async def describe(self, options: Sequence[str]) -> EnvironmentSpec:
        """Have a fresh worker construct the environment and say what it is.

        Args:
            options: The server's default options, each as `name=value`.

        Raises:
            OpenEnvError: It cannot be constructed with these options, or its class breaks a rule.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.setblocking(False)
            worker = await self.fork({"op": "describe", "options": list(options)}, theirs)
            try:
                return await asyncio.wait_for(_read_description(ours, worker), START_TIMEOUT_S)
            except asyncio.TimeoutError:
                self.kill(worker)
                msg = f"constructing it took more than {START_TIMEOUT_S:.0f} s"
                raise EnvironmentFailed(msg) from None

    async def stop(self) -> None:
        """End the parent and all workers; returns when they are gone. Workers that end by themselves get a moment."""
        if self._alive:
            await asyncio.wait([worker.ended for worker in self._alive.values()], timeout=STOP_GRACE_S)
        self._forget_control()
        if self._process is not None:
            if self._ready is None or not self._ready.done():  # it is importing, and does not listen
                self._process.kill()
            try:
                await asyncio.to_thread(self._process.wait, 5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)

    def _forget_control(self) -> None:
        if self._control is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._control)
            loop.remove_writer(self._control)
            self._control.close()
            self._control = None
        while self._outgoing:
            _, sock = self._outgoing.popleft()
            if sock is not None:
                sock.close()

    def _on_message(self) -> None:
        if self._control is None:
            return
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._on_parent_gone()
            return
        self._handle(json.loads(data))

    def _handle(self, message: Mapping[str, Any]) -> None:
        if message["op"] == "forked":
            worker = Worker(message["pid"], asyncio.get_running_loop().create_future())
            self._alive[worker.pid] = worker
            future = self._forks.pop(message["id"])
            if not future.done():  # else nobody waits any more; the worker sees its socket closed, and ends
                future.set_result(worker)
        elif message["op"] == "unforked":
            why = f"the machine has no room for a worker: {message['message']}"
            future = self._forks.pop(message["id"])
            if not future.done():
                future.set_exception(ServerFull(why, retry_after_s=1.0))
        elif message["op"] == "exit":
            worker = self._alive.pop(message["pid"])
            worker.ended.set_result(message["code"])
        elif self._ready is not None and not self._ready.done():
            if message["op"] == "ready":
                self._ready.set_result(None)
            else:
                self._ready.set_exception(EnvironmentFailed(message["message"]))

    def _on_parent_gone(self) -> None:
        """The parent died, and the kernel ended its workers with it."""
        self._forget_control()
        log.error("the parent process of the workers is gone")
        gone = ServerUnavailable("the environment's parent process died; see the server's log, and restart the server")
        self._on_gone(gone)
        waiting: list[asyncio.Future[Any]] = [*self._forks.values()]
        if self._ready is not None:
            waiting.append(self._ready)
        for future in waiting:
            if not future.done():
                future.set_exception(gone)
        self._forks.clear()
        for worker in self._alive.values():
            if not worker.ended.done():
                worker.ended.set_result(-signal.SIGKILL)
        self._alive.clear()


async def _read_description(sock: socket.socket, worker: Worker) -> EnvironmentSpec:
    loop = asyncio.get_running_loop()
    assembler = Assembler(wire.MAX_DESCRIPTOR_BYTES + (1 << 20))
    while True:
        message = await loop.sock_recv(sock, RECV_SIZE)
        if not message:
            raise await worker.obituary()
        packet = assembler.feed(message)
        if packet is None:
            continue
        if packet.flags & FAILED:
            raise from_status(frames.decode(packet.frame, session_pb2.SessionResponse, 1 << 20).header.status)
        return wire.environment_from_message(spec_pb2.EnvironmentSpec.FromString(packet.frame))


def _environment() -> dict[str, str]:
    """A worker's variables: numeric libraries use one thread each, since a session has a worker per core."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return single | dict(os.environ)
