"""The local provider: a server process on this machine, on a unix socket in a private directory.

Nothing outlives its owner: the server holds one end of a socket pair (the lifeline) and ends when the other closes,
which the kernel does for us even after `kill -9`; it removes its directory itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile

from openenv_grpc.errors import EnvironmentFailed, InvalidArgument, ServerUnavailable
from openenv_grpc.providers.base import EnvironmentSource, Lease

STOP_TIMEOUT_S = 5.0


class LocalProvider:
    """Starts servers as child processes."""

    def create(self, source: EnvironmentSource) -> Lease:
        """Start a server and wait until it serves.

        Raises:
            InvalidArgument: There is no such environment.
            EnvironmentFailed: It says that its environment cannot be built.
            ServerUnavailable: It did not start; the message has the end of its log.
        """
        directory = tempfile.mkdtemp(prefix="openenv-")  # mode 0700
        ours, theirs = socket.socketpair()
        log = open(os.path.join(directory, "log"), "w+b")  # noqa: SIM115 - the child's stderr
        address = f"unix:{directory}/env.sock"
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
            )
        lease = Lease(address, lambda: _destroy(process, ours, directory), {"pid": str(process.pid)})
        try:
            _await_ready(ours, source, process, directory)
        except BaseException:
            lease.destroy()
            raise
        return lease


def _await_ready(
    lifeline: socket.socket, source: EnvironmentSource, process: subprocess.Popen[bytes], directory: str
) -> None:
    """Wait for the one line that the server writes when it serves, or says why it does not."""
    lifeline.settimeout(source.timeout_s)
    try:
        line = lifeline.makefile("rb").readline()
    except TimeoutError:
        msg = f"{source.environment} did not serve within {source.timeout_s:g} s{_log_tail(directory)}"
        raise ServerUnavailable(msg) from None
    if not line:
        process.wait()
        msg = f"the server of {source.environment} ended with exit code {process.returncode}{_log_tail(directory)}"
        raise ServerUnavailable(msg)
    failure = json.loads(line)["failure"]
    if failure is None:
        return
    if failure["reason"] == InvalidArgument.reason:
        raise InvalidArgument(failure["message"], field=failure["field"])
    raise EnvironmentFailed(failure["message"] + _log_tail(directory), field=failure["field"])


def _log_tail(directory: str) -> str:
    with contextlib.suppress(OSError), open(os.path.join(directory, "log"), errors="replace") as log:
        lines = log.read()[-4000:].strip()
        return f"; the end of its log:\n{lines}" if lines else ""
    return ""


def _destroy(process: subprocess.Popen[bytes], lifeline: socket.socket, directory: str) -> None:
    lifeline.close()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(directory, ignore_errors=True)
