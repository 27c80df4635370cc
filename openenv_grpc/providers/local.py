"""The local provider: a server process on this machine, on a unix socket in a private directory, or on loopback.

Nothing outlives its owner: the server holds one end of a socket pair (the lifeline) and ends when the other closes,
which the kernel does for us even after `kill -9`; it removes its directory itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from openenv_grpc.errors import EnvironmentFailed, OpenEnvError, ServerUnavailable, Unsupported
from openenv_grpc.providers.base import EnvironmentSource, Lease, LeaseState, LeaseStatus, has_labels
from openenv_grpc.providers.lifeline import failure_of, harmless, log_tail, port_of, read_line
from openenv_grpc.session.token import VARIABLE
from openenv_grpc.specs import Isolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_TIMEOUT_S = 5.0
MAX_LOG = 1 << 20
"""Bytes read of the end of a log."""


@dataclass
class _Server:
    """A server process and what belongs to it."""

    lease: Lease
    process: subprocess.Popen[bytes]
    lifeline: socket.socket
    directory: str

    def log(self, lines: int) -> str:
        with contextlib.suppress(OSError), open(os.path.join(self.directory, "log"), "rb") as log:
            log.seek(max(os.fstat(log.fileno()).st_size - MAX_LOG, 0))
            return "\n".join(harmless(log.read()).splitlines()[-lines:])
        return ""

    def end(self) -> None:
        self.lifeline.close()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class LocalProvider:
    """Starts servers as child processes."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._servers: dict[str, _Server] = {}

    async def create(self, source: EnvironmentSource, deadline: float) -> Lease:
        """Start a server and wait until it serves.

        Raises:
            InvalidArgument: There is no such environment.
            EnvironmentFailed: It says that its environment cannot be built.
            ServerUnavailable: It did not start; the message has the end of its log.
            Unsupported: It is to run an image, or under a profile.
        """
        if source.image is not None or source.profile is not None:
            msg = "the local provider starts plain processes; images and profiles need provider='docker'"
            raise Unsupported(msg, field="provider")
        server = self._launch(source)
        self._servers[server.lease.id] = server
        try:
            line = await _await_ready(server, source, deadline)
            if source.tcp:
                server.lease = replace(server.lease, address=f"127.0.0.1:{port_of(line)}")
        except BaseException:
            await self.destroy(server.lease.id)
            raise
        return server.lease

    def _launch(self, source: EnvironmentSource) -> _Server:
        directory = tempfile.mkdtemp(prefix="openenv-")  # mode 0700
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        log = open(os.path.join(directory, "log"), "w+b")  # noqa: SIM115 - the child's stderr
        address = "127.0.0.1:0" if source.tcp else f"unix:{directory}/env.sock"
        token = secrets.token_urlsafe(32) if source.tcp else None
        command = [sys.executable, "-m", "openenv_grpc.server", source.environment, "--address", address]
        command += [f"--limit={name}={value}" for name, value in source.limits.items()]
        with theirs, log:
            process = subprocess.Popen(
                [*command, "--lifeline", str(theirs.fileno()), "--scratch", directory],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the owner's to handle; the lifeline does the rest
                env=_environment(token),
            )
        lease = Lease(
            secrets.token_hex(8),
            address,
            self,
            isolation=Isolation("process"),
            token=token,
            labels=dict(source.labels),
            details={"pid": str(process.pid)},
        )
        return _Server(lease, process, ours, directory)

    async def status(self, lease_id: str) -> LeaseStatus:
        """What has become of a lease."""
        server = self._servers.get(lease_id)
        if server is None:
            return LeaseStatus(LeaseState.GONE)
        status = server.process.poll()
        if status is None:
            return LeaseStatus(LeaseState.RUNNING)
        return LeaseStatus(LeaseState.ENDED, f"exit code {status}" if status >= 0 else f"signal {-status}")

    async def destroy(self, lease_id: str) -> None:
        """End a server, in order if it obeys. One that is gone already is no error."""
        server = self._servers.pop(lease_id, None)
        if server is not None:
            # To its end, also when the caller is cancelled: nobody else knows of it any more.
            await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(server.end)))

    async def list(self, labels: Mapping[str, str] | None = None) -> Sequence[Lease]:
        """The leases that are not destroyed, with these labels at least."""
        return [server.lease for server in self._servers.values() if has_labels(server.lease, labels)]

    async def logs(self, lease_id: str, tail: int = 200) -> str:
        """The last lines that a server wrote; "" where nothing is known."""
        server = self._servers.get(lease_id)
        return "" if server is None else await asyncio.to_thread(server.log, tail)

    async def close(self) -> None:
        """Destroy all leases."""
        await asyncio.gather(*(self.destroy(lease_id) for lease_id in list(self._servers)))


def _environment(token: str | None) -> dict[str, str]:
    """A server's variables: ours, but for a token, which would be that of some other server."""
    ours = {name: value for name, value in os.environ.items() if name != VARIABLE}
    return ours if token is None else ours | {VARIABLE: token}


async def _await_ready(server: _Server, source: EnvironmentSource, deadline: float) -> bytes:
    """Wait for the one line that the server writes when it serves, or says why it does not; the line is returned."""
    try:
        line = await read_line(server.lifeline, deadline)
    except asyncio.TimeoutError:
        msg = f"{source.environment} did not serve in time{log_tail(server.log(200))}"
        raise ServerUnavailable(msg) from None
    if line is None:
        status = await asyncio.to_thread(server.process.wait)
        msg = f"the server of {source.environment} ended with exit code {status}{log_tail(server.log(200))}"
        raise ServerUnavailable(msg)
    failure: OpenEnvError | None = failure_of(line)
    if isinstance(failure, EnvironmentFailed):
        raise EnvironmentFailed(failure.message + log_tail(server.log(200)), field=failure.field)
    if failure is not None:
        raise failure
    return line
