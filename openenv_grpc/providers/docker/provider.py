"""The docker provider: each lease is a hardened container of its own, reached by unix sockets.

It has no network either where a source asks for TCP: a relay of ours listens, and leads to the same socket.

Nothing outlives its owner: a healthy server ends with the lifeline, which the kernel closes for us even after
`kill -9`; a paused or a hostile one is ended by the owner's guardian, and if that is gone too by the next reaper.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from openenv_grpc.errors import InvalidArgument, ServerUnavailable
from openenv_grpc.providers.base import EnvironmentSource, Lease, LeaseState, LeaseStatus, has_labels
from openenv_grpc.providers.docker import guard, reaper
from openenv_grpc.providers.docker.box import Box
from openenv_grpc.providers.docker.container import (
    check_engine,
    check_image,
    container_config,
    image_of,
    labels_of,
)
from openenv_grpc.providers.docker.engine import Engine
from openenv_grpc.providers.docker.running import Container
from openenv_grpc.providers.owner import owner_id
from openenv_grpc.providers.profiles import HARDENED, Profile, find_profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

T = TypeVar("T")
TTL_S = 86_400.0
AT_ONCE = max(4, 2 * (os.cpu_count() or 1))
"""Containers that start at the same time; more would only slow each other down."""


class DockerProvider:
    """Starts containers.

    Args:
        profile: How they are held, where a source does not say: the name of a profile, or one of your own.
        ttl_s: Seconds after which a container ends whatever happens.
        engine: The engine's address; by default `DOCKER_HOST`, else this machine's.
    """

    def __init__(self, profile: str | Profile = HARDENED, *, ttl_s: float = TTL_S, engine: str | None = None) -> None:
        """Nothing runs yet.

        Raises:
            InvalidArgument: There is no such profile.
        """
        self._profile = find_profile(profile)
        self._ttl_s = ttl_s
        self._engine = Engine(engine)
        self._containers: dict[str, Container] = {}
        self._starting: asyncio.Semaphore | None = None
        self._reaping: asyncio.Task[Any] | None = None

    async def create(self, source: EnvironmentSource, deadline: float) -> Lease:
        """Start a container and wait until its server is healthy and has described itself.

        Raises:
            InvalidArgument: There is no such image.
            Unsupported: This machine cannot give what the profile asks for.
            EnvironmentFailed: The server says that its environment cannot be built.
            ServerUnavailable: No engine, or it did not start: the message has the reason and the end of its log.
        """
        profile = self._profile if source.profile is None else find_profile(source.profile)
        facts = await self._engine.facts()
        check_engine(facts, profile)
        image_name = source.image or image_of(source.environment)
        image = check_image(image_name, await self._image(image_name, source))
        await self._watch_over()
        async with self._turn(deadline):
            container = self._prepare(source, profile, image_name, profile.isolation(facts.default_runtime))
            self._containers[container.lease.id] = container
            try:
                arguments = tuple(f"--limit={name}={value}" for name, value in source.limits.items())
                config = container_config(
                    image,
                    container.box,
                    profile,
                    facts,
                    isolation=profile.isolation(facts.default_runtime),
                    labels=labels_of(container.lease, profile),
                    token=container.lease.token,
                    arguments=arguments,
                )
                await container.start(config, deadline)
                if source.tcp:
                    await container.open_port(deadline)
            except BaseException:
                with contextlib.suppress(ServerUnavailable):  # the guardian will see to it
                    await asyncio.shield(asyncio.ensure_future(self.destroy(container.lease.id)))
                raise
        return container.lease

    @contextlib.asynccontextmanager
    async def _turn(self, deadline: float) -> AsyncIterator[None]:
        """One of the places for containers that start at the same time."""
        if self._starting is None:
            self._starting = asyncio.Semaphore(AT_ONCE)
        try:
            await asyncio.wait_for(self._starting.acquire(), max(deadline - time.monotonic(), 0))
        except asyncio.TimeoutError:
            msg = f"did not start in time: {AT_ONCE} other containers were starting"
            raise ServerUnavailable(msg) from None
        try:
            yield
        finally:
            self._starting.release()

    async def _image(self, name: str, source: EnvironmentSource) -> dict[str, Any]:
        try:
            found: dict[str, Any] = await self._engine.call("inspect_image", name)
        except InvalidArgument:
            build = f"build it with `openenv-grpc build {source.environment}`" if source.image is None else "build it"
            msg = f"there is no image {name}; {build}, or pull it"
            raise InvalidArgument(msg, field="image") from None
        return found

    async def _watch_over(self) -> None:
        """See to it that containers end with us, before there is one; and end those that others have left."""
        await self._engine.run(guard.ensure, self._engine.address)
        if self._reaping is None:
            self._reaping = asyncio.ensure_future(self._reap())

    async def _reap(self) -> None:
        with contextlib.suppress(ServerUnavailable):
            await self._engine.run(reaper.reap, self._engine.client)

    def _prepare(self, source: EnvironmentSource, profile: Profile, image: str, isolation: Any) -> Container:
        lease_id, expires = secrets.token_hex(8), time.time() + self._ttl_s
        box = Box.make(lease_id, owner_id(), expires)
        guard.tell(self._engine.address, expires)
        lease = Lease(
            lease_id,
            box.address,
            self,
            isolation=isolation,
            token=secrets.token_urlsafe(32) if source.tcp else None,
            expires=expires,
            labels=dict(source.labels),
            details={"container": f"openenv-{lease_id}", "image": image, "directory": str(box.root)},
        )
        return Container(self._engine, lease, box, profile)

    async def status(self, lease_id: str) -> LeaseStatus:
        """What has become of a lease."""
        container = self._containers.get(lease_id)
        return LeaseStatus(LeaseState.GONE) if container is None else await container.status()

    async def destroy(self, lease_id: str) -> None:
        """End a container and remove all it left. One that is gone already is no error.

        Raises:
            ServerUnavailable: The engine does not answer; the guardian will see to it.
        """
        container = self._containers.get(lease_id)
        if container is None:
            return
        await container.end()
        self._containers.pop(lease_id, None)
        await self._engine.run(container.box.remove)

    # -- what a pool needs ----------------------------------------------------------------------------------------

    async def pause(self, lease_id: str) -> None:
        """Stop all processes of a container where they are.

        Raises:
            ServerUnavailable: It is gone, or the engine does not answer.
        """
        await self._engine.call("pause", self._named(lease_id), doing="pausing a container")

    async def unpause(self, lease_id: str) -> None:
        """Have them go on.

        Raises:
            ServerUnavailable: It is gone, or the engine does not answer.
        """
        await self._engine.call("unpause", self._named(lease_id), doing="unpausing a container")

    async def processes(self, lease_id: str) -> Sequence[str]:
        """The ids of a container's processes, as this machine counts them."""
        found = await self._engine.call("top", self._named(lease_id), ps_args="-eo pid", doing="listing processes")
        return [row[0] for row in found["Processes"]]

    async def readdress(self, lease_id: str, generation: int) -> Lease:
        """Have a lease's server reached at an address that nobody knows yet, and no more at the one before."""
        container = self._containers[lease_id]
        address = await self._engine.run(container.box.move, generation)
        container.lease = replace(container.lease, address=address)
        return container.lease

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run something that blocks, in one of the engine's threads."""
        return await self._engine.run(function, *args)

    def _named(self, lease_id: str) -> str:
        if lease_id not in self._containers:
            msg = "the container is gone"
            raise ServerUnavailable(msg)
        return self._containers[lease_id].name

    # -- the rest of a provider -----------------------------------------------------------------------------------

    async def list(self, labels: Mapping[str, str] | None = None) -> Sequence[Lease]:
        """The leases that are not destroyed, with these labels at least."""
        return [found.lease for found in self._containers.values() if has_labels(found.lease, labels)]

    async def logs(self, lease_id: str, tail: int = 200) -> str:
        """The last lines that a container wrote, harmless to print; "" where nothing is known."""
        container = self._containers.get(lease_id)
        return "" if container is None else await container.log(tail)

    async def close(self) -> None:
        """Destroy all leases, and let go of the engine."""
        await asyncio.gather(*(self.destroy(lease_id) for lease_id in list(self._containers)))
        if self._reaping is not None:
            await self._reaping
        await self._engine.close()
