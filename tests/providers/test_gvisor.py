"""The profile gvisor on a real runsc: another kernel, the same steps; and what a runtime without host sockets says."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from openenv_echo import EchoEnv
from openenv_grpc.errors import ServerUnavailable
from openenv_grpc.providers.base import EnvironmentSource, Lease
from openenv_grpc.providers.docker import DockerProvider
from openenv_grpc.providers.owner import owner_id
from openenv_grpc.providers.profiles import GVISOR, Profile
from openenv_grpc.providers.running import run
from tests.helpers import images
from tests.helpers.containers import engine
from tests.helpers.gvisor import own_engine
from tests.providers.conftest import Docker

pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("gvisor")]
SHUT = replace(GVISOR, name="shut", runtime="runsc-shut")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    image = images.image("echo")
    runtimes = {"runsc": ["--host-uds=all", "--network=none"], "runsc-shut": ["--network=none"]}
    with own_engine(runtimes, image) as found:
        yield found


@pytest.fixture
def provider(address: str) -> Iterator[DockerProvider]:
    found = DockerProvider(engine=address)
    yield found
    run(found.close())
    assert engine("--host", address, "ps", "--all", "--quiet") == ""


def start(provider: DockerProvider, profile: Profile) -> Lease:
    source = EnvironmentSource("echo", image=images.ECHO, profile=profile)
    return run(provider.create(source, time.monotonic() + 60))


def test_an_environment_on_another_kernel(provider: DockerProvider, address: str):
    lease = start(provider, GVISOR)
    assert lease.isolation is not None
    assert (lease.isolation.profile, lease.isolation.runtime) == ("gvisor", "runsc")
    told = engine("--host", address, "exec", lease.details["container"], "dmesg")
    assert "Starting gVisor" in told
    with EchoEnv.connect(lease.address) as env:
        assert env.transport == "grpc"  # a sandbox passes no descriptors, and nobody has to be told
        env.reset(seed=1)
        assert env.step("hello").observation.message == "hello"
    lease.destroy()


def test_a_runtime_that_lets_no_socket_through_says_what_it_needs(provider: DockerProvider):
    with pytest.raises(ServerUnavailable, match="needs --host-uds=all"):
        start(provider, SHUT)


def test_a_process_has_a_guardian_at_each_engine(provider: DockerProvider, address: str):
    docker = Docker()
    docker.create()
    start(provider, GVISOR)
    found = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert sorted(line[-1] for line in found if owner_id() in line) == sorted(
        [os.environ.get("DOCKER_HOST", ""), address]
    )
    docker.close()
