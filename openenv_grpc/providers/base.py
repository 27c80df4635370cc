"""The interface of providers: a specification becomes a lease, an endpoint that serves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class EnvironmentSource:
    """What to run.

    Attributes:
        environment: Name of an installed environment, or `module:Class`.
        timeout_s: Seconds until it must serve.
        limits: Limits of the server, by their names in `openenv_grpc.specs.Limits`; those not named are its own.
    """

    environment: str
    timeout_s: float = 60.0
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lease:
    """A server that serves, until `destroy` is called or its owner dies.

    Attributes:
        address: Where it listens.
        destroy: Ends it and removes all it left; calling it again does nothing.
    """

    address: str
    destroy: Callable[[], None]
    details: dict[str, str] = field(default_factory=dict)


class Provider(Protocol):
    """A place where environments run."""

    def create(self, source: EnvironmentSource) -> Lease:
        """Start a server and wait until it serves.

        Raises:
            OpenEnvError: It did not; the message has the reason and the end of its log.
        """


def find_provider(name: str) -> Provider:
    """The provider of that name.

    Raises:
        InvalidArgument: There is none.
    """
    if name == "local":
        from openenv_grpc.providers.local import LocalProvider

        return LocalProvider()
    msg = f"no provider {name!r}; there is: local"
    raise InvalidArgument(msg, field="provider")
