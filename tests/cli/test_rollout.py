"""`openenv-grpc rollout` from end to end: real servers, real episodes, real files."""

from __future__ import annotations

import csv
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openenv_grpc.cli.rollout import command
from tests.cli.running import Cli, start
from tests.client.environments import SHORT, SLOW, UNBUILDABLE
from tests.environments.reference import Reference
from tests.helpers.processes import alive, descendants, until
from tests.helpers.server import Server, running

COLUMNS = ["episode", "lane", "seed", "return", "length", "terminated", "truncated"]
PONG = ["rollout", "atari", "--option", "game=pong", "--max-steps", "60", "--episodes", "3"]


@pytest.fixture(scope="module")
def atari() -> Iterator[Server]:
    with running("atari") as server:
        yield server


@pytest.fixture(scope="module")
def short() -> Iterator[Server]:
    with running(SHORT) as server:
        yield server


def read(directory: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Both files that a rollout writes; they tell the same."""
    with (directory / "episodes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    document = json.loads((directory / "episodes.json").read_text())
    for row, other in zip(rows, document["episodes"], strict=True):
        assert list(row) == list(other) == COLUMNS
        assert row == {name: "" if value is None else str(value) for name, value in other.items()}
    return rows, document


def test_atari(cli: Cli, tmp_path: Path):
    status, out, err = cli(*PONG, "--num-envs", "2", "--seed", "5", "--output", str(tmp_path / "new" / "deep"))
    assert (status, err) == (0, "")
    for part in ("3/3 episodes", "180 steps", "steps/s", "mean", "return", "length", "local", "game=pong", "truncated"):
        assert part in out
    rows, document = read(tmp_path / "new" / "deep")
    assert [row["episode"] for row in rows] == ["0", "1", "2"]
    assert [row["lane"] for row in rows] == ["0", "1", "0"]
    assert [row["seed"] for row in rows] == ["5", "6", "7"]
    assert {row["length"] for row in rows} == {"60"}
    assert {(row["terminated"], row["truncated"]) for row in rows} == {("False", "True")}
    run = document["run"]
    assert run["environment"] == "atari"
    assert run["options"] == {"game": "pong"}
    assert (run["policy"], run["seed"], run["num_envs"], run["max_steps"]) == ("random", 5, 2, 60)
    assert (run["episodes"], run["episodes_finished"], run["interrupted"], run["steps"]) == (3, 3, False, 180)
    assert run["length"] == {"mean": 60.0, "std": 0.0, "min": 60.0, "max": 60.0}
    assert run["return"]["mean"] == pytest.approx(sum(float(row["return"]) for row in rows) / 3)
    assert run["wall_s"] > 0
    assert run["steps_per_s"] == pytest.approx(180 / run["wall_s"], rel=0.02)
    assert (run["transport"], run["provider"], run["address"]) == ("local", "local", None)
    assert {"openenv-grpc", "server", "atari", "protocol_revision", "python", "numpy"} <= set(run["versions"])


@pytest.mark.exhaustive
def test_the_same_seed_gives_the_same_returns(cli: Cli, tmp_path: Path, atari: Server):
    """On any number of lanes, in any number of batches; another seed gives others."""
    found = {}
    for name, arguments in {
        "one": ["--num-envs", "1"],
        "again": ["--num-envs", "1"],
        "three": ["--num-envs", "3"],
        "lock step": ["--num-envs", "3", "--in-flight", "1"],
        "three batches": ["--num-envs", "4", "--in-flight", "3"],
        "other": ["--num-envs", "3", "--seed", "50"],
    }.items():
        options = ["-o", "game=breakout", "-o", "obs_type=ram", "--address", atari.address]
        options += ["--episodes", "4", "--max-steps", "200", "--output", str(tmp_path)]
        assert cli("rollout", "atari", *options, *arguments).status == 0
        found[name] = [(row["return"], row["length"]) for row in read(tmp_path)[0]]
    other = found.pop("other")
    assert all(rows == found["one"] != other for rows in found.values())
    assert len(set(found["one"])) > 1


def test_an_episode_is_that_of_ale_in_process(cli: Cli, tmp_path: Path, atari: Server):
    arguments = ["--policy", "tests.cli.policies:up", "--seed", "9", "--num-envs", "2", "--output", str(tmp_path)]
    assert cli(*PONG, *arguments, "--address", atari.address).status == 0
    for row in read(tmp_path)[0]:
        reference = Reference("pong", int(row["seed"]))
        assert float(row["return"]) == sum(reference.step(2)[1] for _ in range(60))


def test_echo(cli: Cli, tmp_path: Path):
    arguments = ["--episodes", "5", "--num-envs", "3", "--max-steps", "7", "--output", str(tmp_path)]
    status, out, _ = cli("rollout", "echo", *arguments)
    assert status == 0
    rows, document = read(tmp_path)
    assert [int(row["length"]) for row in rows] == [7] * 5
    assert all(float(row["return"]) > 0 for row in rows)
    assert document["run"]["steps"] == 35
    assert "5/5 episodes" in out


def test_episodes_end_by_themselves_and_lanes_go_on(cli: Cli, tmp_path: Path, short: Server):
    """Episode k of this environment has 3 + k steps."""
    arguments = ["--address", short.address, "--episodes", "7", "--num-envs", "3", "--output", str(tmp_path)]
    assert cli("rollout", SHORT, *arguments).status == 0
    rows, _ = read(tmp_path)
    assert [int(row["length"]) for row in rows] == [3 + index for index in range(7)]
    assert [float(row["return"]) for row in rows] == [3.0 + index for index in range(7)]
    assert {row["terminated"] for row in rows} == {"True"}


def test_what_a_policy_sees(tmp_path: Path, short: Server):
    """In lock step: rows of the lanes that play, in their order; episodes begin at step 0."""
    log = tmp_path / "log"
    arguments = ["--episodes", "5", "--num-envs", "2", "--in-flight", "1", "--policy", "tests.cli.policies:say_step"]
    arguments += ["--address", short.address]
    with start("rollout", SHORT, *arguments, extra=[("POLICY_LOG", str(log))]) as process:
        assert process.wait(30) == 0
    turns = [json.loads(line) for line in log.read_text().splitlines()]
    assert turns[0] == {"lane": [0, 1], "episode": [0, 1], "step": [0, 0]}
    seen: dict[int, list[int]] = {}
    for turn in turns:
        assert turn["lane"] == sorted(turn["lane"])
        for lane, episode, step in zip(turn["lane"], turn["episode"], turn["step"], strict=True):
            assert episode % 2 == lane
            seen.setdefault(episode, []).append(step)
    assert seen == {episode: list(range(3 + episode)) for episode in range(5)}


def test_a_policy_gets_each_lanes_own_observation(cli: Cli, short: Server):
    """Also when some lanes were reset and others not: what was said last comes back, and nothing after a reset."""
    from tests.cli import policies

    policies.LOG.clear()
    policy = ["--address", short.address, "--policy", "tests.cli.policies:say_step"]
    assert cli("rollout", SHORT, "--episodes", "5", "--num-envs", "3", *policy).status == 0
    for turn in policies.LOG:
        for message, episode, step in zip(turn["observation"], turn["episode"], turn["step"], strict=True):
            assert message == (f"{episode}:{step - 1}" if step else "")


def test_a_server_that_runs(cli: Cli, tmp_path: Path, short: Server):
    assert cli("rollout", SHORT, "--address", short.address, "--episodes", "2", "--output", str(tmp_path)).status == 0
    _, document = read(tmp_path)
    assert (document["run"]["address"], document["run"]["provider"]) == (short.address, None)
    until(lambda: not short.workers)
    status, _, err = cli("rollout", "echo", "--address", short.address)
    assert status == 1
    assert err == f"error: environment: the server at {short.address} serves ShortEnvironment, not echo\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nope"], "no environment 'nope' is installed (installed: atari, echo)"),
        (["echo", "--policy", "nowhere:policy"], "policy: cannot import nowhere"),
        (["echo", "--policy", "randm"], "policy: 'randm' is neither random nor module:callable"),
        (["echo", "--provider", "moon"], "provider: no provider 'moon'; there are: local, docker"),
        (["echo", "--address", "127.0.0.1:1"], "no server answers at 127.0.0.1:1"),
        (["echo", "--address", "nowhere"], "address: 'nowhere' is neither"),
        (["echo", "--output", "/proc/nothing"], "output: cannot make /proc/nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence(cli: Cli, arguments: list[str], hint: str):
    status, _, err = cli("rollout", *arguments)
    assert status == 1
    assert hint in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["-o", "gmae=pong"], "options.gmae: no such option; did you mean game?"),
        (["-o", "shards=2"], "options.shards: no such option"),
        (["-o", "game=pnog"], "did you mean pong?"),
        (["-o", "frameskip=many"], "options.frameskip: 'many' is no int"),
        (["-o", "game"], "game: write it as name=value"),
        (["--num-envs", "4", "--policy", "tests.cli.policies:too_few"], "action_id"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_the_server_refuses_is_one_sentence_too(cli: Cli, atari: Server, arguments: list[str], hint: str):
    status, _, err = cli("rollout", "atari", "--address", atari.address, *arguments)
    assert status == 1
    assert hint in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_an_environment_that_cannot_be_built(cli: Cli):
    status, _, err = cli("rollout", UNBUILDABLE)
    assert status == 1
    assert "the engine is missing; the end of its log:" in err


def test_an_environment_that_fails_midway(cli: Cli, tmp_path: Path, short: Server):
    arguments = ["--policy", "tests.cli.failing:fail_later", "--episodes", "4", "--output", str(tmp_path)]
    status, out, err = cli("rollout", SHORT, "--address", short.address, *arguments)
    assert status == 1
    assert err == "error: ValueError: enough\n"
    assert "2 of 4 episodes were played to their end" in out
    rows, document = read(tmp_path)
    assert len(rows) == 2
    assert document["run"]["episodes_finished"] == 2


def test_an_exception_of_the_policys_own_is_shown_with_its_place(short: Server):
    arguments = ["rollout", SHORT, "--address", short.address, "--policy", "tests.cli.policies:raising"]
    with start(*arguments) as process:
        out, err = process.communicate(timeout=30)
        assert process.returncode == 1
    assert "ZeroDivisionError: the network is missing" in err
    assert "tests/cli/policies.py" in err
    assert "0 of 5 episodes" in out


def test_an_episode_that_never_ends(cli: Cli, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(command, "NEVER_ENDS", 30)
    status, _, err = cli("rollout", "echo")
    assert status == 1
    assert err == "error: max-steps: an episode has not ended after 30 steps; cut episodes short with --max-steps\n"


def test_more_lanes_than_episodes(cli: Cli, tmp_path: Path, short: Server):
    arguments = ["--address", short.address, "--episodes", "2", "--num-envs", "9", "--output", str(tmp_path)]
    assert cli("rollout", SHORT, *arguments).status == 0
    assert read(tmp_path)[1]["run"]["num_envs"] == 2


@pytest.mark.parametrize("number", range(2))
def test_ctrl_c(tmp_path: Path, number: int):
    arguments = ["--episodes", "100000", "--num-envs", "2", "--max-steps", "10", "--output", str(tmp_path)]
    with start("rollout", SLOW, *arguments) as process:
        assert process.stdout is not None
        assert "SlowEnvironment" in process.stdout.readline()
        time.sleep(0.4 + 0.17 * number)
        family = descendants(process.pid)
        assert len(family) == 4
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
        assert process.returncode == 130
    until(lambda: not alive(family), what="the end of all processes")
    assert "Traceback" not in err
    rows, document = read(tmp_path)
    assert len(rows) > 5
    assert {row["length"] for row in rows} == {"10"}
    assert document["run"]["interrupted"]
    assert f"interrupted  {len(rows)} of 100000 episodes were played to their end" in out
    assert f"episodes  {len(rows)}: 0 terminated, {len(rows)} truncated" in out


@pytest.mark.parametrize("lanes", [pytest.param("1", marks=pytest.mark.exhaustive), "2"])
def test_ctrl_c_in_a_long_step(tmp_path: Path, lanes: str):
    """Of the only batch, or of two that are in flight."""
    arguments = ["--num-envs", lanes, "--policy", "tests.cli.failing:sleep", "--output", str(tmp_path)]
    with start("rollout", SLOW, *arguments) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        family = descendants(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
        assert time.monotonic() - began < 3
        assert process.returncode == 130
    until(lambda: not alive(family), what="the end of all processes")
    assert "interrupted  0 of 5 episodes" in out
    assert read(tmp_path)[0] == []


def test_ctrl_c_while_it_starts():
    with start("rollout", "atari") as process:
        family = until(lambda: descendants(process.pid), 10)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        assert process.returncode == 130
    until(lambda: not alive(family), what="the end of all processes")
    assert "Traceback" not in err
