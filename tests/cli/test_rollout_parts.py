"""The parts of `rollout` on their own: accounting, the random policy, a user's policy."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from rich.console import Console

from openenv_grpc.cli.rollout import display
from openenv_grpc.cli.rollout.episodes import Ledger, Spread, spread
from openenv_grpc.cli.rollout.policies import RandomPolicy, Turn, _sampler, load_policy
from openenv_grpc.codec.schema import schema_of
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import ArraySpec
from tests.cli import policies
from tests.environments_for_tests.probe import ProbeEnvironment
from tests.helpers.packages import generated
from tests.helpers.pair import Pair

assert generated()


def play(ledger: Ledger, lengths: list[int], order: random.Random) -> None:
    """Play episodes of the lengths given; which lanes step when is left to chance."""
    while ledger.running:
        lanes = sorted(order.sample(sorted(ledger.running), order.randint(1, len(ledger.running))))
        done = [ledger.running[lane].length + 1 == lengths[ledger.running[lane].index] for lane in lanes]
        ledger.record(lanes, [float(lane + 1) for lane in lanes], done, [False] * len(lanes))


@pytest.mark.parametrize(("episodes", "lanes"), [(1, 1), (5, 4), (4, 5), (7, 3), (12, 4)])
def test_which_episodes_count_does_not_depend_on_timing(episodes: int, lanes: int):
    lengths = [3 + (7 * index) % 5 for index in range(episodes)]
    found = []
    for seed in range(5):
        ledger = Ledger(episodes, lanes, 100)
        play(ledger, lengths, random.Random(seed))
        assert ledger.steps == sum(lengths)
        found.append([episode.row() for episode in ledger.finished])
    assert all(rows == found[0] for rows in found)
    assert [row["episode"] for row in found[0]] == list(range(episodes))
    assert [row["lane"] for row in found[0]] == [index % lanes for index in range(episodes)]
    assert [row["seed"] for row in found[0]] == [100 + index for index in range(episodes)]
    assert [row["length"] for row in found[0]] == lengths
    assert [row["return"] for row in found[0]] == [n * (i % lanes + 1.0) for i, n in enumerate(lengths)]


def test_an_episode_is_cut_short():
    ledger = Ledger(2, 1, None, max_steps=2)
    assert ledger.record([0], [1.0], [False], [False]) == []
    assert ledger.longest == 1
    assert ledger.record([0], [1.0], [False], [False]) == [0]
    assert ledger.running[0].index == 1
    ledger.record([0], [1.0], [False], [False])
    assert ledger.record([0], [1.0], [True], [False]) == [0]
    assert not ledger.running
    first, second = ledger.finished
    assert (first.terminated, first.truncated, first.ending, first.seed) == (False, True, "truncated", None)
    assert (second.terminated, second.truncated, second.ending) == (True, False, "terminated")


def test_spread():
    assert spread([]) is None
    assert spread([2.0]) == Spread(2.0, 0.0, 2.0, 2.0)
    numbers = [1.0, 5.0, -3.5, 2.25]
    found = spread(numbers)
    assert found is not None
    assert found.mean == pytest.approx(np.mean(numbers))
    assert found.std == pytest.approx(np.std(numbers))
    assert (found.min, found.max) == (-3.5, 5.0)


def turn(*episodes: int) -> Turn:
    count = len(episodes)
    steps = np.zeros(count, np.int64)
    return Turn(None, np.arange(count), np.array(episodes, np.int64), steps, [{}] * count)


def random_policy(pair: Pair, seed: int = 0) -> RandomPolicy:
    return RandomPolicy(pair.client.records.action, pair.client.spec.action, seed)


def test_what_is_drawn_depends_on_seed_and_episode_alone():
    pair = Pair(ProbeEnvironment)
    together, alone, other = (random_policy(pair, seed) for seed in (7, 7, 8))
    drawn = [together(turn(3, 4)) for _ in range(5)]
    single = [alone(turn(4)) for _ in range(5)]
    for name in drawn[0]:
        for both, one in zip(drawn, single, strict=True):
            np.testing.assert_array_equal(both[name][1], one[name][0])
    assert drawn[0]["level"] != other(turn(3, 4))["level"]
    assert len({values["ratio"][0] for values in drawn}) == 5


def test_random_actions_are_accepted():
    """By the client, which checks every field, and by the environment."""
    pair = Pair(ProbeEnvironment, 2, 1)
    policy = random_policy(pair)
    pair.reset()
    for _ in range(50):
        action = policy(turn(0, 1))
        action["verb"] = ["look"] * 2  # what it stands for is the environment's business
        pair.step(action)


def test_old_generators_are_forgotten():
    policy = random_policy(Pair(ProbeEnvironment))
    for episode in range(50):
        policy(turn(episode, episode + 1))
    assert len(policy._generators) <= 5


@pytest.mark.parametrize(
    "spec",
    [
        ArraySpec(np.int64, (), 0, 5),
        ArraySpec(np.int64),
        ArraySpec(np.int8, (3,)),
        ArraySpec(np.uint8, (2, 2), 250, None),
        ArraySpec(np.uint64, (), None, 3),
        ArraySpec(np.uint64, (), 0, float(2**64)),
        ArraySpec(np.int32, (4,), -2.5, 2.5),
        ArraySpec(np.float32, (3,), -1, 1),
        ArraySpec(np.float32, (), 0.1, 0.1),
        ArraySpec(np.float64, (2,), 3, None),
        ArraySpec(np.float64, (2,), None, -3),
        ArraySpec(np.float16),
        ArraySpec(np.bool_),
        ArraySpec(np.bool_, (5,)),
        ArraySpec(np.complex64, (2,)),
        ArraySpec(np.float32, (0,)),
    ],
    ids=str,
)
def test_draws_keep_to_the_spec(spec: ArraySpec):
    pair = Pair(ProbeEnvironment)
    schema = pair.client.records.action
    field = next(field for field in schema.fields if field.name == ("grid" if spec.shape else "level"))
    sample, rng = _sampler(field, schema, spec), np.random.default_rng(1)
    for _ in range(30):
        value: Any = sample(rng)
        array = np.asarray(value, spec.dtype)
        if spec.shape:
            assert value.dtype == spec.dtype
            assert value.shape == spec.shape
        else:
            assert not isinstance(value, np.generic)
            assert array == value
        if spec.dtype.kind != "c":
            assert spec.low is None or (array >= np.float32(spec.low)).all()
            assert spec.high is None or (array <= np.float32(spec.high)).all()


def test_a_users_policy_may_take_one_argument_or_two():
    seen = Turn("columns", np.array([0]), np.array([4]), np.array([2]), [{"a": 1}])
    assert load_policy("builtins:repr")(seen) == "'columns'"
    policies.LOG.clear()
    turned = Turn(type("Columns", (), {"message": ["hi"]}), *list(vars(seen).values())[1:])
    assert load_policy("tests.cli.policies:say_step")(turned) == ["4:2"]
    assert policies.LOG == [{"observation": ["hi"], "lane": [0], "episode": [4], "step": [2], "infos": [{"a": 1}]}]
    assert load_policy("tests.cli.policies:stateful")(turned) == ["x"]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("randm", "'randm' is neither random nor module:callable"),
        ("module:", "is neither random nor module:callable"),
        (":name", "is neither random nor module:callable"),
        ("no_such_module:name", "cannot import no_such_module: No module named 'no_such_module'"),
        ("tests.cli.policies:nobody", "tests.cli.policies has no nobody"),
        ("math:pi", "math:pi is no callable but float"),
        ("tests.cli.policies:nothing", "must take (observation) or (observation, info), it takes ()"),
    ],
)
def test_a_policy_that_is_none(text: str, hint: str):
    with pytest.raises(InvalidArgument) as caught:
        load_policy(text)
    assert caught.value.field == "policy"
    assert hint in str(caught.value)


def optional_only() -> Any:
    """A schema whose only field may be left out."""
    file = descriptor_pb2.FileDescriptorProto(name="only.proto", package="only", syntax="proto3")
    message = file.message_type.add(name="Action")
    message.field.add(name="note", number=1, type=9, label=1, proto3_optional=True, oneof_index=0)
    message.oneof_decl.add(name="_note")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("only.Action")
    return schema_of(descriptor, GetMessageClass(descriptor))


def test_chance_cannot_choose_among_optional_fields():
    with pytest.raises(InvalidArgument, match=r"optional fields of only.Action \(note\); give module:callable"):
        RandomPolicy(optional_only(), {}, 0)


def shown(ledger: Ledger, *, terminal: bool) -> tuple[display.Progress, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    return display.Progress(ledger, console, "title"), text


def test_lines_come_at_a_modest_rate_without_a_terminal():
    ledger = Ledger(3, 1, 0)
    progress, text = shown(ledger, terminal=False)
    with progress:
        for _ in range(3):
            ledger.record([0], [2.0], [True], [False])
            progress.update()
    lines = text.getvalue().splitlines()
    assert lines[0] == "title"
    assert len(lines) == 2
    assert "3/3 episodes  3 steps" in lines[1]
    assert lines[1].endswith("mean return 2.00  latest 2, 2, 2")
    assert "\x1b" not in text.getvalue()


def test_a_terminal_shows_every_lane(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(display, "LIVE_INTERVAL_S", 0.0)
    ledger = Ledger(30, 12, 0)
    progress, text = shown(ledger, terminal=True)
    with progress:
        ledger.record(range(12), [1.0] * 12, [True] + [False] * 11, [False] * 12)
        progress.update()
    for part in ("1/30 episodes", "lane 7", "episode 12", "and 4 more", "mean return 1.00", "title"):
        assert part in text.getvalue()


def test_the_clock():
    assert [display.clock(seconds) for seconds in (0, 61.9, 3600 * 12 + 59)] == ["0:00:00", "0:01:01", "12:00:59"]


def test_a_hint_when_nothing_ends(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(display, "HINT_AFTER_S", 0.0)
    progress, _ = shown(Ledger(1, 1, 0), terminal=False)
    assert "--max-steps" in progress.line
