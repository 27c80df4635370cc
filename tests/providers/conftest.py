"""Providers under test: a local one, and one that starts containers of the echo image."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from openenv_grpc.providers.base import EnvironmentSource, Lease, LeaseStatus, Provider
from openenv_grpc.providers.local import LocalProvider
from openenv_grpc.providers.running import run
from tests.helpers import images
from tests.helpers.containers import engine
from tests.helpers.processes import alive, descendants, until

IMAGE = os.environ.get("OPENENV_TEST_ECHO_IMAGE") or images.ECHO
TIMEOUT_S = 60.0


class Subject:
    """A provider with the calls of a caller that waits, and what else a test wants to know."""

    def __init__(self, provider: Provider, source: EnvironmentSource) -> None:
        self.provider = provider
        self.source = source

    def create(self, timeout_s: float = TIMEOUT_S, **changes: Any) -> Lease:
        source = replace(self.source, **changes)
        return run(
            self.provider.create(source, time.monotonic() + timeout_s), lambda lease: self.provider.destroy(lease.id)
        )

    def status(self, lease_id: str) -> LeaseStatus:
        return run(self.provider.status(lease_id))

    def list(self, **labels: str) -> list[str]:
        return [lease.id for lease in run(self.provider.list(labels))]

    def logs(self, lease_id: str, tail: int = 200) -> str:
        return run(self.provider.logs(lease_id, tail))

    def close(self) -> None:
        run(self.provider.close())

    def remains(self) -> list[str]:
        """What is left of all leases."""
        raise NotImplementedError

    def end(self) -> None:
        """Close it, and see that nothing is left."""
        self.close()
        until(lambda: not self.remains(), 10, "the end of all that was left")
        self.close()  # looking has connected it again


class Local(Subject):
    """Servers as processes."""

    def __init__(self, scratch: str) -> None:
        super().__init__(LocalProvider(), EnvironmentSource("echo"))
        self._scratch = scratch

    def kill(self, lease: Lease) -> None:
        """End its server as no server ends by itself."""
        os.kill(int(lease.details["pid"]), signal.SIGKILL)

    def warm(self) -> None:
        """Open what stays open."""

    def remains(self) -> list[str]:
        """What is left of all leases."""
        return [*map(str, alive(descendants(os.getpid()))), *os.listdir(self._scratch)]


class Docker(Subject):
    """Servers in containers."""

    def __init__(self, **arguments: Any) -> None:
        from openenv_grpc.providers.docker import DockerProvider

        self.docker = DockerProvider(**arguments)
        super().__init__(self.docker, EnvironmentSource("echo", image=IMAGE))
        self.engine = self.docker._engine

    def kill(self, lease: Lease) -> None:
        """End its server as no server ends by itself."""
        self.engine.client.kill(lease.details["container"], "KILL")

    def warm(self) -> None:
        """Open what stays open: the SDK keeps a connection for each of the last 25 addresses that it asked."""
        for number in range(30):
            run(self.engine.inspect(f"nope-{number}"))

    def remains(self) -> list[str]:
        """What is left of all leases of this process."""
        from openenv_grpc.providers.docker import box, reaper
        from openenv_grpc.providers.owner import owner_id

        mine = [found.name for found in reaper.containers(self.engine.client) if found.owner == owner_id()]
        return mine + [str(found.root) for found in box.find_boxes() if found.owner == owner_id()]


@pytest.fixture(scope="session")
def echo_image() -> str:
    """The image that containers are made of."""
    if IMAGE == images.ECHO:
        images.image("echo")
    return IMAGE


@pytest.fixture(autouse=True)
def _image(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("docker"):
        request.getfixturevalue("echo_image")


@pytest.fixture
def named(echo_image: str) -> Iterator[str]:
    """The name of an environment whose image is that one."""
    name = f"test-{os.getpid()}"
    engine("tag", echo_image, f"openenv-{name}:latest")
    yield name
    engine("rmi", f"openenv-{name}:latest")


@pytest.fixture(params=["local", pytest.param("docker", marks=pytest.mark.docker)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A provider of each kind. Nothing is left of its leases after a test."""
    with tempfile.TemporaryDirectory(prefix="oe-") as directory:
        monkeypatch.setattr(tempfile, "tempdir", directory)
        made: Any = Local(directory) if request.param == "local" else Docker()
        yield made
        made.end()


@pytest.fixture
def docker() -> Iterator[Docker]:
    """A docker provider. Nothing is left of its leases after a test."""
    made = Docker()
    yield made
    made.end()
