"""`openenv-grpc init`: an author's first hour. The project's own tests pass, and its environment is found."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from openenv_grpc.cli import generate
from openenv_grpc.cli.init import create
from openenv_grpc.errors import InvalidArgument, Unsupported
from openenv_grpc.testing import Face, select

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("init") / "tic_tac"
    create("tic_tac", target)
    return target


def run(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = f"{project}:{ROOT}:{ROOT / 'clients'}:{ROOT / 'servers'}"
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_files(project: Path) -> None:
    found = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert found >= {
        ".gitignore",
        "Dockerfile",
        "README.md",
        "openenv_tic_tac/client.py",
        "openenv_tic_tac/types.py",
        "openenv_tic_tac/v1/tic_tac_pb2.py",
        "openenv_tic_tac_server/environment.py",
        "proto/openenv_tic_tac/v1/tic_tac.proto",
        "pyproject.toml",
        "tests/test_tic_tac.py",
        "tests/test_tic_tac_conformance.py",
    }
    for path in found:
        assert "{{" not in (project / path).read_text(), f"{path} has a placeholder left"


@pytest.mark.exhaustive
def test_its_own_tests_pass_at_once(project: Path) -> None:
    command = ["-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-k", "not -unary and not -local"]
    done = run(project, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [case for case, face in select() if face is Face.STREAM]
    ran = sum(int(count) for count in re.findall(r"(\d+) (?:passed|skipped)", done.stdout))
    assert ran == 5 + len(cases), "its own five and a test per case"


def test_it_is_found_by_name_once_installed(project: Path) -> None:
    """The metadata that `pip install` writes, without the download of a build backend."""
    entry = re.search(
        r'^(\[project\.entry-points\."(.+)"\])\n(\w+) = "(.+)"$', (project / "pyproject.toml").read_text(), re.M
    )
    assert entry is not None
    assert entry[2] == "openenv_grpc.environments"
    info = project / "openenv_tic_tac-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openenv-tic-tac\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[{entry[2]}]\n{entry[3]} = {entry[4]}\n")
    program = (
        "import openenv_grpc as oe\n"
        "with oe.make('tic_tac', limit=1) as env:\n"
        "    env.reset(seed=7)\n"
        "    print(env.step({'guess': 1}).reward)\n"
    )
    done = run(project, "-c", program)
    assert done.stdout == "1.0\n", done.stderr


def test_generating_again_changes_nothing(project: Path) -> None:
    texts = generate.package_texts([project / "proto/openenv_tic_tac/v1/tic_tac.proto"], [])
    assert {name: (project / name).read_text() for name in texts} == texts


def test_ruff_finds_nothing_in_what_the_author_edits(project: Path) -> None:
    pytest.importorskip("ruff", reason="installed for lint, not for tests")
    own = "lint.isort.known-first-party=['openenv_tic_tac','openenv_tic_tac_server']"
    edited = ["openenv_tic_tac_server", "tests"]
    rules = ["--select", "E,F,I,N,UP,B,SIM,PT,RUF", "--config", own]
    for arguments in (["check", *rules], ["format", "--check"]):
        done = run(project, "-m", "ruff", *arguments, "--isolated", "--no-cache", "--line-length", "120", *edited)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Chess", "9lives", "tic-tac", "", "_x", "x_", "a__b", "class", "é", "a.b", "../x"])
def test_bad_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgument, match="does not name an environment"):
        create(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["grpc", "atari"])
def test_name_that_is_taken(tmp_path: Path, name: str) -> None:
    assert importlib.util.find_spec(f"openenv_{name}") is not None
    with pytest.raises(InvalidArgument, match=f"openenv_{name} is installed already"):
        create(name, tmp_path / "new")


def test_directory_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(InvalidArgument, match="is not an empty directory"):
        create("chess", tmp_path)
    with pytest.raises(InvalidArgument, match="is not an empty directory"):
        create("chess", tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_empty_directory_is_used(tmp_path: Path) -> None:
    assert tmp_path / "README.md" in create("chess", tmp_path)


def test_nothing_is_left_when_the_compiler_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc_tools", None)
    with pytest.raises(Unsupported, match="pip install"):
        create("chess", tmp_path / "new")
    assert not (tmp_path / "new").exists()
