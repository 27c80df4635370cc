"""The interface of providers: a specification becomes a lease, an endpoint that serves.

Providers are asynchronous, and all of them run on one loop in a thread of its own (`openenv_grpc.providers.running`),
so that what they keep between calls has one home, whoever calls and from which loop.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openenv_grpc.providers.profiles import Profile
    from openenv_grpc.specs import Isolation

NAMES = ("local", "docker")


@dataclass(frozen=True)
class EnvironmentSource:
    """What to run.

    Attributes:
        environment: Name of an installed environment, or `module:Class`.
        limits: Limits of the server, by their names in `openenv_grpc.specs.Limits`; those not named are its own.
        labels: What `Provider.list` finds it by, such as the name of a run.
        image: The image to run, for providers that run images; by default that of the environment's name.
        profile: How to hold it: a profile, or the name of one; None is what the provider does by itself.
        tcp: Have it reached by a port of 127.0.0.1, with a token, and not by unix sockets.
    """

    environment: str
    limits: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    profile: str | Profile | None = None
    tcp: bool = False


@dataclass(frozen=True)
class Lease:
    """A server that serves, until `destroy` is called or its owner dies.

    Attributes:
        id: Names it at its provider. No two leases ever have the same.
        address: Where it listens.
        provider: Whom it is from.
        isolation: What holds it, as its provider has set it up.
        generation: How often what it stands on was leased, this time included.
        token: What the server asks of its clients, or None.
        expires: Unix time at which it ends by itself, or None.
        labels: Those of its source.
        details: Further facts for people and tests, such as the server's `pid`.
    """

    id: str
    address: str
    provider: Provider = field(repr=False)
    isolation: Isolation | None = None
    generation: int = 1
    token: str | None = field(default=None, repr=False)
    expires: float | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)

    def destroy(self) -> None:
        """End it and remove all it left; calling it again does nothing. Blocks."""
        from openenv_grpc.providers.running import run_to_end

        run_to_end(self.provider.destroy(self.id))


class LeaseState(Enum):
    """What has become of a lease."""

    RUNNING = "running"
    PAUSED = "paused"
    ENDED = "ended"
    """The server has ended by itself; `destroy` removes what is left."""
    GONE = "gone"
    """There is nothing of that id, any more or at all."""


@dataclass(frozen=True)
class LeaseStatus:
    """The state of a lease, and for one that has ended why."""

    state: LeaseState
    reason: str = ""


class Provider(Protocol):
    """A place where environments run."""

    async def create(self, source: EnvironmentSource, deadline: float) -> Lease:
        """Start a server and wait until it serves. Nothing is left of one that does not, or that is cancelled.

        Args:
            source: What to run.
            deadline: When to give up, in seconds of `time.monotonic`.

        Raises:
            OpenEnvError: It does not serve; the message has the reason and the end of its log.
        """

    async def status(self, lease_id: str) -> LeaseStatus:
        """What has become of a lease."""

    async def destroy(self, lease_id: str) -> None:
        """End a lease and remove all it left. One that is gone already is no error."""

    async def list(self, labels: Mapping[str, str] | None = None) -> Sequence[Lease]:
        """The leases that are not destroyed, with these labels at least."""

    async def logs(self, lease_id: str, tail: int = 200) -> str:
        """The last lines that a server wrote, harmless to print; "" where nothing is known."""

    async def close(self) -> None:
        """Destroy all leases."""


def has_labels(lease: Lease, labels: Mapping[str, str] | None) -> bool:
    """Whether a lease has these labels at least."""
    return all(lease.labels.get(name) == value for name, value in (labels or {}).items())


def find_provider(name: str | Provider) -> Provider:
    """The provider of that name, the same one each time; a provider itself is returned as it is.

    Raises:
        InvalidArgument: There is none.
    """
    if not isinstance(name, str):
        return name
    if name not in NAMES:
        msg = f"no provider {name!r}; there are: {', '.join(NAMES)}"
        raise InvalidArgument(msg, field="provider")
    if name not in _found:
        _found[name] = _make(name)
    return _found[name]


def choose_provider(name: str | Provider, source: EnvironmentSource, pool: int | Provider | None) -> Provider:
    """Where to take a source from: a provider, a pool, or this process's own pool of so many warm containers.

    Raises:
        InvalidArgument: There is no such provider, or it has no pools.
    """
    if pool is None:
        return find_provider(name)
    if not isinstance(pool, int):
        return pool
    if name != "docker":
        msg = "only provider='docker' keeps a pool; give one of your own otherwise"
        raise InvalidArgument(msg, field="pool")
    from openenv_grpc.providers.docker import DockerProvider
    from openenv_grpc.providers.docker.pool import pool_of

    provider = find_provider("docker")
    return pool_of(provider, source, pool) if isinstance(provider, DockerProvider) else provider


_found: dict[str, Provider] = {}
os.register_at_fork(after_in_child=_found.clear)  # threads and connections are the parent's


def _make(name: str) -> Provider:
    if name == "docker":
        from openenv_grpc.providers.docker import DockerProvider

        return DockerProvider()
    from openenv_grpc.providers.local import LocalProvider

    return LocalProvider()
