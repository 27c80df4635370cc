"""From what a caller names to a target: a server that runs, or one that is started for the occasion."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.providers.base import EnvironmentSource, find_provider
from openenv_grpc.providers.running import start
from openenv_grpc.testing.target import TIMEOUT_S, Hints, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from openenv_grpc.providers.base import Lease, Provider


class LeasedServers:
    """Servers of one environment, from a provider.

    Args:
        provider: Starts them.
        source: What to start; the limits are those that cases ask for.
        terminate: Tells the server of a lease to shut down in order.
        stack: Ends them.

    Attributes:
        start_s: Seconds that the last one has taken to serve.
    """

    def __init__(
        self,
        provider: Provider,
        source: EnvironmentSource,
        terminate: Callable[[Lease], None],
        stack: contextlib.ExitStack,
    ) -> None:
        """None is started yet."""
        self._provider = provider
        self._source = source
        self._terminate = terminate
        self._stack = stack
        self._limited: dict[str, Target] = {}
        self._lock = threading.Lock()
        self.start_s = 0.0

    def start(self, **limits: float) -> Lease:
        """A server that serves."""
        begin = time.monotonic()
        lease = start(self._provider, replace(self._source, limits=limits))
        self._stack.callback(lease.destroy)
        self.start_s = time.monotonic() - begin
        return lease

    def limited(self, target: Target, **limits: float) -> Target:
        """One with other limits."""
        key = str(sorted(limits.items()))
        with self._lock:
            if key not in self._limited:
                self._limited[key] = self._like(target, self.start(**limits))
            return self._limited[key]

    def mortal(self, target: Target) -> tuple[Target, Callable[[], None]]:
        """A new one, and a function that tells it to shut down."""
        lease = self.start()
        return self._like(target, lease), lambda: self._terminate(lease)

    def _like(self, target: Target, lease: Lease) -> Target:
        found = target.like(lease.address)
        self._stack.callback(found.close)
        return found


def _terminate(lease: Lease) -> None:
    os.kill(int(lease.details["pid"]), signal.SIGTERM)


@contextlib.contextmanager
def check_target(
    environment: str | None,
    address: str | None = None,
    options: Mapping[str, Any] | None = None,
    hints: Hints | None = None,
    timeout_s: float = TIMEOUT_S,
    token: str | None = None,
) -> Iterator[Target]:
    """A target for as long as the block lasts; a server that is started for it ends with it.

    Args:
        environment: An installed environment or `module:Class`, to be started on this machine.
        address: A server that runs already, to be used instead.
        options: Construction options of every session.
        hints: What the description does not say.
        timeout_s: Seconds that one case may take.
        token: What the server that runs already asks of its clients, if it does.

    Raises:
        InvalidArgument: Neither environment nor address is given, or they are wrong.
        OpenEnvError: The server does not start, or does not answer.
    """
    with contextlib.ExitStack() as stack:
        servers = None
        if address is None:
            if environment is None:
                msg = "give the name of an environment, or the address of a server that runs"
                raise InvalidArgument(msg, field="environment")
            servers = LeasedServers(find_provider("local"), EnvironmentSource(environment), _terminate, stack)
            address = servers.start().address
        target = Target.connect(address, options=options, hints=hints, timeout_s=timeout_s, token=token)
        stack.callback(target.close)
        target.servers = servers
        yield target
