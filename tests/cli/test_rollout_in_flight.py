"""Batches of a rollout in flight: environments work while the policy acts, and what is played stays the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openenv_grpc.cli.rollout.episodes import Ledger
from openenv_grpc.cli.rollout.play import play
from openenv_grpc.client import Pipeline, VectorEnvClient
from openenv_grpc.specs import AutoresetMode
from tests.cli import policies
from tests.cli.running import Cli
from tests.client.environments import SHORT, SLOW
from tests.helpers.server import Server, running

WHOLE = "tests.environments_for_tests.batched:AlwaysAllOrNoneEnvironment"


@pytest.fixture(scope="module")
def short() -> Iterator[Server]:
    with running(SHORT) as server:
        yield server


@pytest.fixture(scope="module")
def slow() -> Iterator[Server]:
    with running(SLOW) as server:
        yield server


@pytest.fixture(autouse=True)
def log() -> Iterator[list[dict[str, Any]]]:
    """What the policy saw, turn by turn."""
    policies.LOG.clear()
    yield policies.LOG
    policies.LOG.clear()


def document(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "episodes.json").read_text())
    return found


def turns(log: list[dict[str, Any]]) -> list[dict[str, list[int]]]:
    return [{name: np.asarray(turn[name]).tolist() for name in ("lane", "episode", "step")} for turn in log]


@pytest.mark.parametrize("in_flight", [1, 2, 3])
def test_environments_work_while_the_policy_acts(
    cli: Cli, slow: Server, log: list[dict[str, Any]], tmp_path: Path, in_flight: int
):
    """Each step of which the policy hears overlaps with a turn of its own for other lanes; in lock step none does."""
    arguments = ["--num-envs", "3", "--episodes", "3", "--max-steps", "4", "--policy", "tests.cli.policies:think"]
    arguments += ["--address", slow.address, "--in-flight", str(in_flight), "--output", str(tmp_path)]
    assert cli("rollout", SLOW, *arguments).status == 0
    assert len(log) == 4 * in_flight
    steps = [info for turn in log for info in turn["infos"] if "began" in info]
    during = [any(turn["began"] < step["ended"] and step["began"] < turn["ended"] for turn in log) for step in steps]
    assert len(steps) == 9  # not the last ones of the three episodes
    assert all(during) if in_flight > 1 else not any(during)
    assert document(tmp_path)["run"]["in_flight"] == in_flight


@pytest.mark.parametrize(("lanes", "in_flight"), [(1, 1), (2, 2), (5, 2)])
def test_two_batches_are_the_default(cli: Cli, short: Server, tmp_path: Path, lanes: int, in_flight: int):
    arguments = ["--address", short.address, "--num-envs", str(lanes), "--output", str(tmp_path)]
    status, out, _ = cli("rollout", SHORT, *arguments)
    assert status == 0
    assert document(tmp_path)["run"]["in_flight"] == in_flight
    assert ("2 batches in flight" in out) == (in_flight == 2)


def test_what_a_policy_sees_does_not_depend_on_timing(cli: Cli, short: Server, log: list[dict[str, Any]]):
    """Batches take turns; each has its lanes in their order, and every step of every episode comes once."""
    arguments = ["--address", short.address, "--episodes", "7", "--num-envs", "4", "--in-flight", "2"]
    seen = []
    for _ in range(3):
        log.clear()
        assert cli("rollout", SHORT, *arguments, "--policy", "tests.cli.policies:say_step").status == 0
        seen.append(turns(log))
        assert all(
            message == (f"{episode}:{step - 1}" if step else "")
            for turn in log
            for message, episode, step in zip(turn["observation"], turn["episode"], turn["step"], strict=True)
        )
    assert seen[0] == seen[1] == seen[2]
    assert [turn["lane"] for turn in seen[0][:4]] == [[0, 1], [2, 3], [0, 1], [2, 3]]
    assert seen[0][0] == {"lane": [0, 1], "episode": [0, 1], "step": [0, 0]}
    rows = [row for turn in seen[0] for row in zip(*turn.values(), strict=True)]
    assert sorted(rows) == sorted((k % 4, k, step) for k in range(7) for step in range(3 + k))


@pytest.mark.parametrize("in_flight", [1, 2, 4, 9])
def test_what_is_counted_does_not_depend_on_batches(cli: Cli, short: Server, tmp_path: Path, in_flight: int):
    """Short episodes (of the first lanes) win nothing: as many long ones are reported."""
    arguments = ["--address", short.address, "--episodes", "9", "--num-envs", "4", "--output", str(tmp_path)]
    assert cli("rollout", SHORT, *arguments, "--in-flight", str(in_flight)).status == 0
    found = document(tmp_path)
    assert found["run"]["in_flight"] == min(in_flight, 4)
    assert [(row["episode"], row["lane"], row["length"]) for row in found["episodes"]] == [
        (k, k % 4, 3 + k) for k in range(9)
    ]


def test_a_lane_that_fails_while_others_are_under_way(cli: Cli, short: Server, tmp_path: Path):
    """What is reported of the others does not depend on timing either."""
    arguments = ["--address", short.address, "--episodes", "6", "--num-envs", "2", "--output", str(tmp_path)]
    for _ in range(3):
        status, out, err = cli("rollout", SHORT, *arguments, "--policy", "tests.cli.failing:fail_later")
        assert (status, err) == (1, "error: ValueError: enough\n")
        assert "2 of 6 episodes were played to their end" in out
        assert [row["episode"] for row in document(tmp_path)["episodes"]] == [0, 1]


@pytest.mark.parametrize(
    ("value", "hint"), [("0", "greater than or equal to 1"), ("-1", "greater than"), ("two", "valid integer")]
)
def test_no_number_of_batches(cli: Cli, value: str, hint: str):
    status, _, err = cli("rollout", SHORT, "--in-flight", value)
    assert status == 2
    assert "Invalid value for '--in-flight'" in err
    assert hint in err


def test_more_batches_than_the_server_takes(cli: Cli):
    with running(SHORT, in_flight=2) as server:
        arguments = ["--address", server.address, "--num-envs", "256", "--episodes", "256", "--in-flight", "256"]
        status, _, err = cli("rollout", SHORT, *arguments)
    assert status == 1
    assert err.startswith("error: in_flight: 256: a shard would get ")
    assert err.endswith(" requests at a time, the server's limit is 2\n")


@pytest.mark.exhaustive
@pytest.mark.parametrize("in_flight", [2, 3])
def test_preprocessing(cli: Cli, tmp_path: Path, in_flight: int):
    """With autoreset off its lanes step one by one, so that batches may be parts of shards."""
    options = ["-o", "game=breakout", "-o", "preprocessing=true", "--episodes", "5", "--num-envs", "4"]
    options += ["--max-steps", "40", "--output", str(tmp_path)]
    found = []
    for count in (1, in_flight):
        assert cli("rollout", "atari", *options, "--in-flight", str(count)).status == 0
        found.append([(row["return"], row["length"]) for row in document(tmp_path)["episodes"]])
    assert found[0] == found[1]
    assert len(found[0]) == 5


def test_batches_are_whole_shards():
    """Those of an environment that steps no part of a shard play in flight."""

    def walk(turn: Any) -> Mapping[str, Any]:
        return {"move": np.ones(len(turn.lanes), np.int64)}

    options: Mapping[str, Any] = {"goal": 3}
    mode = AutoresetMode.DISABLED
    with (
        running(WHOLE) as server,
        VectorEnvClient[Any, Any, Any].connect(server.address, 6, shards=3, autoreset_mode=mode, **options) as client,
    ):
        for in_flight in (1, 2, 3):
            ledger = Ledger(12, 6, None)
            for _ in play(Pipeline(client, in_flight), walk, ledger):
                pass
            assert [episode.length for episode in ledger.finished] == [3] * 12
