"""`Pipeline`: which lanes are a batch, and requests whose results are fetched later."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from openenv_grpc.client import Pipeline, VectorEnvClient
from openenv_grpc.client.pipeline import split
from openenv_grpc.errors import EnvironmentFailed, IllegalVerb, InvalidArgument, SessionClosed
from openenv_grpc.specs import AutoresetMode
from tests.client.environments import SLOW
from tests.helpers.server import Server, running

Client = VectorEnvClient[Any, Any, Any]


@pytest.fixture(scope="module")
def slow() -> Iterator[Server]:
    with running(SLOW) as server:
        yield server


def connect(server: Server, lanes: int, shards: int, **arguments: Any) -> Client:
    return Client.connect(server.address, lanes, shards=shards, autoreset_mode=AutoresetMode.DISABLED, **arguments)


def shards_of(*sizes: int) -> list[range]:
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    return [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]


@pytest.mark.parametrize(
    ("shards", "count", "sizes"),
    [
        ([4], 1, [4]),
        ([4, 4], 1, [8]),
        ([4, 4], 2, [4, 4]),
        ([2, 1], 2, [2, 1]),
        ([3, 3, 2], 2, [3, 5]),
        ([2, 2, 2, 2], 2, [4, 4]),
        ([4], 2, [2, 2]),
        ([7], 3, [2, 2, 3]),
        ([4, 4], 3, [2, 2, 4]),
        ([4, 4], 4, [2, 2, 2, 2]),
        ([2, 1], 3, [1, 1, 1]),
        ([1, 5], 4, [1, 1, 2, 2]),
    ],
)
def test_batches_are_whole_shards_while_these_are_enough(shards: list[int], count: int, sizes: list[int]):
    assert split(shards_of(*shards), count) == shards_of(*sizes)


def test_every_lane_is_in_one_batch():
    for shards in ([1, 9], [9, 1, 1], [3, 2, 2, 1]):
        for count in range(1, sum(shards) + 1):
            batches = split(shards_of(*shards), count)
            assert len(batches) == count
            assert all(batches)
            assert [lane for batch in batches for lane in batch] == list(range(sum(shards)))


@pytest.mark.parametrize("transport", ["grpc", "local"])
@pytest.mark.parametrize("shards", [1, 2])
def test_results_are_fetched_in_any_order(slow: Server, shards: int, transport: str):
    with connect(slow, 5, shards, transport=transport) as client:
        pipeline = Pipeline(client, 3)
        begun = [pipeline.reset(list(batch)) for batch in pipeline.batches]
        for batch, fetch in reversed(list(zip(pipeline.batches, begun, strict=True))):
            assert fetch().lanes.tolist() == list(batch)
        for turn in range(5):
            sent = [pipeline.step([f"{lane}:{turn}" for lane in batch], list(batch)) for batch in pipeline.batches]
            order = [(turn + index) % 3 for index in range(3)]
            for index in order:
                lanes = list(pipeline.batches[index])
                result = sent[index]()
                assert result.lanes.tolist() == lanes
                assert list(result.observation.message) == [f"{lane}:{turn}" for lane in lanes]
                assert result.observation.length.tolist() == [turn + 1] * len(lanes)


def test_environments_work_before_anything_is_fetched(slow: Server):
    with connect(slow, 2, 1) as client:
        pipeline = Pipeline(client, 2)
        for fetch in [pipeline.reset([lane]) for lane in (0, 1)]:
            fetch()
        sent = [pipeline.step(["sleep 0.2"], [lane]) for lane in (0, 1)]
        time.sleep(0.6)
        thought = time.monotonic()
        assert all(fetch().infos[0]["ended"] < thought for fetch in sent)


def test_one_batch_is_lock_step(slow: Server):
    """Nothing is sent before it is fetched."""
    with connect(slow, 2, 2) as client:
        pipeline = Pipeline(client, 1)
        assert pipeline.batches == [range(2)]
        pipeline.reset([0, 1])()
        step = pipeline.step(["sleep 0", "x"], [0, 1])
        time.sleep(0.1)
        asked = time.monotonic()
        assert step().infos[0]["began"] > asked
        assert pipeline.step(["x"], [1])().lanes.tolist() == [1]


def test_what_goes_wrong(slow: Server):
    with connect(slow, 2, 2) as client:
        pipeline = Pipeline(client, 2)
        with pytest.raises(IllegalVerb, match="reset"):
            pipeline.step(["x"], [0])
        for fetch in [pipeline.reset([lane]) for lane in (0, 1)]:
            fetch()
        failing, other = pipeline.step(["raise no"], [0]), pipeline.step(["x"], [1])
        with pytest.raises(EnvironmentFailed, match="no"):
            failing()
        assert list(other().observation.message) == ["x"]
        late = pipeline.step(["x"], [1])
    with pytest.raises(SessionClosed):
        late()


@pytest.mark.parametrize("in_flight", [0, 3])
def test_no_number_of_batches(slow: Server, in_flight: int):
    with connect(slow, 2, 1) as client, pytest.raises(InvalidArgument, match="expected 1 to num_envs, which is 2"):
        Pipeline(client, in_flight)


def test_more_batches_than_the_server_takes():
    with running(SLOW, in_flight=2) as server, connect(server, 6, 2) as client:
        assert len(Pipeline(client, 4).batches) == 4
        with pytest.raises(InvalidArgument, match="5: a shard would get 3 requests at a time, the server's limit is 2"):
            Pipeline(client, 5)
