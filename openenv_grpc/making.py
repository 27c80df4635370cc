"""`make`, `make_vec`, `connect`, `connect_vec`: from a name or an address to a connected client, in one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_grpc.client import EnvClient, VectorEnv
from openenv_grpc.client.channel import START_TIMEOUT_S
from openenv_grpc.providers.base import EnvironmentSource, choose_provider
from openenv_grpc.providers.running import start_client
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from enum import Enum

    from openenv_grpc.providers.base import Provider
    from openenv_grpc.providers.profiles import Profile


def make(
    environment: str,
    *,
    provider: str | Provider = "local",
    profile: str | Profile | None = None,
    pool: int | Provider | None = None,
    tcp: bool = False,
    timeout_s: float = START_TIMEOUT_S,
    **kwargs: Any,
) -> EnvClient[Any, Any, Any]:
    """Start an environment and open a session of one lane on it; both end when the client is closed.

    Args:
        environment: Name of an installed environment, or `module:Class`.
        provider: Where it runs: `local`, a server process on this machine; `docker`, a container of the image that
            `openenv-grpc build` makes of it; or a provider of your own.
        profile: How a container is held: `hardened` (the default), `gvisor`, `open`, or one of your own.
        pool: Take it from a pool of warm containers: so many that this process keeps, or a `DockerPool` of your own.
        tcp: Reach it by a port of 127.0.0.1 with a token, not by unix sockets: slower, and without the local lane.
        timeout_s: Seconds until it must serve.
        kwargs: Construction options, and the arguments of `EnvClient.connect` (`fields`, `autoreset_mode`, …).

    Raises:
        EnvironmentFailed: It cannot be built.
        ServerUnavailable: It did not start; the message has the end of its log.
        InvalidArgument: No such environment, image, provider or profile, or a wrong option.
        Unsupported: This machine cannot give what the profile asks for; the message says what to install.
    """
    source = EnvironmentSource(environment, profile=profile, tcp=tcp)
    chosen = choose_provider(provider, source, pool)
    return start_client(chosen, source, timeout_s, lambda address, token: connect(address, token=token, **kwargs))


def make_vec(
    environment: str,
    num_envs: int = 1,
    *,
    provider: str | Provider = "local",
    profile: str | Profile | None = None,
    pool: int | Provider | None = None,
    tcp: bool = False,
    timeout_s: float = START_TIMEOUT_S,
    batch_size: int | None = None,
    autoreset_mode: AutoresetMode | str | Enum = AutoresetMode.NEXT_STEP,
    copy: bool = True,
    **kwargs: Any,
) -> VectorEnv:
    """Start an environment and open a session of `num_envs` lanes on it; both end when it is closed.

    Args:
        environment: Name of an installed environment, or `module:Class`.
        num_envs: Number of lanes.
        provider: Where it runs: `local`, a server process on this machine; `docker`, a container of the image that
            `openenv-grpc build` makes of it; or a provider of your own.
        profile: How a container is held: `hardened` (the default), `gvisor`, `open`, or one of your own.
        pool: Take it from a pool of warm containers: so many that this process keeps, or a `DockerPool` of your own.
        tcp: Reach it by a port of 127.0.0.1 with a token, not by unix sockets: slower, and without the local lane.
        timeout_s: Seconds until it must serve.
        batch_size: Lanes that `recv` returns; all by default.
        autoreset_mode: What happens at an episode's end, as `VectorEnv.connect` takes it.
        copy: Whether observations stay as they are for as long as you keep them; see `EnvClient.connect`.
        kwargs: Construction options, and the arguments of `VectorEnvClient.connect` (`fields`, `shards`, …).

    Raises:
        OpenEnvError: As `make`.
    """

    def connect(address: str, token: str | None) -> VectorEnv:
        shape: dict[str, Any] = {"batch_size": batch_size, "autoreset_mode": autoreset_mode, "copy": copy}
        return connect_vec(address, num_envs, token=token, **shape, **kwargs)

    source = EnvironmentSource(environment, profile=profile, tcp=tcp)
    return start_client(choose_provider(provider, source, pool), source, timeout_s, connect)


def connect(address: str, **kwargs: Any) -> EnvClient[Any, Any, Any]:
    """A client of one lane for any server, built from the server's description alone; see `EnvClient.connect`."""
    client: EnvClient[Any, Any, Any] = EnvClient.connect(address, **kwargs)
    return client


def connect_vec(
    address: str,
    num_envs: int = 1,
    *,
    batch_size: int | None = None,
    autoreset_mode: AutoresetMode | str | Enum = AutoresetMode.NEXT_STEP,
    copy: bool = True,
    **kwargs: Any,
) -> VectorEnv:
    """A vector environment of `num_envs` lanes on any server that runs; see `VectorEnv.connect`."""
    return VectorEnv.connect(
        address, num_envs, batch_size=batch_size, autoreset_mode=autoreset_mode, copy=copy, **kwargs
    )
