"""Requests on their way: lanes that were sent to, and the rows that came back and were not received yet.

The law of this file: a lane that was sent to is delivered exactly once, in a batch or in an error. Rows stay here until
they are delivered in one statement, so that Ctrl-C at any moment loses none before that.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.client.batches import Batch, batch_of, join
from openenv_grpc.client.shapes import take
from openenv_grpc.errors import IllegalVerb, OpenEnvError
from openenv_grpc.session.results import VectorResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from openenv_grpc.client.shapes import ObservationShape
    from openenv_grpc.client.sync import VectorEnvClient
    from openenv_grpc.session.calls import Call

    Begin = Callable[[list[int], NDArray[np.int64]], Call]


@dataclass(frozen=True)
class Answer:
    """What came back for a request: its rows, unless all of its lanes failed, and the errors of lanes that did."""

    order: int
    batch: Batch | None
    failures: Mapping[int, OpenEnvError]


@dataclass
class Request:
    """One call that was sent, for lanes of one shard; `taken` of them have been delivered."""

    call: Call
    lanes: NDArray[np.int64]
    taken: int = 0
    answer: Answer | None = field(default=None)


class Requests:
    """All requests of one session that are not delivered. `post` and `take` may be called from two threads.

    Args:
        client: The session.
        shape: Its observations.
        batch_size: Lanes that `take` delivers.
        copy: Whether the client's results stay as they are.
    """

    def __init__(
        self, client: VectorEnvClient[Any, Any, Any], shape: ObservationShape, batch_size: int, *, copy: bool
    ) -> None:
        """Nothing is under way."""
        self._copy = copy
        self._client = client
        self._core = client._core
        self._batch_size = batch_size
        self._shape = shape
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._requests: list[Request] = []
        self._calls: list[Call] = []
        self._order = itertools.count()

    @property
    def waiting(self) -> bool:
        """Whether any lane is due."""
        return bool(self._requests)

    @property
    def due(self) -> NDArray[np.bool_]:
        """The lanes that were sent to and not delivered yet: bool (num_envs,)."""
        mask = np.zeros(self._client.num_envs, np.bool_)
        for request in list(self._requests):
            mask[request.lanes[request.taken :]] = True
        return mask

    def post(self, verb: str, lanes: NDArray[np.int64], begin: Begin, each: Any) -> None:
        """Send requests for these lanes, each for a group of them, after all that can be wrong was checked.

        Args:
            verb: reset or step.
            lanes: Different lanes, in any order.
            begin: Makes the call for some of them: their increasing numbers, and their positions in `lanes`.
            each: For a step one action for each lane, as `ActionShape.columns` makes them; for a reset one seed for
                each, or None.

        Raises:
            IllegalVerb: An answer of one of them is due, or the verb is not legal now.
            InvalidArgument: A wrong action or seed.
            Unsupported: Seeds that the environment cannot honour.
            ServerFull: So many requests may not wait for their answers.
        """
        late = np.flatnonzero(self.due[lanes])
        if len(late):
            msg = f"the answer of lane {lanes[late[0]]} is still due: recv() it before the next {verb}"
            raise IllegalVerb(msg)
        order = np.argsort(lanes)
        increasing = lanes[order]
        groups = list(self._groups(increasing))
        ordered = None if each is None else take(each, order)
        if len(groups) > 1:  # a single call checks itself
            self._core.check(verb, increasing.tolist(), [shard for shard, _ in groups], ordered)
        for _, rows in groups:
            self._send(increasing[rows], order[rows], begin)

    def _groups(self, lanes: NDArray[np.int64]) -> Iterator[tuple[int, slice]]:
        """Shard and rows of each request for these increasing lanes: at most a batch, and within one shard."""
        for shard, members in enumerate(self._core.shards):
            start, end = np.searchsorted(lanes, (members.start, members.stop)).tolist()
            for low in range(start, end, self._batch_size):
                yield shard, slice(low, min(low + self._batch_size, end))

    def _send(self, lanes: NDArray[np.int64], rows: NDArray[np.int64], begin: Begin) -> None:
        def keep() -> Call:
            request = Request(begin(lanes.tolist(), rows), lanes)
            with self._lock:
                self._requests.append(request)
                self._calls.append(request.call)
            return request.call

        self._client._post(keep)

    def take(self) -> tuple[Batch | None, dict[int, OpenEnvError]]:
        """Wait for the first lanes of a batch, and deliver them: their rows, and the errors of those that failed.

        Raises:
            IllegalVerb: Fewer are under way.
        """
        count = self._batch_size
        with self._turn:
            due = int(self.due.sum())
            if due < count:
                under_way = f"only {due} are under way" if due else "nothing is under way"
                msg = f"a batch has {count} lanes and {under_way}: call async_reset() or send() for more lanes first"
                raise IllegalVerb(msg)
            while sum(len(request.lanes) - request.taken for request in self._answered()) < count:
                self._read(self._client._wait_first(self._calls))
            return self._deliver(count)

    def _answered(self) -> list[Request]:
        found = [(request.answer.order, request) for request in self._requests if request.answer is not None]
        return [request for _, request in sorted(found, key=lambda pair: pair[0])]

    def _read(self, call: Call) -> None:
        """Keep what a call that is done has answered."""
        request = next(request for request in self._requests if request.call is call)
        if request.answer is None:
            failures: Mapping[int, OpenEnvError] = {}
            try:
                result = call.result()
            except OpenEnvError as error:
                failures = error.lane_errors or dict.fromkeys(request.lanes.tolist(), error)
                result = error.partial
            batch = batch_of(result, self._shape) if isinstance(result, VectorResult) else None
            if batch is not None and not self._copy and (len(batch.lanes) != self._batch_size or self._answered()):
                batch = batch.copied()  # it waits for others, whose answers may be written over it
            request.answer = Answer(next(self._order), batch, failures)
        self._calls.remove(call)

    def _deliver(self, count: int) -> tuple[Batch | None, dict[int, OpenEnvError]]:
        parts: list[Batch] = []
        failures: dict[int, OpenEnvError] = {}
        rests: dict[int, Request] = {}
        for request in self._answered():
            stop = min(request.taken + count, len(request.lanes))
            rows, answer = slice(request.taken, stop), request.answer
            lanes = set(request.lanes[rows].tolist())
            count -= len(lanes)
            if answer is not None and answer.batch is not None:
                parts.append(answer.batch.part(rows))
            failures |= {lane: error for lane, error in (answer.failures if answer else {}).items() if lane in lanes}
            rests[id(request)] = replace(request, taken=stop)
            if not count:
                break
        batch = join(parts) if parts else None
        with self._lock:
            left = [rests.get(id(request), request) for request in self._requests]
            self._requests = [request for request in left if request.taken < len(request.lanes)]
        return batch, failures
