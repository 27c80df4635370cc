"""Action chunks: K actions in one request are K steps, no more and no less."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.errors import EnvironmentFailed, InvalidArgument, MessageTooLarge
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.stream import fault


def singles(pair: Pair, moves: list[list[int]]) -> list[list[Any]]:
    """What single steps would answer: per lane, the rows until its episode ends."""
    rows: list[list[Any]] = [[] for _ in moves[0]]
    running = set(range(len(rows)))
    for step in moves:
        lanes = sorted(running)
        if not lanes:
            break
        result = pair.step([step[lane] for lane in lanes], lanes=lanes)
        for at, lane in enumerate(lanes):
            position = int(result.observation.position[at])
            rows[lane].append((position, float(result.reward[at]), bool(result.done[at]), dict(result.infos[at])))
            if result.done[at]:
                running.discard(lane)
    return rows


def chunked(pair: Pair, moves: list[list[int]]) -> list[list[Any]]:
    """The same, asked for at once."""
    result = pair.step(np.array(moves, np.int64), chunk=len(moves))
    width = len(moves[0])
    assert result.reward.shape == (len(moves), width)
    done = result.done
    return [
        [
            (
                int(result.observation.position[step, lane]),
                float(result.reward[step, lane]),
                bool(done[step, lane]),
                dict(result.infos[step * width + lane]),
            )
            for step in range(result.executed[lane])
        ]
        for lane in range(width)
    ]


@given(
    moves=st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=k, max_size=k)
    ),
    mode=st.sampled_from(list(AutoresetMode)),
    shards=st.integers(1, 3),
    warm_up=st.lists(st.integers(-3, 3), min_size=3, max_size=3),
)
@settings(max_examples=40, deadline=None)
def test_a_chunk_is_its_single_steps(moves: list[list[int]], mode: AutoresetMode, shards: int, warm_up: list[int]):
    pairs = [Pair(BareEnvironment, lanes=3, shards=shards, mode=mode, goal=4) for _ in range(2)]
    for pair in pairs:
        pair.reset(seed=[0, 1, 2])
        first = pair.step(warm_up)
        if mode is AutoresetMode.DISABLED and first.done.any():
            pair.reset(lanes=np.flatnonzero(first.done))
    assert chunked(pairs[0], moves) == singles(pairs[1], moves)
    assert [env.position for env in pairs[0].environments] == [env.position for env in pairs[1].environments]


def test_a_lane_stops_at_its_end_and_the_rows_beyond_are_zeros():
    pair = Pair(BareEnvironment, lanes=2, goal=2)
    pair.reset(seed=[0, 0])
    result = pair.step([[1, 0], [1, 0], [1, 0], [1, 0]], chunk=4)
    assert result.executed.tolist() == [2, 4]
    assert result.terminated[:, 0].tolist() == [False, True, False, False]
    for array in (result.reward, result.observation.position, result.observation.steps, result.observation.pixels):
        assert not np.asarray(array)[2:, 0].any()
    assert result.observation.steps[:, 1].tolist() == [1, 2, 3, 4]
    assert pair.environments[0].steps == 2
    assert len(result.infos) == 8
    assert result.infos[2] == {"episode": 1}
    assert result.info == {}


def test_old_rows_do_not_show_through():
    pair = Pair(BareEnvironment, lanes=1, vector=True, goal=3)
    pair.reset(seed=9)
    pair.step([[-1]] * 8, chunk=8)  # leaves numbers in the memory
    pair.reset(seed=0)
    pair.step([[-1]] * 8, chunk=8)
    pair.reset(seed=0)
    result = pair.step([[3]] * 8, chunk=8)
    assert result.executed.tolist() == [1]
    assert not result.observation.pixels[1:].any()
    assert not result.reward[1:].any()


def test_text_and_lists_come_per_row():
    pair = Pair(ProbeEnvironment, lanes=2)
    pair.reset()
    chunk = [[blank(f"{step}{lane}", words=[str(step)]) for lane in range(2)] for step in range(3)]
    result = pair.step(chunk, chunk=3)
    assert result.observation.verb == ["00", "01", "10", "11", "20", "21"]
    assert result.observation.words == [["0"], ["0"], ["1"], ["1"], ["2"], ["2"]]
    assert result.observation.steps.tolist() == [[1, 1], [2, 2], [3, 3]]


def test_one_lane_gets_a_list_of_results_as_long_as_it_ran():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    results = pair.step([blank("a"), blank("end"), blank("c")], chunk=3)
    assert [result.observation.verb for result in results] == ["a", "end"]
    assert [result.done for result in results] == [False, True]


def test_an_action_that_raises_ends_its_lanes_chunk_and_keeps_what_went_before():
    pair = Pair(ProbeEnvironment, lanes=2)
    pair.reset()
    chunk = [[blank("a"), blank("A")], [blank("raise:ouch"), blank("B")], [blank("c"), blank("C")]]
    with pytest.raises(EnvironmentFailed, match="ValueError: ouch") as caught:
        pair.step(chunk, chunk=3)
    partial = caught.value.partial
    assert partial.executed.tolist() == [1, 3]
    assert partial.observation.verb == ["a", "A", "", "B", "", "C"]
    assert pair.environments[0].steps == 1
    assert pair.step([blank("x"), blank("y")]).observation.steps.tolist() == [2, 4]


def test_one_lane_that_raises_hands_over_the_results_before():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="ouch") as caught:
        pair.step([blank("a"), blank("raise:ouch"), blank("c")], chunk=3)
    assert [result.observation.verb for result in caught.value.partial] == ["a"]
    with pytest.raises(EnvironmentFailed, match="ouch") as caught:
        pair.step([blank("raise:ouch")], chunk=1)
    assert caught.value.partial == []


def test_too_long_a_chunk_is_refused_on_both_sides():
    pair = Pair(BareEnvironment, limits=Limits(chunk=3))
    pair.reset()
    with pytest.raises(InvalidArgument, match="3"):
        pair.client.step([1, 1, 1, 1], chunk=4)
    for chunk in (4, 2**32 - 1):
        found = fault(pair.plain(seq=len(pair.sent) + 1, step={"chunk": chunk, "actions": [b""] * 4}).status)
        assert (found.reason, found.field) == ("INVALID_ARGUMENT", "step.chunk")
    assert pair.environments[0].steps == 0


def test_a_chunk_whose_answer_would_be_too_large_is_refused_before_anything_runs():
    pair = Pair(BareEnvironment, limits=Limits(message_bytes=10_000), size=1000)
    pair.reset()
    assert len(pair.step([0] * 8, chunk=8)) == 8
    with pytest.raises(MessageTooLarge) as caught:
        pair.step([0] * 12, chunk=12)
    assert caught.value.field == "step.chunk"
    assert pair.environments[0].steps == 8
    assert pair.step(1).observation.steps == 9


def test_a_chunk_by_hand_in_record_layout():
    pair = Pair(BareEnvironment, layout=Layout.RECORDS, goal=3)
    pair.plain(seq=1, reset={})
    answer = pair.plain(seq=2, step={"chunk": 3, "actions": [b"\x08\x02", b"\x08\x04", b"\x08\x02"]})
    assert (answer.step.chunk, list(answer.step.executed)) == (3, [2])
    assert [outcome.terminated for outcome in answer.step.outcomes] == [False, True, False]
    assert answer.step.observations[2] == b""
    assert not answer.payload


def test_a_long_random_walk_is_the_same_in_any_cut():
    rng = random.Random(1)
    moves = [rng.randint(-1, 1) for _ in range(120)]
    one, many = (Pair(BareEnvironment, goal=1000) for _ in range(2))
    for pair in (one, many):
        pair.reset(seed=0)
    expected = [one.step(move).observation.position for move in moves]
    found = []
    while len(found) < len(moves):
        cut = moves[len(found) : len(found) + rng.randint(1, 30)]
        found += [result.observation.position for result in many.step(cut, chunk=len(cut))]
    assert found == expected
