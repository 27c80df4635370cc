"""What happens at an episode's end, in each mode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv_grpc.errors import EnvironmentFailed, IllegalVerb
from openenv_grpc.specs import AutoresetMode, Layout
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.stream import fault

NEXT, SAME, OFF = AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, AutoresetMode.DISABLED


def test_next_step_resets_in_the_step_after_the_end():
    pair = Pair(BareEnvironment, lanes=2, mode=NEXT, goal=3)
    pair.reset(seed=[0, 0])
    ended = pair.step([3, 1])
    assert ended.terminated.tolist() == [True, False]
    assert ended.observation.position.tolist() == [3, 1]
    assert ended.infos == [{"episode": 1}, {}]
    fresh = pair.step([2, 1])
    assert fresh.observation.position.tolist() == [0, 2]  # the action of lane 0 was ignored
    assert fresh.observation.steps.tolist() == [0, 2]
    assert fresh.reward.tolist() == [0.0, 1.0]
    assert fresh.done.tolist() == [False, False]
    assert pair.step([2, -9]).observation.position.tolist() == [2, -7]
    assert [state.episode for state in pair.state()] == [2, 1]


def test_terminated_and_truncated_are_separate():
    pair = Pair(BareEnvironment, lanes=3, goal=5)
    pair.reset(seed=[0, 0, 0])
    result = pair.step([5, -5, 0])
    assert result.terminated.tolist() == [True, False, False]
    assert result.truncated.tolist() == [False, True, False]
    assert result.done.tolist() == [True, True, False]


def test_same_step_resets_at_once_and_hands_over_the_last_observation():
    pair = Pair(BareEnvironment, lanes=4, shards=2, mode=SAME, goal=3)
    pair.reset(seed=[0, 0, 0, 0])
    result = pair.step([3, 1, 2, 9])
    assert result.terminated.tolist() == [True, False, False, True]
    assert result.reward.tolist() == [3.0, 1.0, 2.0, 9.0]
    assert result.observation.position.tolist() == [0, 1, 2, 0]
    assert result.observation.steps.tolist() == [0, 1, 1, 0]
    assert result.final_lanes.tolist() == [0, 3]
    assert result.final_observation.position.tolist() == [3, 9]
    assert result.final_observation.steps.tolist() == [1, 1]
    assert result.final_observation.pixels.tolist() == [[3] * 4, [9] * 4]
    assert result.final_infos == [{"episode": 1}, {"episode": 1}]
    assert result.infos == [{}, {}, {}, {}]
    assert pair.step([1, 1, 0, 2]).observation.position.tolist() == [1, 2, 2, 2]


@pytest.mark.parametrize("shards", [1, 2])
def test_last_observations_are_read_only_like_all_others(shards: int):
    pair = Pair(BareEnvironment, lanes=2, shards=shards, mode=SAME, goal=3)
    pair.reset(seed=[0, 0])
    final = pair.step([3, 3]).final_observation
    assert not any(column.flags.writeable for column in (final.position, final.steps, final.pixels))


def test_same_step_hands_over_text_lists_and_infos():
    pair = Pair(ProbeEnvironment, lanes=2, mode=SAME)
    pair.reset()
    result = pair.step([blank("end", words=["a", "b"], amount=2.5), blank("stay", level=4)])
    assert result.observation.verb == ["reset", "stay"]
    assert result.final_observation.verb == ["end"]
    assert result.final_observation.words == [["a", "b"]]
    assert result.final_infos == [{"episode": 1, "words": ["a", "b"]}]
    assert result.infos == [{}, {"level": 4}]
    assert result.reward.tolist() == [2.5, 0.0]


def test_same_step_in_record_layout():
    pair = Pair(BareEnvironment, lanes=2, mode=SAME, layout=Layout.RECORDS, goal=3)
    pair.plain(seq=1, reset={})
    answer = pair.plain(seq=2, step={"actions": [b"\x08\x06", b"\x08\x02"]}).step  # zigzag: 3 and 1
    assert [(outcome.reward, outcome.terminated) for outcome in answer.outcomes] == [(3.0, True), (1.0, False)]
    assert list(answer.final_lanes) == [0]
    assert len(answer.observations) == 2
    assert answer.final_observations[0].startswith(b"\x08\x06\x10\x01")  # position 3, steps 1


def test_a_reset_that_fails_after_the_end_is_that_lanes_failure():
    class Once(ProbeEnvironment):
        def reset(self, **kwargs: Any) -> Any:
            if self.episode == 1 and self.steps:
                message = "out of levels"
                raise RuntimeError(message)
            return super().reset(**kwargs)

    pair = Pair(Once, lanes=2, mode=SAME)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="out of levels") as caught:
        pair.step([blank("end"), blank("on")])
    assert list(caught.value.lane_errors) == [0]
    assert caught.value.partial.observation.verb[1] == "on"
    for environment in pair.environments:
        environment.steps = 0
    assert pair.step([blank("x"), blank("on")]).observation.verb == ["reset", "on"]


def test_off_refuses_a_step_after_the_end_on_both_sides():
    pair = Pair(BareEnvironment, mode=OFF, goal=3)
    pair.reset()
    assert pair.step(3).done
    with pytest.raises(IllegalVerb, match="reset"):
        pair.client.step(1)
    found = fault(pair.plain(seq=3, step={"actions": [b"\x08\x02"]}).status)
    assert (found.code, found.reason) == ("FAILED_PRECONDITION", "ILLEGAL_VERB")
    assert "reset" in found.message
    assert pair.environments[0].steps == 1


def test_off_lets_lanes_be_reset_one_by_one():
    pair = Pair(BareEnvironment, lanes=3, mode=OFF, goal=3)
    pair.reset(seed=[0, 0, 0])
    pair.step([1, 3, 1])
    with pytest.raises(IllegalVerb, match="lane 1"):
        pair.step([1, 1, 1])
    assert pair.step([1, 1], lanes=[0, 2]).lanes.tolist() == [0, 2]
    fresh = pair.reset(lanes=[1])
    assert fresh.observation.position.tolist() == [0]
    assert fresh.lanes.tolist() == [1]
    assert pair.step([0, 1, 0]).observation.position.tolist() == [2, 1, 2]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_reset_in_the_middle_of_an_episode_is_always_allowed(mode: AutoresetMode):
    pair = Pair(BareEnvironment, mode=mode)
    pair.reset(seed=2)
    pair.step(1)
    assert pair.reset(seed=-3).observation.position == -3


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_steps_before_the_first_reset_are_refused_on_both_sides(mode: AutoresetMode):
    pair = Pair(BareEnvironment, mode=mode)
    with pytest.raises(IllegalVerb, match=r"reset\(\) first"):
        pair.client.step(1)
    with pytest.raises(IllegalVerb, match=r"reset\(\) first"):
        pair.client.state()
    assert fault(pair.plain(seq=1, step={"actions": [b""]}).status).reason == "ILLEGAL_VERB"
    assert fault(pair.plain(seq=2, state={}).status).reason == "ILLEGAL_VERB"
    assert pair.plain(seq=3, reset={}).WhichOneof("result") == "reset"


def test_arrays_of_final_rows_are_read_only():
    pair = Pair(BareEnvironment, lanes=2, mode=SAME, goal=1)
    pair.reset(seed=[0, 0])
    final = pair.step([1, 1]).final_observation
    with pytest.raises(ValueError, match="read-only"):
        final.pixels[0, 0] = 1
    assert final.pixels.dtype == np.uint8
