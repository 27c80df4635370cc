"""`openenv-grpc build`: a third party's project, what goes wrong, and what is left then."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import openenv_grpc as oe
from openenv_grpc.cli.build.source import find_project
from openenv_grpc.cli.init import create
from openenv_grpc.errors import InvalidArgument
from tests.cli.running import start
from tests.helpers.containers import engine
from tests.helpers.images import BASE, alone, base, build
from tests.images.conftest import Served

docker_needed = pytest.mark.docker
LABEL = "org.openenv.build"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("project") / "tic_tac"
    create("tic_tac", target)
    return target


class Trial:
    """A build whose traces can be found."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.id = uuid.uuid4().hex

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        extra = [("TMPDIR", str(self.scratch)), *variables.items()]
        return start("build", *arguments, "--build-id", self.id, extra=extra)

    def refused(self, *arguments: str, **variables: str) -> str:
        """What it says when it fails."""
        with self.start(*arguments, **variables) as process:
            _, said = process.communicate(timeout=120)
        assert process.returncode == 1, said
        assert "Traceback" not in said.partition("log:")[0]
        return said


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    """A build that leaves nothing, neither where it puts what it makes nor in the engine."""
    base()
    made = Trial(tmp_path)
    yield made
    label = f"--filter=label={LABEL}={made.id}"
    assert engine("images", "--all", "--quiet", label) == ""
    assert engine("ps", "--all", "--quiet", label) == ""
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def built(project: Path) -> Iterator[tuple[str, str]]:
    """What the build of a new project says, and the image's name."""
    base()
    with alone():
        said = build(str(project), "--base", BASE, "--tag", "openenv-tic-tac:test")
    yield said, "openenv-tic-tac:test"
    engine("rmi", "openenv-tic-tac:test")


@docker_needed
def test_a_new_project_builds_and_serves(built: tuple[str, str], serve: Callable[..., Served]):
    said, tag = built
    assert re.search(r"size +[\d.]+ MB, [\d.]+ MB over its base", said)
    assert re.search(r"name +tic_tac\n", said)
    _, address = serve(tag)
    with oe.connect(address, limit=1) as env:
        env.reset(seed=7)
        assert env.step(1).reward == 1


@docker_needed
def test_a_build_that_fails_says_why_and_leaves_nothing(project: Path, trial: Trial):
    code = project / "openenv_tic_tac_server" / "environment.py"
    text = code.read_text()
    code.write_text(f"{text}\nraise ImportError('the dice are missing')\n")
    try:
        said = trial.refused(str(project), "--base", BASE)
    finally:
        code.write_text(text)
    assert "the dice are missing" in said


@docker_needed
def test_a_dependency_that_is_no_wheel(project: Path, trial: Trial):
    settings = project / "pyproject.toml"
    text = settings.read_text()
    settings.write_text(text.replace('["openenv-grpc"]', '["openenv-grpc", "nope @ file:///nope"]'))
    settings.write_text(settings.read_text() + "\n[tool.hatch.metadata]\nallow-direct-references = true\n")
    try:
        said = trial.refused(str(project), "--base", BASE)
    finally:
        settings.write_text(text)
    assert "its dependencies could not be downloaded as wheels; pip said:" in said
    assert "/nope" in said


@docker_needed
@pytest.mark.parametrize("moment", ["downloading", "] RUN"])
def test_ctrl_c_leaves_nothing(trial: Trial, moment: str):
    with trial.start("echo", "--base", BASE, "--tag", "openenv-interrupted") as process:
        assert process.stdout is not None
        assert any(moment in line for line in iter(process.stdout.readline, "")), moment
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not engine("images", "--quiet", "openenv-interrupted")


@docker_needed
def test_a_base_that_is_not_to_be_had(trial: Trial):
    said = trial.refused("echo", "--base", "127.0.0.1:1/nope:1")
    assert said.startswith("error: 127.0.0.1:1/nope:1: the image is not here and could not be pulled (")
    assert "scripts/base-image makes one" in said


@docker_needed
def test_a_base_without_python(trial: Trial):
    bare = engine("import", "-m", "bare", os.devnull, "openenv-bare:test")
    try:
        assert "has no python3 that runs" in trial.refused("echo", "--base", "openenv-bare:test")
    finally:
        engine("rmi", bare)


def test_no_engine(tmp_path: Path):
    said = Trial(tmp_path).refused("echo", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert said.startswith("error: no Docker engine answers (")


def test_no_docker_package(tmp_path: Path):
    (tmp_path / "docker.py").write_text("raise ImportError")
    said = Trial(tmp_path).refused("echo", PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    assert said == "error: building images needs the docker package: pip install 'openenv-grpc[docker]'\n"


@pytest.mark.parametrize(
    ("what", "why"),
    [("nope", "neither an installed environment nor a folder"), ("/", "neither an installed environment nor a folder")],
)
def test_nothing_to_build(what: str, why: str):
    with pytest.raises(InvalidArgument, match=why):
        find_project(what)


def test_a_name_is_found_in_its_checkout():
    found = find_project("atari")
    assert (found.folder / "servers" / "openenv_atari_server" / "Dockerfile").is_file()
