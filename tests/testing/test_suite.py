"""The suite as authors inherit it: over environments of all kinds, on unix sockets and TCP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest

from openenv_grpc.testing import BOTH, ConformanceSuite, Face
from tests.helpers.packages import BARE, PROBE, environ
from tests.helpers.server import running
from tests.testing.subject import HINTS


class TestEcho(ConformanceSuite):
    environment = "echo"


@pytest.mark.exhaustive
class TestAtari(ConformanceSuite):
    """On one face: opening a session takes 130 ms."""

    environment = "atari"
    options: ClassVar[dict[str, Any]] = {"obs_type": "ram"}
    faces = (Face.STREAM,)


@pytest.mark.exhaustive
class TestAtariOnItsLane(ConformanceSuite):
    """Frames that lie in shared memory."""

    environment = "atari"
    faces = (Face.LOCAL,)


class TestBareOverTcp(ConformanceSuite):
    """Columns alone, at the address of a server that runs and asks for a token; its episodes end by random play."""

    faces = BOTH
    token = "not-to-be-guessed"

    @classmethod
    def setup_class(cls) -> None:
        cls.server = running(BARE, tcp=True, token=cls.token)
        cls.address = cls.server.__enter__().address
        super().setup_class()

    @classmethod
    def teardown_class(cls) -> None:
        super().teardown_class()
        cls.server.__exit__(None, None, None)


class TestProbe(ConformanceSuite):
    """Every kind of field, and hints."""

    environment = PROBE
    ending_action = HINTS.ending_action
    truncating_action = HINTS.truncating_action
    slow_action = HINTS.slow_action
    failing_action = HINTS.failing_action
    stochastic = True

    @classmethod
    def setup_class(cls) -> None:
        cls.patch = pytest.MonkeyPatch()  # for as long as cases may start servers of their own
        cls.patch.setenv("PYTHONPATH", environ()["PYTHONPATH"])
        super().setup_class()

    @classmethod
    def teardown_class(cls) -> None:
        super().teardown_class()
        cls.patch.undo()


@pytest.mark.exhaustive
class TestBatched(ConformanceSuite):
    """Lanes that one object steps, all or some of them."""

    environment = "tests.environments_for_tests.batched:BatchedBareEnvironment"
    actions = ({"move": 1}, {"move": -1}, {"move": 2})
    ending_action: ClassVar[dict[str, Any]] = {"move": 8}
    truncating_action: ClassVar[dict[str, Any]] = {"move": -8}
    slow_action: ClassVar[dict[str, Any]] = {"move": -9}
    failing_action: ClassVar[dict[str, Any]] = {"move": 9}
    faces = BOTH

    @classmethod
    def setup_class(cls) -> None:
        cls.patch = pytest.MonkeyPatch()
        cls.patch.setenv("PYTHONPATH", environ()["PYTHONPATH"])
        super().setup_class()

    @classmethod
    def teardown_class(cls) -> None:
        super().teardown_class()
        cls.patch.undo()


class TestAllOrNone(TestBatched):
    """Lanes that one object steps, all of them or none."""

    environment = "tests.environments_for_tests.batched:AllOrNoneEnvironment"
    faces = (Face.STREAM,)


AUTHORS = """
from openenv_grpc.testing import BOTH, ConformanceSuite

class TestMine(ConformanceSuite):
    environment = "echo"
    stochastic = True  # which is not true
"""


@pytest.fixture
def authored(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A run of pytest as an author starts it, with a claim in it that the environment does not keep."""
    (tmp_path / "test_mine.py").write_text(AUTHORS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rA", "test_mine.py"]
    return subprocess.run(
        [*command, "-k", "different_seeds_differ or step_before_reset or snapshot"],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_an_author_sees_one_test_per_case_and_face(authored: subprocess.CompletedProcess[str]):
    out = authored.stdout
    assert authored.returncode == 1, out
    for face in ("stream", "unary"):
        assert f"PASSED test_mine.py::TestMine::test_conformance[step_before_reset-{face}]" in out
        assert f"FAILED test_mine.py::TestMine::test_conformance[different_seeds_differ-{face}]" in out
    assert "expected: seeds 1 to 4 to give different rows" in out
    assert "the environment cannot be saved" in out


def test_the_cases_need_no_pytest():
    code = "import sys; from openenv_grpc.testing import select; assert select(); assert 'pytest' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env=environ(), check=True, timeout=60)
