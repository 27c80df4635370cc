"""From what a caller names to a target: a server that runs, or one that is started for the occasion."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.providers.base import EnvironmentSource, find_provider
from openenv_grpc.testing.target import TIMEOUT_S, Hints, Target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextlib.contextmanager
def check_target(
    environment: str | None,
    address: str | None = None,
    options: Mapping[str, Any] | None = None,
    hints: Hints | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Target]:
    """A target for as long as the block lasts; a server that is started for it ends with it.

    Args:
        environment: An installed environment or `module:Class`, to be started on this machine.
        address: A server that runs already, to be used instead.
        options: Construction options of every session.
        hints: What the description does not say.
        timeout_s: Seconds that one case may take.

    Raises:
        InvalidArgument: Neither environment nor address is given, or they are wrong.
        OpenEnvError: The server does not start, or does not answer.
    """
    with contextlib.ExitStack() as stack:
        if address is None:
            if environment is None:
                msg = "give the name of an environment, or the address of a server that runs"
                raise InvalidArgument(msg, field="environment")
            lease = find_provider("local").create(EnvironmentSource(environment))
            stack.callback(lease.destroy)
            address = lease.address
        target = Target.connect(address, options=options, hints=hints, timeout_s=timeout_s)
        stack.callback(target.close)
        yield target
