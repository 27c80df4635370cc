"""The wall changes nothing that a client sees: a container does, case by case, what a plain process does."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from openenv_grpc.providers.base import EnvironmentSource, Lease
from openenv_grpc.testing import Case, Face, Hints, Target, check_target, run_cases, select
from openenv_grpc.testing.launch import LeasedServers
from tests.helpers import images
from tests.helpers.containers import engine, image_like
from tests.helpers.packages import PROBE, ROOT, environ, generated
from tests.providers.conftest import IMAGE, Docker
from tests.testing.subject import HINTS

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240)]
Chosen = Sequence[tuple[Case, Face]]
JOBS = 4
FRAMES = {
    Face.STREAM: ("chunks", "pipelining"),
    Face.UNARY: ("chunks",),
    Face.LOCAL: ("chunks", "layouts", "seeds", "sessions"),
}
"""Topics to try on Atari, whose sessions take a tenth of a second to open: those where pixels may make a difference."""


@contextlib.contextmanager
def contained(docker: Docker, image: str, hints: Hints) -> Iterator[Target]:
    """A container, at its lease's address; cases that need other limits, or end a server, get further ones."""

    def terminate(lease: Lease) -> None:
        engine("kill", "--signal=TERM", lease.details["container"])

    with contextlib.ExitStack() as stack:
        source = EnvironmentSource("", image=image, profile="hardened")
        servers = LeasedServers(docker.provider, source, terminate, stack)
        lease = servers.start()
        assert lease.isolation is not None
        assert (lease.isolation.profile, lease.isolation.network) == ("hardened", "none")
        target = Target.connect(lease.address, hints=hints)
        stack.callback(target.close)
        target.servers = servers
        yield target


def outcomes(target: Target, chosen: Chosen) -> dict[str, tuple[str, str]]:
    """What came of each case, and why."""
    return {result.id: (result.status, result.message) for result in run_cases(target, chosen, JOBS)}


def compare(docker: Docker, environment: str, image: str, chosen: Chosen, hints: Hints | None = None) -> None:
    """No case fails against a container, and those that pass and those that are skipped are a plain process's."""
    given = hints or Hints()
    with contained(docker, image, given) as target:
        assert target.has_local_lane
        found = outcomes(target, chosen)
    assert not {name: message for name, (status, message) in found.items() if status == "failed"}
    with check_target(environment, hints=given) as target:
        assert found == outcomes(target, chosen)


@pytest.fixture
def probe_image(echo_image: str, tmp_path: Path) -> Iterator[str]:
    """An image of the tests' own environment, which can show nearly all cases."""
    files = tmp_path / "files"
    inside = files / "tests/environments_for_tests"
    inside.mkdir(parents=True)
    shutil.copy(ROOT / "tests/environments_for_tests/probe.py", inside)
    shutil.copytree(generated() / "openenv_probe", files / "openenv_probe")
    for path in [files, *files.rglob("*")]:
        path.chmod(0o755)
    serve = ["/venv/bin/openenv-grpc", "serve", PROBE]
    with image_like(echo_image, serve, "ENV PYTHONPATH=/opt", files={files: "/opt"}) as image:
        yield image


@pytest.fixture
def atari_image() -> str:
    return images.image("atari")


def test_echo(docker: Docker):
    compare(docker, "echo", IMAGE, select())


def test_an_environment_that_shows_more(docker: Docker, probe_image: str, monkeypatch: pytest.MonkeyPatch):
    """Slow and failing steps, ends of episodes, and servers that are told to shut down in the middle of a step."""
    monkeypatch.setenv("PYTHONPATH", environ()["PYTHONPATH"])
    compare(docker, PROBE, probe_image, select(), HINTS)


def test_frames_of_atari(docker: Docker, atari_image: str):
    chosen = [item for face, topics in FRAMES.items() for topic in topics for item in select(topic, [face])]
    compare(docker, "atari", atari_image, chosen)
