"""`Pipeline`: several batches of a session's lanes, each with a request on its way while the caller acts in another.

It stands beside `VectorEnv.send` and `recv`: here results are the client's typed columns, any of a batch's lanes can be
reset or stepped, and the caller chooses which batch to wait for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.session.results import VectorResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.client.sync import VectorEnvClient
    from openenv_grpc.session.calls import Call

Fetch = Callable[[], VectorResult[Any]]
"""Waits for a request's answer; to be called once. No clock runs before that. Raises what the request would raise."""

SequenceT = TypeVar("SequenceT", range, "list[range]")


class Pipeline:
    """A session's lanes in batches, each of which is reset and stepped while others are under way.

    A batch is whole shards while there are as many of them as batches: its answer is used as it came, and environments
    that step the lanes of a shard together can be stepped. A single batch is in lock step: its requests are sent when
    they are fetched, which lets client and worker take turns on one core.

    Args:
        client: An open session. Its other calls may be used as well.
        in_flight: Number of batches, 1 to the number of lanes.

    Attributes:
        batches: The lanes of each batch.

    Raises:
        InvalidArgument: A number of batches that is none, or so large that a shard would get more requests than the
            server lets wait.
    """

    def __init__(self, client: VectorEnvClient[Any, Any, Any], in_flight: int) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._core = client._core
        if not 1 <= in_flight <= client.num_envs:
            msg = f"{in_flight}, expected 1 to num_envs, which is {client.num_envs}"
            raise InvalidArgument(msg, field="in_flight")
        self.batches = split(self._core.shards, in_flight)
        most = max(sum(_meet(shard, batch) for batch in self.batches) for shard in self._core.shards)
        limit = self._core.limits.in_flight
        if most > limit:
            msg = f"{in_flight}: a shard would get {most} requests at a time, the server's limit is {limit}"
            raise InvalidArgument(msg, field="in_flight")

    def reset(self, lanes: Sequence[int], *, seed: Sequence[int] | None = None) -> Fetch:
        """Begin new episodes in lanes of one batch, and don't wait.

        Args:
            lanes: Increasing lane numbers.
            seed: One per lane named.

        Raises:
            LocalError: The call is wrong; nothing was sent. A single batch's `Fetch` raises it instead.
        """
        if len(self.batches) == 1:
            return partial(self._client.reset, seed=seed, lanes=lanes)
        return self._post(lambda: self._core.reset(seed, None, lanes))

    def step(self, actions: Any, lanes: Sequence[int]) -> Fetch:
        """Take one action in lanes of one batch, and don't wait.

        Args:
            actions: For each of these lanes one, in any form that `VectorEnvClient.step` takes.
            lanes: Increasing lane numbers.

        Raises:
            LocalError: As `reset`.
        """
        if len(self.batches) == 1:
            return partial(self._client.step, actions, lanes=None if len(lanes) == self._client.num_envs else lanes)
        return self._post(lambda: self._core.step(actions, lanes))

    def _post(self, begin: Callable[[], Call]) -> Fetch:
        call = self._client._post(begin)

        def fetch() -> VectorResult[Any]:
            self._client._wait_first((call,))
            result: VectorResult[Any] = call.result()
            return result

        return fetch


def split(shards: Sequence[range], count: int) -> list[range]:
    """The lanes of so many batches, in order: whole shards while these are enough, otherwise shards cut up."""
    if count <= len(shards):
        return [range(part[0].start, part[-1].stop) for part in _cut(list(shards), count)]
    pieces = [1] * len(shards)
    while sum(pieces) < count:
        widest = max(range(len(shards)), key=lambda shard: len(shards[shard]) / pieces[shard])
        pieces[widest] += 1
    return [part for shard, number in zip(shards, pieces, strict=True) for part in _cut(shard, number)]


def _cut(row: SequenceT, count: int) -> list[SequenceT]:
    """A row in so many parts, as even as can be."""
    return [row[len(row) * part // count : len(row) * (part + 1) // count] for part in range(count)]


def _meet(one: range, other: range) -> bool:
    return one.start < other.stop and other.start < one.stop
