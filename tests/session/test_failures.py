"""Lanes that raise, run out of time, or answer nonsense: the lane's own failure, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, IllegalVerb, InvalidArgument, MessageTooLarge
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair
from tests.helpers.stream import fault


def test_a_lane_that_raises_gives_message_and_type_and_lives():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    with pytest.raises(EnvironmentFailed) as caught:
        pair.step(blank("raise:the door is locked"))
    assert caught.value.message == "ValueError: the door is locked"
    assert caught.value.metadata == {"exception": "ValueError", "lane": "0"}
    assert pair.step(blank("on")).observation.steps == 1


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_the_other_lanes_of_a_batch_go_on(shards: int):
    pair = Pair(ProbeEnvironment, lanes=4, shards=shards)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="lane one") as caught:
        pair.step([blank("a"), blank("raise:lane one"), blank("c"), blank("raise:lane three")])
    error = caught.value
    assert sorted(error.lane_errors) == [1, 3]
    assert "lane three" in str(error.lane_errors[3])
    verbs = dict(zip(error.partial.lanes.tolist(), error.partial.observation.verb, strict=True))
    assert (verbs[0], verbs[2]) == ("a", "c")
    assert verbs.get(1, "") == verbs.get(3, "") == ""
    assert [env.steps for env in pair.environments] == [1, 0, 1, 0]
    assert pair.step([blank("on")] * 4).observation.steps.tolist() == [2, 1, 2, 1]


def test_the_row_of_a_failed_lane_is_zeros_on_the_wire():
    pair = Pair(ProbeEnvironment, lanes=2, layout=Layout.RECORDS)
    pair.plain(seq=1, reset={})
    encode = pair.client.records.encode
    actions = [encode("openenv_probe.v1.ProbeAction", blank(verb, amount=3.5)) for verb in ("raise:x", "on")]
    answer = pair.plain(seq=2, step={"actions": [action.SerializeToString() for action in actions]})
    assert not answer.HasField("status")
    (failure,) = answer.step.failures
    assert failure.lane == 0
    assert fault(failure.status)[:2] == ("UNKNOWN", "ENVIRONMENT_FAILED")
    assert answer.step.observations[0] == b""
    assert [outcome.reward for outcome in answer.step.outcomes] == [0.0, 3.5]


def test_when_all_lanes_fail_the_request_fails():
    pair = Pair(ProbeEnvironment, lanes=2)
    pair.reset()
    with pytest.raises(EnvironmentFailed, match="first"):
        pair.step([blank("raise:first"), blank("raise:second")])
    assert pair.step([blank("on")] * 2).observation.steps.tolist() == [1, 1]


def test_the_environments_own_refusal_keeps_its_field():
    pair = Pair(ProbeEnvironment)
    pair.reset()
    with pytest.raises(InvalidArgument) as caught:
        pair.step(blank("refuse:words"))
    assert caught.value.field == "words"


def test_a_reset_that_raises_in_one_lane():
    class Odd(BareEnvironment):
        def reset(self, *, seed: int | None, options: Any) -> Any:
            if (seed or 0) % 2:
                message = f"{seed} is odd"
                raise ValueError(message)
            return super().reset(seed=seed, options=options)

    pair = Pair(Odd, lanes=3, goal=100)
    with pytest.raises(EnvironmentFailed, match="5 is odd") as caught:
        pair.reset(seed=[4, 5, 6])
    assert list(caught.value.lane_errors) == [1]
    assert caught.value.partial.observation.position.tolist() == [4, 0, 6]
    found = fault(pair.plain(seq=2, step={"lanes": [1], "actions": [b""]}).status)
    assert found.reason == "ILLEGAL_VERB"  # it was never reset


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("dtype", "observation.grid"),
        ("shape", "observation.grid"),
        ("ragged", "observation.grid"),
        ("text", "observation.verb"),
        ("surrogate", "observation.verb"),
        ("number", "observation.level"),
        ("large", "observation.level"),
        ("words", "observation.words"),
        ("part", "observation.part"),
        ("none", "observation.flag"),
        ("nothing", "observation"),
        ("tuple", "observation"),
        ("action", "observation"),
        ("reward", "reward"),
        ("infinite", "reward"),
        ("ends", "terminated"),
        ("info", "info"),
        ("key", "info"),
        ("value", "info.a"),
        ("huge", "info.a"),
    ],
)
@pytest.mark.parametrize("layout", list(Layout))
def test_nonsense_from_an_environment_names_the_field_and_the_session_lives(kind: str, field: str, layout: Layout):
    pair = Pair(ProbeEnvironment, lanes=2, layout=layout)
    pair.plain(seq=1, reset={})
    encode = pair.client.records.encode

    def act(*verbs: str) -> Any:
        actions = [encode("openenv_probe.v1.ProbeAction", blank(verb)).SerializeToString() for verb in verbs]
        return pair.plain(seq=len(pair.sent) + 1, step={"actions": actions})

    answer = act(f"wrong:{kind}", "on")
    failures = [answer.status] if answer.HasField("status") else [failure.status for failure in answer.step.failures]
    (status,) = failures
    found = fault(status)
    assert (found.reason, found.field) == ("ENVIRONMENT_FAILED", field)
    assert not act("on", "on").HasField("status")


def test_one_lanes_bad_info_is_its_own_failure():
    pair = Pair(ProbeEnvironment, lanes=2)
    pair.reset()
    with pytest.raises(EnvironmentFailed) as caught:
        pair.step([blank("wrong:value"), blank("on", level=3)])
    assert list(caught.value.lane_errors) == [0]
    assert caught.value.partial.infos == [{}, {"level": 3}]


def test_a_request_that_runs_out_of_time_interrupts_the_lanes_that_had_not_finished():
    pair = Pair(BareEnvironment, lanes=3, goal=100)
    pair.reset(seed=0)
    pair.shards[0].alarm.calls_left = 1
    with pytest.raises(DeadlineExceeded) as caught:
        pair.step([10, 10, 10])
    assert sorted(caught.value.lane_errors) == [1, 2]
    assert caught.value.partial.observation.position[0] == 10
    with pytest.raises(IllegalVerb, match=r"lane 1.*interrupted"):
        pair.client.step([1, 1, 1])
    found = fault(pair.plain(seq=3, step={"lanes": [1], "actions": [b""]}).status)
    assert (found.reason, found.code) == ("ILLEGAL_VERB", "FAILED_PRECONDITION")
    pair.client._seqs[0] += 1
    assert pair.step([1], lanes=[0]).observation.position.tolist() == [11]
    pair.reset(lanes=[1, 2], seed=[50, 60])
    assert pair.step([1, 1, 1]).observation.position.tolist() == [12, 51, 61]


def test_an_interrupted_reset_must_be_done_again():
    pair = Pair(BareEnvironment)
    pair.shards[0].alarm.calls_left = 0
    with pytest.raises(DeadlineExceeded):
        pair.reset()
    with pytest.raises(IllegalVerb):
        pair.client.step(1)
    pair.reset()
    assert pair.step(1).observation.steps == 1


def test_the_clients_budget_travels_and_the_servers_limit_caps_it():
    pair = Pair(BareEnvironment, limits=Limits(step_time_s=2.0))
    budgets = pair.shards[0].alarm.budgets
    budgets.clear()
    pair.reset()
    pair.step(1, timeout_s=0.25)
    pair.step(1, timeout_s=100.0)
    assert budgets == [2.0, 0.25, 2.0]


def test_the_environment_can_see_its_deadline():
    pair = Pair(BareEnvironment)
    pair.reset(timeout_s=5.0)
    assert 4.0 < pair.environments[0].time_left_s() <= 5.0


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_lanes_whose_frames_do_not_fit_into_a_message_are_refused_when_the_session_opens(mode: AutoresetMode):
    limits = Limits(message_bytes=20_000)
    fits = 8000 if mode is AutoresetMode.SAME_STEP else 16_000  # the last observation travels too
    pair = Pair(BareEnvironment, limits=limits, mode=mode, size=fits, goal=1)
    pair.reset()
    assert pair.step(1).terminated
    with pytest.raises(MessageTooLarge) as caught:
        Pair(BareEnvironment, limits=limits, mode=mode, size=fits + 5000)
    assert caught.value.field == "open.lanes"


def test_an_answer_that_would_be_too_large_is_refused_and_the_session_lives():
    pair = Pair(ProbeEnvironment, limits=Limits(message_bytes=20_000))
    pair.reset()
    with pytest.raises(MessageTooLarge, match="limit is 20000"):
        pair.step(blank("end", words=["x" * 1200] * 10))  # the words come back twice
    assert pair.step(blank("on")).observation.verb == "reset"
