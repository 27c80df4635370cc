"""Runs of the echo question with real servers and clients: what is written, what is compared, what Ctrl-C leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import contestants as make
from benchmarks.__main__ import SLOW, _choose
from benchmarks.harness import Contestant, ObservationsDiffer, Question
from benchmarks.peers import PeerUnavailable, python_of
from benchmarks.questions import echo
from benchmarks.report import show
from benchmarks.run import Run, machine
from benchmarks.setting import Setting
from tests.helpers import processes

ROOT = Path(__file__).parents[2]


def ours_and_a_skipped(setting: Setting) -> list[Contestant]:
    here = [make.ours(setting, "echo", 1, make.STREAM, transport=transport) for transport in ("grpc", "local")]
    return [*here, Contestant("OpenEnv, WebSocket", skipped="not installed here")]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Run:
    """One round of our client and bare grpcio, with a peer that can't take part."""
    run = Run(["echo"], 1, 0.05, quick=True)

    def build(name: str, setting: Setting) -> Question:
        question = echo.question()
        question.contestants = [*ours_and_a_skipped(setting), *make.bare_grpc(setting, "echo", make.STREAM)]
        return question

    monkeypatch.setattr("benchmarks.questions.build", build)
    run.carry_out(Console(quiet=True))
    return run


def test_a_run_says_what_it_found(measured: Run):
    result = json.loads(json.dumps(measured.result()))
    rows = {row["contestant"]: row for row in result["rows"]}
    ours, bare = rows["openenv-grpc, 1 lane, unix"], rows[make.STREAM]
    assert rows["OpenEnv, WebSocket"]["skipped"] == "not installed here"
    assert ours["x_openenv"] is None  # there is nothing to compare with
    assert ours["of_ceiling"] == pytest.approx(ours["steps_per_s"] / bare["steps_per_s"], abs=0.001)
    assert ours["checked"]
    assert not bare["checked"]
    for row in (ours, bare):
        assert row["spread"][0] <= row["steps_per_s"] <= row["spread"][1]
        assert row["client_cpu_us_per_step"] > 10
        assert row["server_cpu_us_per_step"] > 10
        assert row["memory_mb"]["client"] > 10
        assert row["versions"]["grpcio"]
        assert 250 < sum(row["wire_bytes_per_step"]) < 1000
    # the same bytes travel: that is what makes bare grpcio the ceiling
    assert sum(ours["wire_bytes_per_step"]) == pytest.approx(sum(bare["wire_bytes_per_step"]), rel=0.2)
    target, local = result["targets"]
    assert local["row"] == "openenv-grpc, 1 lane, local lane"
    assert rows["openenv-grpc, 1 lane, local lane"]["wire_bytes_per_step"] is None
    assert target["row"] == "openenv-grpc, 1 lane, unix"
    assert target["met"] == (target["value"] >= 0.6)
    assert not result["interrupted"]
    assert {"cores", "cpu", "packages", "time"} <= machine().keys() <= result["machine"].keys()
    console = Console(width=120)
    with console.capture() as capture:
        show(result, console)
    assert "not installed here" in capture.get()
    assert "of a bare grpcio ping-pong" in capture.get()


def test_nothing_is_timed_where_observations_differ():
    question = echo.question()
    right = question.reference

    def wrong(seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        outcomes = right(seeds, actions)
        outcomes[0][7] = "something else"
        return outcomes

    question.reference = wrong
    with ExitStack() as stack:
        question.contestants = [make.ours(Setting(stack, print), "echo", 1, "")]
        list(question.start(stack))
        with pytest.raises(ObservationsDiffer, match="openenv-grpc, 1 lane, unix: lane 0 differs at step 7"):
            list(question.check())


def test_ctrl_c_keeps_what_was_measured_and_leaves_nothing_behind(tmp_path: Path):
    output = tmp_path / "found.json"
    command = [sys.executable, "-m", "tests.benchmarks.echo_without_end", str(output)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "first turn over\n"
        family = processes.descendants(process.pid)
        assert len(family) >= 3  # our server with its children, and the client
        process.send_signal(signal.SIGINT)
        text = process.stdout.read()
        assert process.wait(20) == 130, text
    processes.until(lambda: not processes.alive(family), what="the end of all processes")
    result = json.loads(output.read_text())
    assert result["interrupted"] is True
    assert result["rows"][0]["steps_per_s"] > 0
    assert "interrupted" in text
    assert "openenv-grpc, 1 lane, unix" in text


def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path):
    (tmp_path / "nobody.txt").write_text("/nowhere/at/all-1.0-py3-none-any.whl\n")
    told: list[str] = []
    with pytest.raises(PeerUnavailable, match=r"nobody can't be installed for Python .*all-1\.0"):
        python_of("nobody", told.append, tmp_path / "build", tmp_path)
    assert "first use" in told[0]


def test_a_wrong_name_is_refused():
    command = [sys.executable, "-m", "benchmarks", "--only", "chess"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "chess" in done.stderr
    assert "atari_rgb" in done.stderr


def test_a_quick_run_leaves_the_slow_out_unless_asked():
    everything = _choose(None, quick=False)
    assert {*everything} - {*_choose(None, quick=True)} == {*SLOW} <= {*everything}
    assert _choose(list(SLOW), quick=True) == list(SLOW)
