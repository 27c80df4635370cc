"""The asyncio face of `openenv_grpc`: `async with openenv_grpc.aio.make("atari") as env: …`.

`make` and `connect` return an object that can be awaited for the client or used in `async with`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from openenv_grpc.client import AsyncEnvClient, AsyncVectorEnvClient
from openenv_grpc.client.channel import START_TIMEOUT_S
from openenv_grpc.providers.base import EnvironmentSource, choose_provider
from openenv_grpc.providers.running import start_client_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from openenv_grpc.providers.base import Provider
    from openenv_grpc.providers.profiles import Profile

ClientT = TypeVar("ClientT", bound="AsyncEnvClient[Any, Any, Any] | AsyncVectorEnvClient[Any, Any, Any]")
AsyncEnv = AsyncEnvClient[Any, Any, Any]
AsyncVectorEnv = AsyncVectorEnvClient[Any, Any, Any]


class Opening(Generic[ClientT]):
    """A client on its way: `client = await opening`, or `async with opening as client`."""

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, ClientT]]) -> None:
        """Nothing is started before it is awaited."""
        self._begin = begin
        self._client: ClientT | None = None

    def __await__(self) -> Generator[Any, None, ClientT]:
        """Open and return the client."""
        return self._begin().__await__()

    async def __aenter__(self) -> ClientT:
        """Open and return the client."""
        self._client = await self._begin()
        return self._client

    async def __aexit__(self, *_: object) -> None:
        """Close the client."""
        if self._client is not None:
            await self._client.close()


def connect(address: str, **kwargs: Any) -> Opening[AsyncEnv]:
    """A client of one lane for any server; see `openenv_grpc.connect`."""
    return Opening(lambda: AsyncEnvClient[Any, Any, Any].connect(address, **kwargs))


def connect_vec(address: str, num_envs: int = 1, **kwargs: Any) -> Opening[AsyncVectorEnv]:
    """A client of `num_envs` lanes for any server; see `openenv_grpc.connect_vec`."""
    return Opening(lambda: AsyncVectorEnvClient[Any, Any, Any].connect(address, num_envs, **kwargs))


def make(
    environment: str,
    *,
    provider: str | Provider = "local",
    profile: str | Profile | None = None,
    pool: int | Provider | None = None,
    tcp: bool = False,
    timeout_s: float = START_TIMEOUT_S,
    **kwargs: Any,
) -> Opening[AsyncEnv]:
    """Start an environment and open a session of one lane on it; see `openenv_grpc.make`."""
    source = EnvironmentSource(environment, profile=profile, tcp=tcp)

    def begin(address: str, token: str | None) -> Opening[AsyncEnv]:
        return connect(address, token=token, **kwargs)

    return Opening(lambda: _start(source, provider, pool, timeout_s, begin))


def make_vec(
    environment: str,
    num_envs: int = 1,
    *,
    provider: str | Provider = "local",
    profile: str | Profile | None = None,
    pool: int | Provider | None = None,
    tcp: bool = False,
    timeout_s: float = START_TIMEOUT_S,
    **kwargs: Any,
) -> Opening[AsyncVectorEnv]:
    """Start an environment and open a session of `num_envs` lanes on it; see `openenv_grpc.make_vec`."""
    source = EnvironmentSource(environment, profile=profile, tcp=tcp)

    def begin(address: str, token: str | None) -> Opening[AsyncVectorEnv]:
        return connect_vec(address, num_envs, token=token, **kwargs)

    return Opening(lambda: _start(source, provider, pool, timeout_s, begin))


async def _start(
    source: EnvironmentSource,
    provider: str | Provider,
    pool: int | Provider | None,
    timeout_s: float,
    connect: Callable[[str, str | None], Opening[ClientT]],
) -> ClientT:
    return await start_client_async(choose_provider(provider, source, pool), source, timeout_s, connect)
