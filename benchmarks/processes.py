"""The processes of a benchmark: clients and servers that end with it, and what they cost.

None of them is in the benchmark's process group: Ctrl-C is the benchmark's to handle. Each ends when the pipe or socket
to it closes, which the kernel does whatever becomes of the benchmark.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from openenv_grpc.providers.base import EnvironmentSource
from openenv_grpc.providers.local import LocalProvider
from openenv_grpc.providers.running import start

ROOT = Path(__file__).parents[1]
STOP_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 120.0


class BrokenContestant(RuntimeError):
    """A client or server of the benchmark failed; the message has its own words."""


class Server(NamedTuple):
    """A server that runs: where it listens (`host:port` or `unix:/path`), and its process."""

    address: str
    pid: int


class Child:
    """A program of this package in a process of its own, asked and answering in JSON lines.

    Args:
        stack: Ends it.
        arguments: Its module and arguments.
        python: The interpreter, of whichever virtual environment.
        variables: Added to its environment.
    """

    def __init__(
        self,
        stack: ExitStack,
        arguments: list[str],
        python: str = sys.executable,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; the first answer is yet to come."""
        self._name = " ".join(arguments)
        self._log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
        self._process = subprocess.Popen(
            [python, "-m", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env={**os.environ, **(variables or {})},
        )
        self.pid = self._process.pid
        stack.callback(self._stop)

    def ask(self, do: str, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.tell(do, **fields)
        return self.hear()

    def tell(self, do: str, **fields: Any) -> None:
        """Send a request."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise BrokenContestant(self._obituary("ended")) from None

    def hear(self) -> dict[str, Any]:
        """Wait for an answer."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], ANSWER_TIMEOUT_S)[0]:
            raise BrokenContestant(self._obituary(f"did not answer within {ANSWER_TIMEOUT_S:g} s"))
        line = self._process.stdout.readline()
        if not line:
            raise BrokenContestant(self._obituary("ended"))
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise BrokenContestant(self._obituary(answer["error"]))
        return answer

    def _obituary(self, what: str) -> str:
        self._log.seek(0)
        return f"{self._name}: {what}; the end of its log:\n{self._log.read().decode(errors='replace')[-3000:]}"

    def _stop(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue  # it is gone already, and what it was told last with it
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)  # a group of its own: it and what it started
            self._process.wait()


def start_servers(
    stack: ExitStack,
    commands: list[list[str]],
    python: str = sys.executable,
    variables: Mapping[str, str] | None = None,
) -> list[Server]:
    """Servers of this package that are not ours, at once: each tells its address as soon as it serves."""
    children = [Child(stack, command, python, variables) for command in commands]
    return [Server(child.hear()["address"], child.pid) for child in children]


def start_ours(stack: ExitStack, environment: str) -> Server:
    """Our server, on a unix socket."""
    lease = start(LocalProvider(), EnvironmentSource(environment))
    stack.callback(lease.destroy)
    return Server(lease.address, int(lease.details["pid"]))


def start_ours_tcp(stack: ExitStack, environment: str) -> Server:
    """Our server, on TCP loopback; it ends with the lifeline, as a provider's does."""
    command = [sys.executable, "-m", "openenv_grpc.server", environment, "--address", "127.0.0.1:0"]
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [*command, "--lifeline", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    stack.callback(process.wait, STOP_TIMEOUT_S)
    stack.callback(ours.close)
    ours.settimeout(60.0)
    line = ours.makefile("rb").readline()
    told = json.loads(line or b'{"failure": "it ended"}')
    if told["failure"] is not None:
        msg = f"the server of {environment} did not start on TCP: {told['failure']}"
        raise BrokenContestant(msg)
    return Server(told["address"], process.pid)


@contextmanager
def on_cores(count: int | None) -> Iterator[None]:
    """What is started in here may use so many of our cores, the first ones; None for all of them."""
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(ours)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, ours)


def cpu_s(pid: int) -> float:
    """CPU seconds that a process and its descendants have used, to the nanosecond."""
    members = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return sum(time.clock_gettime(~member << 3 | 2) for member in members)  # Linux: the clock of another process


def resident_mb(pid: int) -> float:
    """Memory of a process and its descendants in MB; pages that several share count for each."""
    process = psutil.Process(pid)
    return sum(member.memory_info().rss for member in (process, *process.children(recursive=True))) / 1e6
