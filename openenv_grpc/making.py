"""`make`, `make_vec`, `connect`, `connect_vec`: from a name or an address to a connected client, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from openenv_grpc.client import EnvClient, VectorEnvClient
from openenv_grpc.providers.base import EnvironmentSource, find_provider

if TYPE_CHECKING:
    from collections.abc import Callable

ClientT = TypeVar("ClientT", bound="EnvClient[Any, Any, Any] | VectorEnvClient[Any, Any, Any]")


def make(
    environment: str, *, provider: str = "local", timeout_s: float = 60.0, **kwargs: Any
) -> EnvClient[Any, Any, Any]:
    """Start an environment and open a session of one lane on it; both end when the client is closed.

    Args:
        environment: Name of an installed environment, or `module:Class`.
        provider: Where it runs: `local`, a server process on this machine.
        timeout_s: Seconds until it must serve.
        kwargs: Construction options, and the arguments of `EnvClient.connect` (`fields`, `autoreset_mode`, …).

    Raises:
        EnvironmentFailed: It cannot be built.
        ServerUnavailable: It did not start; the message has the end of its log.
        InvalidArgument: No such environment or provider, or a wrong option.
    """
    return _start(environment, provider, timeout_s, lambda address: connect(address, **kwargs))


def make_vec(
    environment: str, num_envs: int = 1, *, provider: str = "local", timeout_s: float = 60.0, **kwargs: Any
) -> VectorEnvClient[Any, Any, Any]:
    """Start an environment and open a session of `num_envs` lanes on it; both end when the client is closed.

    Args:
        environment: Name of an installed environment, or `module:Class`.
        num_envs: Number of lanes.
        provider: Where it runs: `local`, a server process on this machine.
        timeout_s: Seconds until it must serve.
        kwargs: Construction options, and the arguments of `VectorEnvClient.connect`.

    Raises:
        OpenEnvError: As `make`.
    """
    return _start(environment, provider, timeout_s, lambda address: connect_vec(address, num_envs, **kwargs))


def connect(address: str, **kwargs: Any) -> EnvClient[Any, Any, Any]:
    """A client of one lane for any server, built from the server's description alone; see `EnvClient.connect`."""
    client: EnvClient[Any, Any, Any] = EnvClient.connect(address, **kwargs)
    return client


def connect_vec(address: str, num_envs: int = 1, **kwargs: Any) -> VectorEnvClient[Any, Any, Any]:
    """A client of `num_envs` lanes for any server; see `VectorEnvClient.connect`."""
    client: VectorEnvClient[Any, Any, Any] = VectorEnvClient.connect(address, num_envs, **kwargs)
    return client


def _start(environment: str, provider: str, timeout_s: float, connect: Callable[[str], ClientT]) -> ClientT:
    lease = find_provider(provider).create(EnvironmentSource(environment, timeout_s))
    try:
        client = connect(lease.address)
    except BaseException:
        lease.destroy()
        raise
    client.add_cleanup(lease.destroy)
    return client
