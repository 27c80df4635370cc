"""Lanes as they come: `async_reset`, `send` and `recv`. Every lane that was sent to is delivered once, in order."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from openenv_grpc import connect_vec
from openenv_grpc.errors import IllegalVerb, InvalidArgument, ServerFull
from tests.client.environments import SLOW
from tests.helpers.same import assert_same
from tests.helpers.server import Server, running


def ids(step: Any) -> list[int]:
    found: list[int] = step[4]["env_id"].tolist()
    return found


def force(lane: int, turn: int) -> list[float]:
    """What a lane does in a turn, whoever asks."""
    return [(lane * 7 + turn * 3) % 5 / 8, turn % 3 / 4]


def arm_actions(lanes: list[int], turns: list[int]) -> dict[str, Any]:
    forces = [force(lane, turn) for lane, turn in zip(lanes, turns, strict=True)]
    brake = [(lane + turn) % 4 == 0 for lane, turn in zip(lanes, turns, strict=True)]
    return {"force": np.array(forces, np.float32), "brake": np.array(brake), "grip": np.ones(len(lanes), np.int64)}


def by_lane(step: Any, lanes: list[int]) -> dict[int, tuple[Any, ...]]:
    """What each lane saw: its row of observation, outcomes, and of each info that it has."""
    observation, reward, terminated, truncated, info = step
    found = {}
    for row, lane in enumerate(lanes):
        seen = {name: column[row] for name, column in observation.items()}
        found[lane] = seen, reward[row], terminated[row], truncated[row], pick(info, row)
    return found


def pick(info: dict[str, Any], row: int) -> dict[str, Any]:
    """One row of a vector's info."""
    masked = {key: value for key, value in info.items() if f"_{key}" in info and info[f"_{key}"][row]}
    return {key: pick(value, row) if isinstance(value, dict) else value[row] for key, value in masked.items()}


@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP"])
@pytest.mark.parametrize(
    ("lanes", "shards", "size"), [(4, 2, 2), (4, 1, 2), (7, 2, 3), (5, 3, 5), (6, 2, 1), (5, 1, 4)]
)
def test_lanes_see_what_they_see_in_lock_step(arm: Server, mode: str, lanes: int, shards: int, size: int):
    turns = 9
    every = list(range(lanes))
    with connect_vec(arm.address, lanes, shards=shards, autoreset_mode=mode) as vec:
        observation, info = vec.reset(seed=3)
        first = observation, np.zeros(lanes), np.zeros(lanes, bool), np.zeros(lanes, bool), info
        wanted = [
            by_lane(step, every) for step in (first, *(vec.step(arm_actions(every, [t] * lanes)) for t in range(turns)))
        ]
    played: dict[int, list[Any]] = {lane: [] for lane in every}
    with connect_vec(arm.address, lanes, shards=shards, autoreset_mode=mode, batch_size=size) as vec:
        vec.async_reset(seed=3)
        due = lanes
        while due >= size:
            step = vec.recv()
            found = by_lane(step, ids(step))
            assert len(found) == size
            for lane, seen in found.items():
                played[lane].append(seen)
            going_on = [lane for lane in ids(step)[::-1] if len(played[lane]) <= turns]
            if going_on:
                vec.send(arm_actions(going_on, [len(played[lane]) - 1 for lane in going_on]), going_on)
            due += len(going_on) - size
    assert min(map(len, played.values())) >= turns // 2  # the last ones may be too few for a batch
    for lane, seen in played.items():
        for turn, one in enumerate(seen):
            for ours, theirs in zip(one, wanted[turn][lane], strict=True):
                assert_same(ours, theirs, f"lane {lane}, turn {turn}")


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_rows_that_wait_are_not_overwritten(atari: Server, size: int):
    """Without `copy` an answer's memory is used again; the rows that `recv` holds back are not touched by that."""
    lanes, turns = 4, 12
    played = [play(atari, lanes, lanes, turns, copy=True), play(atari, lanes, size, turns, copy=False)]
    for lane in range(lanes):
        wanted, seen = played[0][lane], played[1][lane]
        assert len(seen) >= turns // 2
        assert seen == wanted[: len(seen)]


def play(server: Server, lanes: int, size: int, turns: int, *, copy: bool) -> list[list[int]]:
    """Checksums of the screens that each lane saw, with actions of its own."""
    seen: list[list[int]] = [[] for _ in range(lanes)]
    with connect_vec(server.address, lanes, shards=1, game="breakout", batch_size=size, copy=copy) as vec:
        vec.async_reset(seed=3)
        due = lanes
        while due >= size:
            screens, *_, info = vec.recv()
            going_on = []
            for lane, screen in zip(info["env_id"].tolist(), screens, strict=True):
                seen[lane].append(zlib.crc32(screen))
                going_on += [lane] if len(seen[lane]) <= turns else []
            if going_on:
                vec.send([(lane + len(seen[lane])) % 4 for lane in going_on], going_on)
            due += len(going_on) - size
    return seen


def test_the_first_that_are_ready_come_first(slow: Server):
    with connect_vec(slow.address, 4, shards=2, batch_size=2) as vec:
        vec.async_reset()
        assert sorted(ids(vec.recv()) + ids(vec.recv())) == [0, 1, 2, 3]
        vec.send(["sleep 0.6", "x"], [0, 1])
        vec.send(["y", "z"], [2, 3])
        assert ids(vec.recv()) == [2, 3]
        vec.send(["y", "z"])  # two batches in flight: these overtake
        step = vec.recv()
        assert ids(step) == [2, 3]
        assert step[0]["length"].tolist() == [2, 2]
        step = vec.recv()
        assert (ids(step), step[0]["message"]) == ([0, 1], ("sleep 0.6", "x"))


def test_an_answer_is_used_whole_without_a_copy(atari: Server):
    with connect_vec(atari.address, 8, shards=2, batch_size=2, obs_type="ram") as vec:
        vec.async_reset(seed=1)
        for _ in range(12):
            observation, *_ = vec.recv()
            assert not observation.flags.owndata  # a view of the bytes that came
            assert observation.shape == (2, 128)
            vec.send([0, 0])
    with connect_vec(atari.address, 4, shards=2, batch_size=3, obs_type="ram") as vec:
        vec.async_reset(seed=1)
        observation, *_ = vec.recv()
        assert observation.flags.owndata  # of two shards
        assert not observation.flags.writeable


def test_rows_beyond_a_batch_wait_for_the_next(slow: Server):
    with connect_vec(slow.address, 4, shards=2, batch_size=3) as vec:
        vec.async_reset()
        first = ids(vec.recv())
        with pytest.raises(
            IllegalVerb, match=r"a batch has 3 lanes and only 1 are under way: call async_reset\(\) or send"
        ):
            vec.recv()
        vec.send([f"to {lane}" for lane in first])
        second = vec.recv()
        (left,) = {*range(4)} - {*first}
        assert ids(second)[0] == left
        assert second[0]["message"] == tuple("" if lane == left else f"to {lane}" for lane in ids(second))


def test_actions_follow_the_lanes_that_are_named(slow: Server):
    with connect_vec(slow.address, 5, shards=2) as vec:
        vec.reset()
        order = [3, 0, 4, 1, 2]
        vec.send([f"to {lane}" for lane in order], order)
        step = vec.recv()
        assert step[0]["message"] == tuple(f"to {lane}" for lane in ids(step))
        assert step[4]["length"].tolist() == [4] * 5


def test_lock_step_before_and_after(slow: Server):
    with connect_vec(slow.address, 4, shards=2, batch_size=2) as vec:
        vec.reset()
        vec.send(list("abcd"))  # to all lanes, as after a step
        for call in (lambda: vec.step(list("abcd")), vec.reset):
            with pytest.raises(IllegalVerb, match=r"while the answers of 4 lanes are due: call recv\(\)"):
                call()
        vec.recv()
        with pytest.raises(IllegalVerb, match="2 lanes are due"):
            vec.step(list("abcd"))
        vec.recv()
        assert vec.step(list("efgh"))[0]["length"].tolist() == [2] * 4


def test_wrong_calls_send_nothing(slow: Server):
    with connect_vec(slow.address, 4, shards=2, batch_size=2) as vec:
        for call, error, hint in (
            (vec.recv, IllegalVerb, r"nothing is under way: call async_reset\(\) or send"),
            (lambda: vec.send(["a", "b"]), IllegalVerb, r"the last recv\(\), and there is none: name env_ids"),
            (lambda: vec.send(["a"], [0]), IllegalVerb, r"lane 0: call reset\(\) first"),
            (lambda: vec.async_reset([0], seed=[1, 2]), InvalidArgument, "seed"),
            (lambda: vec.async_reset(seed="a"), InvalidArgument, "seed"),
            (lambda: vec.async_reset(seed=[1, 2, 3, 1 << 63]), InvalidArgument, "seed"),  # nor is the first shard reset
        ):
            with pytest.raises(error, match=hint):
                call()
        with pytest.raises(IllegalVerb, match="nothing is under way"):
            vec.recv()
        vec.async_reset()
        with pytest.raises(IllegalVerb, match="the answer of lane 1 is still due"):
            vec.async_reset([1])
        vec.recv()
        vec.recv()
        for wrong in ([4], [-1], [1, 1], [], [0.5], [[0]], True, [True, False], "01", {0}):
            with pytest.raises(InvalidArgument) as caught:
                vec.send(["a"], wrong)  # type: ignore[arg-type]
            assert caught.value.field == "env_ids"
        for actions in (["a"], ["a", "b", "c"], "ab", 3, ["a", 3]):
            with pytest.raises(InvalidArgument):
                vec.send(actions, [0, 3])  # nor does the first shard get anything
        vec.send(["a", "b"], [0, 3])
        with pytest.raises(IllegalVerb, match="the answer of lane 3 is still due"):
            vec.send(["c", "d"], [1, 3])
        assert vec.recv()[0]["length"].tolist() == [1, 1]
        assert [state.step_count for state in vec.client.state()] == [1, 0, 0, 1]


def test_more_requests_than_may_wait():
    with running(SLOW, in_flight=2) as server, connect_vec(server.address, 4, shards=1, batch_size=2) as vec:
        vec.reset()
        vec.send(["sleep 0.3"], [0])
        with pytest.raises(ServerFull, match="3 calls would wait"):
            vec.send(["x", "x", "x"], [1, 2, 3])
        vec.send(["x"], [1])
        with pytest.raises(ServerFull, match="2 calls wait for their answers already"):
            vec.send(["x"], [2])
        assert ids(vec.recv()) == [0, 1]
        vec.send(["x", "x"], [2, 3])
        assert ids(vec.recv()) == [2, 3]
