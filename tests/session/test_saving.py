"""state, snapshot and restore."""

from __future__ import annotations

import pytest

from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, IllegalVerb, InvalidArgument, Unsupported
from openenv_grpc.specs import AutoresetMode
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import FragileEnvironment, ProbeEnvironment, SeedlessEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.stream import fault


def test_state_is_a_record_per_lane():
    pair = Pair(ProbeEnvironment, lanes=2)
    pair.reset()
    pair.step([blank("")] * 2)
    states = pair.state()
    assert [(state.episode, state.steps) for state in states] == [(1, 1), (1, 1)]
    single = Pair(ProbeEnvironment)
    single.reset()
    assert single.state().steps == 0


def test_a_restored_lane_goes_on_from_there():
    pair = Pair(BareEnvironment, lanes=3, shards=2, goal=100)
    pair.reset(seed=0)
    pair.step([1, 2, 3])
    saved = pair.snapshot()
    after = pair.step([5, 5, 5]).observation.position.tolist()
    pair.step([7, 7, 7])
    pair.restore(saved)
    assert pair.step([5, 5, 5]).observation.position.tolist() == after
    pair.restore(saved[1:2], lanes=[2])
    assert [state.position for state in pair.state()] == [after[0], after[1], 3]


def test_a_snapshot_remembers_that_the_episode_has_ended():
    pair = Pair(BareEnvironment, mode=AutoresetMode.DISABLED, goal=2)
    pair.reset()
    running = pair.snapshot()
    pair.step(2)
    ended = pair.snapshot()
    pair.restore(running)
    assert pair.step(1).observation.position == 1
    pair.restore(ended)
    with pytest.raises(IllegalVerb):
        pair.client.step(1)
    assert fault(pair.plain(seq=len(pair.sent) + 1, step={"actions": [b""]}).status).reason == "ILLEGAL_VERB"


def test_a_fresh_lane_may_be_restored():
    pair, other = (Pair(BareEnvironment, goal=100) for _ in range(2))
    pair.reset(seed=8)
    saved = pair.snapshot()
    with pytest.raises(IllegalVerb):
        other.client.snapshot()
    other.restore(saved)
    assert other.step(1).observation.position == 9


@pytest.mark.parametrize("snapshots", [[], [b""], [b"\x02x"], [b"\0" + b"1 2 3"] * 2], ids=str)
def test_what_is_no_snapshot_is_refused(snapshots: list[bytes]):
    pair = Pair(BareEnvironment)
    pair.reset(seed=4)
    found = fault(pair.plain(seq=2, restore={"snapshots": snapshots}).status)
    assert (found.reason, found.field) == ("INVALID_ARGUMENT", "restore.snapshots")
    assert pair.environments[0].position == 4


def test_the_client_refuses_what_is_no_snapshot():
    pair = Pair(BareEnvironment)
    pair.reset()
    for saved in (None, "text", 3):
        with pytest.raises(InvalidArgument) as caught:
            pair.client.restore(saved)
        assert caught.value.field == "saved"


def test_a_snapshot_that_the_environment_cannot_load_is_its_failure():
    pair = Pair(BareEnvironment)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="ValueError"):
        pair.restore(b"\0rubbish")
    assert pair.step(1).observation.position == 1


def test_an_environment_that_saves_no_bytes_has_failed():
    pair = Pair(FragileEnvironment)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="bytes"):
        pair.snapshot()
    assert pair.step(blank("on")).observation.steps == 1


def test_what_cannot_be_saved_says_so_on_both_sides():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    with pytest.raises(Unsupported):
        pair.client.snapshot()
    with pytest.raises(Unsupported):
        pair.client.restore(b"\0")
    assert fault(pair.plain(seq=2, snapshot={}).status).code == "UNIMPLEMENTED"
    assert fault(pair.plain(seq=3, restore={}).status).reason == "UNSUPPORTED"


def test_seeds_that_cannot_be_honoured_are_refused_on_both_sides():
    pair = Pair(SeedlessEnvironment)
    with pytest.raises(Unsupported) as caught:
        pair.client.reset(seed=3)
    assert caught.value.field == "seed"
    found = fault(pair.plain(seq=1, reset={"seeds": [{"value": 0}]}).status)
    assert (found.code, found.reason, found.field) == ("UNIMPLEMENTED", "UNSUPPORTED", "reset.seeds")
    assert pair.environments[0].episode == 0
    assert pair.plain(seq=2, reset={"seeds": [{}]}).WhichOneof("result") == "reset"  # no seed in it


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3]], ids=len)
def test_as_many_seeds_as_lanes(seeds: list[int]):
    pair = Pair(BareEnvironment, lanes=2)
    found = fault(pair.plain(seq=1, reset={"seeds": [{"value": seed} for seed in seeds]}).status)
    assert (found.reason, found.field) == ("INVALID_ARGUMENT", "reset.seeds")
    with pytest.raises(InvalidArgument):
        pair.client.reset(seed=seeds)


def test_a_state_that_raises_is_the_environments_failure_and_nothing_else():
    class Stateless(ProbeEnvironment):
        def state(self) -> None:  # type: ignore[override]
            message = "no state today"
            raise KeyError(message)

    pair = Pair(Stateless)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="no state today") as caught:
        pair.state()
    assert caught.value.metadata["exception"] == "KeyError"
    assert pair.step(blank("on")).observation.steps == 1


def test_a_state_of_the_wrong_kind_is_the_environments_failure():
    class Wrong(ProbeEnvironment):
        def state(self) -> None:  # type: ignore[override]
            return None

    pair = Pair(Wrong)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="ProbeState"):
        pair.state()


@pytest.mark.parametrize("verb", ["state", "snapshot"])
def test_an_interrupted_verb_leaves_its_lane_to_be_reset(verb: str):
    pair = Pair(BareEnvironment)
    pair.reset()
    pair.shards[0].alarm.calls_left = 0
    with pytest.raises(DeadlineExceeded):
        getattr(pair, verb)()
    with pytest.raises(IllegalVerb, match=r"interrupted.*reset"):
        pair.client.step(1)
    pair.reset()
    assert pair.step(1).observation.steps == 1
