"""Real servers in processes of their own."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import processes
from tests.helpers.packages import ROOT, environ

ODD = re.compile("never retrieved|never awaited|Exception in callback|Unhandled|Task was destroyed|ResourceWarning")
"""What asyncio writes when somebody forgot something."""


class Server:
    """A server process.

    Attributes:
        address: Where it listens.
        process: It.
        log: File with all it wrote.
    """

    def __init__(
        self,
        environment: str,
        *arguments: str,
        directory: Path,
        address: str,
        token: str | None = None,
        **limits: float,
    ) -> None:
        """Start it; it may not be up yet."""
        self.socket = Path(address.removeprefix("unix:"))
        self.log = directory / "log"
        command = [sys.executable, "-m", "openenv_grpc.server", environment, "--address", address, *arguments]
        command += [f"--limit={name}={value}" for name, value in limits.items()]
        env = environ() | ({} if token is None else {"OPENENV_TOKEN": token})
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=env, cwd=ROOT
            )
        self.address = address

    def wait_until_up(self) -> None:
        """Wait until it says where it listens; it may be NOT_SERVING."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = re.search(r"erving at (\S+) \(pid|SERVING: .* at (\S+) \(pid", self.text)
            if found:
                self.address = found[1] or found[2]
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        message = f"the server did not start:\n{self.text}"
        raise AssertionError(message)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        """All it wrote."""
        return self.log.read_text(errors="replace")

    @property
    def parent(self) -> int:
        """The warm parent of its workers."""
        return processes.psutil.Process(self.pid).children()[0].pid

    @property
    def workers(self) -> list[int]:
        """Worker processes that run."""
        return processes.alive(processes.descendants(self.parent))

    def wait(self, timeout_s: float = 10.0) -> int:
        """Its exit status."""
        return self.process.wait(timeout_s)

    def stop(self) -> int:
        """End it in order; its exit status is returned."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()


@contextlib.contextmanager
def running(
    environment: str,
    *arguments: str,
    tcp: bool = False,
    address: str = "",
    ready: bool = True,
    token: str | None = None,
    **limits: float,
) -> Iterator[Server]:
    """A server for as long as the block lasts. Nothing of it is left behind, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="openenv-test-") as directory:
        address = address or ("127.0.0.1:0" if tcp else f"unix:{directory}/env.sock")
        server = Server(environment, *arguments, directory=Path(directory), address=address, token=token, **limits)
        try:
            if ready:
                server.wait_until_up()
            yield server
            server.stop()
            oddities = [line for line in server.text.splitlines() if ODD.search(line)]
            assert not oddities, server.text
        finally:
            family = [server.pid, *processes.descendants(server.pid)]
            try:
                server.stop()
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.wait()
                raise
            finally:
                processes.until(lambda: not processes.alive(family), what="the end of all processes")
