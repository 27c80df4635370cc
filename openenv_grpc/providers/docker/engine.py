"""The Docker engine: the SDK's calls in threads of our own, and the one place where its errors become ours."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument, OpenEnvError, ServerUnavailable, Unsupported
from openenv_grpc.providers.lifeline import harmless

try:
    from docker import APIClient
    from docker import errors as sdk
    from docker.utils import kwargs_from_env
except ImportError as missing:
    msg = "the docker provider needs the docker SDK: pip install 'openenv-grpc[docker]'"
    raise Unsupported(msg, field="provider") from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

SOCKET = "unix:///var/run/docker.sock"
CALL_TIMEOUT_S = 60
THREADS = 16
"""Calls under way at the same time; the engine itself works on most of them in turn."""


def connect(address: str | None = None) -> APIClient:
    """A client of the engine: of `DOCKER_HOST`, where that is set, else of this machine's.

    Raises:
        Unsupported: The engine is another machine's.
        ServerUnavailable: It does not answer.
    """
    found = kwargs_from_env()
    url = address or found.get("base_url") or SOCKET
    if not url.startswith(("unix://", "http+unix://")):
        msg = f"the engine at {url} is not this machine's: containers are reached by unix sockets; unset DOCKER_HOST"
        raise Unsupported(msg, field="provider")
    with translated("connecting to the engine"):
        with socket.socket(socket.AF_UNIX) as knock:  # the SDK forgets a socket that nobody listens at
            knock.connect("/" + url.partition("://")[2].lstrip("/"))
        return APIClient(base_url=url, timeout=CALL_TIMEOUT_S, max_pool_size=THREADS)


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """The SDK's errors as ours.

    Raises:
        InvalidArgument: There is no such image.
        ServerUnavailable: Anything else.
    """
    try:
        yield
    except sdk.ImageNotFound as error:
        msg = f"there is no image: {_explained(error)}"
        raise InvalidArgument(msg, field="image") from None
    except sdk.APIError as error:
        msg = f"{doing}: the engine says: {_explained(error)}"
        raise ServerUnavailable(msg) from None
    except (sdk.DockerException, OSError) as error:  # requests' own errors are OSErrors
        msg = (
            f"{doing}: no Docker engine answers ({harmless(str(error))[:300]}); install one (Debian: apt install "
            "docker.io), start it, and let this user use it (adduser USER docker); `docker info` must work"
        )
        raise ServerUnavailable(msg) from None


def _explained(error: sdk.APIError) -> str:
    return harmless(str(error.explanation or error))[:1000]


def is_missing(error: BaseException) -> bool:
    """Whether a container is not there."""
    return isinstance(error, sdk.NotFound)


@dataclass(frozen=True)
class EngineFacts:
    """What `docker info` says that matters here."""

    runtimes: frozenset[str]
    default_runtime: str
    security: frozenset[str]
    limits: frozenset[str]
    has_swap: bool


class Engine:
    """One engine, used from the providers' loop. Connected to when it is first needed."""

    def __init__(self, address: str | None = None) -> None:
        """Nothing is asked yet."""
        self.address = address
        self._client: APIClient | None = None
        self._facts: EngineFacts | None = None
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="openenv-docker")

    async def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run something that blocks, in a thread. Cancelled, it first waits for what it began to be over."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, functools.partial(function, *args, **kwargs))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise

    async def call(self, method: str, *args: Any, doing: str = "", **kwargs: Any) -> Any:
        """A method of the SDK's client.

        Raises:
            OpenEnvError: It failed.
        """

        def call() -> Any:
            with translated(doing or method.replace("_", " ")):
                return getattr(self.client, method)(*args, **kwargs)

        return await self.run(call)

    async def close(self) -> None:
        """Let go of the connections to it; the next call makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            await self.run(client.close)

    @property
    def client(self) -> APIClient:
        """The SDK's client; blocks when it is first used."""
        if self._client is None:
            self._client = connect(self.address)
        return self._client

    async def facts(self) -> EngineFacts:
        """What the engine can do, asked once."""
        if self._facts is None:
            info = await self.call("info")
            self._facts = await self.run(_read_facts, info)
        return self._facts

    async def inspect(self, container: str) -> dict[str, Any] | None:
        """All about a container; None where there is none."""

        def inspect() -> Any:
            with translated("inspecting a container"):
                try:
                    return self.client.inspect_container(container)
                except sdk.NotFound:
                    return None

        found: dict[str, Any] | None = await self.run(inspect)
        return found

    async def remove(self, container: str) -> None:
        """End a container at once, and remove it with all it wrote. One that is gone already is no error."""
        await self.run(remove, self.client, container)

    async def logs(self, container: str, lines: int) -> str:
        """The last lines that a container wrote, harmless to print; "" where nothing is known."""
        with contextlib.suppress(OpenEnvError):
            found = await self.call("logs", container, tail=lines)
            return harmless(found[-MAX_LOG:])
        return ""


MAX_LOG = 1 << 20
LIMITS = {
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "CpuCfsQuota": "cpus",
    "PidsLimit": "pids",
}
"""What the engine says it can limit, and what we call it."""


def _read_facts(info: dict[str, Any]) -> EngineFacts:
    with open("/proc/swaps") as swaps:
        has_swap = len(swaps.readlines()) > 1
    security = frozenset(text.removeprefix("name=").partition(",")[0] for text in info.get("SecurityOptions") or ())
    return EngineFacts(
        frozenset(info.get("Runtimes") or ()),
        info.get("DefaultRuntime") or "runc",
        security,
        frozenset(name for key, name in LIMITS.items() if info.get(key)),
        has_swap,
    )


def remove(client: APIClient, container: str) -> None:
    """End a container at once, and remove it with its volumes. One that is gone already is no error.

    Raises:
        ServerUnavailable: The engine could not.
    """
    with translated("removing a container"):
        try:
            client.remove_container(container, v=True, force=True)
        except sdk.NotFound:
            return
        except sdk.APIError as error:
            if error.status_code != 409:
                raise
            with contextlib.suppress(sdk.NotFound):  # somebody else removes it: when that is over, it is gone
                client.wait(container, timeout=CALL_TIMEOUT_S, condition="removed")
