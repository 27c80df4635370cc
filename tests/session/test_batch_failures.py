"""Batches that raise, run out of time, answer nonsense or cannot be: errors of all their lanes, naming the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from openenv_grpc.environment import Batch, Environment
from openenv_grpc.errors import DeadlineExceeded, EnvironmentFailed, IllegalVerb, InvalidArgument
from openenv_grpc.specs import AutoresetMode
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.batched import BatchedBareEnvironment, BatchedProbeEnvironment
from tests.environments_for_tests.probe import blank
from tests.helpers.pair import Pair

SAME = AutoresetMode.SAME_STEP


def test_an_exception_fails_all_lanes_of_the_request():
    pair = Pair(BatchedBareEnvironment, lanes=3)
    pair.reset(seed=0)
    with pytest.raises(EnvironmentFailed) as caught:
        pair.step([1, 1, 9])
    assert caught.value.message == "RuntimeError: as told"
    assert caught.value.metadata == {"exception": "RuntimeError", "lanes": "0, 1, 2"}
    with pytest.raises(EnvironmentFailed) as caught:
        pair.step([1, 9], lanes=[1, 2])
    assert caught.value.metadata["lanes"] == "1, 2"
    assert pair.step([0, 0, 0]).observation.steps.tolist() == [2, 3, 1]


def test_an_exception_in_a_chunk_keeps_the_steps_before_it():
    pair = Pair(BatchedBareEnvironment, lanes=2, goal=100)
    pair.reset(seed=0)
    with pytest.raises(EnvironmentFailed) as caught:
        pair.step(np.array([[1, 2], [1, 9], [1, 1]]), chunk=3)
    assert sorted(caught.value.lane_errors) == [0, 1]
    answer = pair.plain(
        seq=3, step={"chunk": 3, "actions": [b"\x08\x02", b"\x08\x04", b"\x08\x02", b"\x08\x12"] + [b""] * 2}
    )
    assert list(answer.step.executed) == [1, 1]
    assert [failure.lane for failure in answer.step.failures] == [0, 1]


def test_an_interruption_is_one_of_all_lanes_of_the_request():
    pair = Pair(BatchedBareEnvironment, lanes=3)
    pair.reset(seed=0)
    pair.shards[0].alarm.calls_left = 0
    with pytest.raises(DeadlineExceeded, match="lanes 0, 2, stepped together"):
        pair.step([1, 1], lanes=[0, 2])
    with pytest.raises(IllegalVerb, match="lane 0"):
        pair.step([1, 1, 1])
    assert pair.step([1], lanes=[1]).observation.position.tolist() == [2]
    pair.reset(seed=0, lanes=[0, 2])
    assert pair.step([1, 1, 1]).observation.position.tolist() == [1, 3, 2]


WRONG: dict[str, tuple[Mapping[str, Any], str]] = {
    "another dtype": ({"observation": {"steps": np.zeros(2)}}, "observation.steps"),
    "another shape": ({"observation": {"pixels": np.zeros((4, 2), np.uint8)}}, "observation.pixels"),
    "one row too many": ({"observation": {"position": np.zeros(3, np.int64)}}, "observation.position"),
    "a list": ({"observation": {"position": [0, 0]}}, "observation.position"),
    "a missing column": ({"observation": {"position": None}}, "observation.position"),
    "rewards of another shape": ({"reward": np.zeros((2, 1))}, "reward"),
    "rewards that are text": ({"reward": np.array(["a", "b"])}, "reward"),
    "one reward for all": ({"reward": 0.0}, "reward"),
    "ends that are numbers": ({"terminated": np.zeros(2, np.int8)}, "terminated"),
    "ends of another shape": ({"truncated": np.zeros(1, bool)}, "truncated"),
    "an info that is none": ({"info": ["a", "b"]}, "info"),
    "an info of another length": ({"info": {"a": np.zeros(3)}}, "info.a"),
    "one info for all": ({"info": {"a": 3}}, "info.a"),
    "an info that cannot be sent": ({"info": {"a": [object(), 1]}}, "info.a"),
    "a name that is a number": ({"info": {1: np.zeros(2)}}, "info"),
    "a name that cannot be sent": ({"info": {"\ud800": np.zeros(2)}}, "info"),
    "a mask of two axes": ({"info": {"a": np.zeros(2), "_a": np.zeros((2, 2), bool)}}, "info._a"),
    "a number too wide": ({"info": {"a": np.zeros(2, np.longdouble)}}, "info.a"),
    "an observation that is none": ({"observation": 3}, "observation"),
    "finals that are none": ({"final_lanes": None}, "final_lanes"),
    "finals of two axes": ({"final_lanes": np.zeros((1, 1), int)}, "final_lanes"),
    "a mask of numbers": ({"info": {"a": np.zeros(2), "_a": np.zeros(2)}}, "info._a"),
    "finals of nobody": ({"final_lanes": [0]}, "final_lanes"),
    "no finals of an end": ({"terminated": np.array([True, False])}, "final_lanes"),
    "finals without columns": (
        {"terminated": np.array([True, False]), "final_lanes": [0]},
        "final_observation.position",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_answer_names_the_field(what: str):
    changes, field = WRONG[what]
    pair = Pair(BatchedBareEnvironment, lanes=2, shards=1, mode=SAME)
    pair.reset(seed=0)
    batch = BatchedBareEnvironment.batches[0]
    good = batch.step

    def wrong(lanes: Sequence[int], actions: Mapping[str, Any]) -> Any:
        result = good(lanes, actions)
        fields = dict(vars(result)) | dict(changes)
        if isinstance(fields["observation"], dict):
            columns = dict(result.observation) | dict(changes.get("observation", {}))
            fields["observation"] = {name: column for name, column in columns.items() if column is not None}
        return type(result)(**fields)

    batch.step = wrong  # type: ignore[method-assign]
    with pytest.raises(EnvironmentFailed) as caught:
        pair.step([1, 1])
    assert caught.value.field == field
    batch.step = good  # type: ignore[method-assign]
    assert pair.step([1, 1]).observation.steps.tolist() == [2, 2]


@pytest.mark.parametrize("given", [None, (1, 2), {}])
def test_an_answer_that_is_no_batch_result(given: Any):
    pair = Pair(BatchedBareEnvironment, lanes=2, shards=1)
    BatchedBareEnvironment.batches[0].reset = lambda *_, **__: given  # type: ignore[method-assign]
    with pytest.raises(EnvironmentFailed, match="expected a BatchResult") as caught:
        pair.reset()
    assert caught.value.field == "observation"


def test_numbers_out_of_bounds_and_lists_of_another_length():
    pair = Pair(BatchedProbeEnvironment, lanes=2)
    pair.reset()
    batch = pair.environments[0].batch
    columns = batch.columns
    batch.columns = lambda results, out: columns(results, out) | {"words": [["a"]]}
    with pytest.raises(EnvironmentFailed, match="1 values") as caught:
        pair.step([blank("on")] * 2)
    assert caught.value.field == "observation.words"


def test_a_batch_is_closed_once():
    pair = Pair(BatchedBareEnvironment, lanes=3)
    for environment in pair.environments:
        environment.close()
    assert BatchedBareEnvironment.batches[0].closed == 1


class Offering(BareEnvironment):
    """Offers what it is told to."""

    offer: Any = None

    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]) -> Any:
        return cls.offer(lanes, autoreset_mode, options)


def offering(offer: Any) -> type[Environment[Any, Any, Any]]:
    return type("Offering", (Offering,), {"offer": staticmethod(offer)})


def test_what_a_batch_is_asked_for():
    asked = []
    pair = Pair(offering(lambda *given: asked.append(given)), lanes=3, shards=2, mode=SAME, goal=7)
    assert asked == [(1, SAME, {"goal": 7}), (2, SAME, {"goal": 7})]
    assert [environment.goal for environment in pair.environments] == [7, 7, 7]  # None: lanes one by one


def test_batches_that_cannot_be():
    def refuse(*_: Any) -> Any:
        message = "no"
        raise InvalidArgument(message, field="goal")

    def fail(*_: Any) -> Any:
        message = "no engine"
        raise RuntimeError(message)

    class Bare(Batch[Any]):
        reset = step = state = None  # type: ignore[assignment]

    for offer, match in (
        (fail, "cannot be built: RuntimeError: no engine"),
        (lambda *_: 3, "gave int, expected a Batch"),
        (lambda *_: Bare(), r"Bare has no save\(lane\)"),
    ):
        with pytest.raises(EnvironmentFailed, match=match):
            Pair(offering(offer), lanes=2)
    with pytest.raises(InvalidArgument) as caught:
        Pair(offering(refuse), lanes=2)
    assert caught.value.field == "options.goal"
