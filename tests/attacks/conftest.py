"""Hostile containers, a neighbour whose state must survive them, and what the host must not lose."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openenv_echo import EchoAction, EchoEnv
from openenv_grpc.providers.profiles import MIB, Profile
from tests.helpers import images

HERE = Path(__file__).parent
IMAGE = os.environ.get("OPENENV_TEST_ECHO_IMAGE") or images.ECHO
TAG = f"openenv-attacks-{os.getpid()}"
LABEL = "org.openenv.attacks"
SMALL = Profile("attacked", memory_bytes=384 * MIB, pids=96, open_files=512, tmp_bytes=16 * MIB, shm_bytes=16 * MIB)
"""The hardened profile, with limits that are soon reached."""
ENVIRONMENT = ["/venv/bin/openenv-grpc", "serve", "hostile.environment:HostileEnvironment"]


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The SDK's client; the images of these tests are removed at the end."""
    import docker

    if IMAGE == images.ECHO:
        images.image("echo")
    client = docker.from_env()
    yield client
    for image in client.images.list(filters={"label": f"{LABEL}={TAG}"}):
        for tag in image.tags:
            client.images.remove(tag, force=True)
    client.close()


@pytest.fixture(scope="session")
def image_of(engine: Any) -> Callable[..., str]:
    """Builds an image of echo with the attacks in it, and another entry point."""
    built: dict[tuple[str, ...], str] = {}

    def build(*entry: str) -> str:
        if entry not in built:
            built[entry] = f"{TAG}:{len(built)}"
            container = engine.api.create_container(IMAGE)["Id"]
            try:  # one layer, where a build would make three, each of which takes seconds on some storage drivers
                engine.api.put_archive(container, "/opt", _attacks(engine, container))
                program = [f"ENTRYPOINT {json.dumps(entry or ENVIRONMENT)}", "ENV PYTHONPATH=/opt/attacks"]
                engine.api.commit(container, *built[entry].split(":"), changes=[*program, f"LABEL {LABEL}={TAG}"])
            finally:
                engine.api.remove_container(container)
        return built[entry]

    return build


def _attacks(engine: Any, container: str) -> bytes:
    """The attacks, and a program that runs as root whoever starts it, as an archive."""
    stream, _ = engine.api.get_archive(container, "/usr/bin/id")
    target = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as given, tarfile.open(fileobj=target, mode="w") as tar:
        (member,) = given.getmembers()
        content = given.extractfile(member)
        member.name, member.mode, member.uid, member.gid = "setuid-id", 0o4755, 0, 0
        tar.addfile(member, content)
        tar.add(
            HERE / "hostile", "attacks/hostile", filter=lambda found: None if "__pycache__" in found.name else found
        )
    return target.getvalue()


class Attacker:
    """An environment in a hardened container that attacks on demand.

    Attributes:
        env: Its client.
    """

    def __init__(self, image: str) -> None:
        """Start it."""
        self.env = EchoEnv.from_docker_image(image, profile=SMALL)
        self.env.reset()

    def __call__(self, name: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        """Have it attack; what it says came of it."""
        action = EchoAction(message=json.dumps([name, arguments]))
        return json.loads(self.env.step(action, timeout_s=timeout_s).observation.message)

    @property
    def name(self) -> str:
        """The container's."""
        return f"openenv-{Path(self.directory).name.removeprefix('openenv-')}"

    @property
    def directory(self) -> str:
        """The host's private directory."""
        return os.path.dirname(self.env._carrier.address.removeprefix("unix:"))


@pytest.fixture(scope="module")
def attacker(image_of: Callable[..., str]) -> Iterator[Attacker]:
    """One for attacks that leave it as it was."""
    found = Attacker(image_of())
    yield found
    found.env.close()


@pytest.fixture
def fresh(image_of: Callable[..., str]) -> Iterator[Attacker]:
    """One for attacks that it does not survive, or that its provider must clean up after."""
    found = Attacker(image_of())
    yield found
    begin = time.monotonic()
    found.env.close()
    assert time.monotonic() - begin < 15
    assert not os.path.exists(found.directory)


class Neighbour:
    """An echo in another container, that counts."""

    def __init__(self) -> None:
        """Start it."""
        self.env = EchoEnv.from_docker_image(IMAGE, profile=SMALL)
        self.env.reset()
        self.episode, self.steps = self.env.state().episode_id, 0

    def check(self) -> float:
        """It lives, answers, and remembers; the seconds that its step took."""
        begin = time.monotonic()
        assert self.env.step(EchoAction(message="well?"), timeout_s=10).observation.message == "well?"
        took = time.monotonic() - begin
        self.steps += 1
        state = self.env.state()
        assert (state.episode_id, state.step_count) == (self.episode, self.steps)
        return took


@pytest.fixture(scope="module")
def _neighbour(engine: Any) -> Iterator[Neighbour]:
    found = Neighbour()
    yield found
    found.env.close()


@pytest.fixture
def neighbour(_neighbour: Neighbour) -> Iterator[Neighbour]:
    """Checked before and after each test; so is the host."""
    _neighbour.check()
    before = shutil.disk_usage("/").free
    yield _neighbour
    _neighbour.check()
    assert subprocess.run(["/bin/true"], timeout=5, check=True).returncode == 0
    assert before - shutil.disk_usage("/").free < 200 * MIB
