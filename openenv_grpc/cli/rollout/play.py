"""The loop of a rollout: a policy's actions in, the ledger's episodes out.

The law of this file: batches take turns in a fixed order, whichever of them has answered first. Which episodes count
is the ledger's business, and depends on no timing either way. But a policy may have a memory, or a generator of its
own: with a fixed order the same seed gives it the same turns, and so the same rollout. The price is that the policy
waits for a late batch although another one may have answered.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.cli.rollout.policies import Turn

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from openenv_grpc.cli.rollout.episodes import Ledger
    from openenv_grpc.cli.rollout.policies import Policy
    from openenv_grpc.client import Pipeline
    from openenv_grpc.client.pipeline import Fetch
    from openenv_grpc.session.results import VectorResult


def play(pipeline: Pipeline, policy: Policy, ledger: Ledger) -> Iterator[None]:
    """Play all episodes of a ledger, on a session with autoreset off; yields after every answer.

    Raises:
        OpenEnvError: The environment failed, or the policy's actions are wrong.
    """
    players = [_play_batch(pipeline, policy, ledger, list(lanes)) for lanes in pipeline.batches]
    under_way = deque([(player, next(player)) for player in players])
    while under_way:
        player, fetch = under_way.popleft()
        result = fetch()
        with contextlib.suppress(StopIteration):  # its lanes have played their share
            under_way.append((player, player.send(result)))
        yield


def _play_batch(
    pipeline: Pipeline, policy: Policy, ledger: Ledger, lanes: list[int]
) -> Generator[Fetch, VectorResult[Any], None]:
    """Play the episodes of one batch's lanes: yields each request that it has sent, and is sent the result."""
    result: VectorResult[Any] | None = yield _reset(pipeline, ledger, lanes)
    while result is not None:
        lanes = result.lanes.tolist()
        actions = policy(_turn(result, ledger))
        result = yield pipeline.step(actions, lanes)
        outcome = result.reward.tolist(), result.terminated.tolist(), result.truncated.tolist()
        ended = ledger.record(lanes, *outcome)
        if ended:
            result = yield from _renew(pipeline, ledger, result, ended)


def _reset(pipeline: Pipeline, ledger: Ledger, lanes: list[int]) -> Fetch:
    seeds = [seed for lane in lanes if (seed := ledger.running[lane].seed) is not None]
    return pipeline.reset(lanes, seed=seeds or None)


def _renew(
    pipeline: Pipeline, ledger: Ledger, result: VectorResult[Any], ended: list[int]
) -> Generator[Fetch, VectorResult[Any], VectorResult[Any] | None]:
    """Begin the next episodes of lanes whose episodes have ended, and drop the lanes that have none; None if all do."""
    again = [lane for lane in ended if lane in ledger.running]
    kept = [row for row, lane in enumerate(result.lanes.tolist()) if lane not in ended]
    if not again:
        return _take(result, kept) if kept else None
    fresh = yield _reset(pipeline, ledger, again)
    return _merge(_take(result, kept), fresh) if kept else fresh


def _take(result: VectorResult[Any], rows: Sequence[int]) -> VectorResult[Any]:
    """Some rows of a result, in this order."""
    columns = result.observation
    fields = {field.name: getattr(columns, field.name) for field in dataclasses.fields(columns)}
    return dataclasses.replace(
        result,
        observation=type(columns)(**{name: _pick(column, rows) for name, column in fields.items()}),
        infos=[result.infos[row] for row in rows],
        lanes=result.lanes[list(rows)],
    )


def _pick(column: Any, rows: Sequence[int]) -> Any:
    return column[list(rows)] if isinstance(column, np.ndarray) else [column[row] for row in rows]


def _merge(one: VectorResult[Any], two: VectorResult[Any]) -> VectorResult[Any]:
    """The rows of two results, in order of their lanes."""
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(one.observation):
        a, b = getattr(one.observation, field.name), getattr(two.observation, field.name)
        columns[field.name] = np.concatenate([a, b]) if isinstance(a, np.ndarray) else [*a, *b]
    both = dataclasses.replace(
        one,
        observation=type(one.observation)(**columns),
        infos=[*one.infos, *two.infos],
        lanes=np.concatenate([one.lanes, two.lanes]),
    )
    return _take(both, np.argsort(both.lanes).tolist())


def _turn(result: VectorResult[Any], ledger: Ledger) -> Turn:
    episodes = [ledger.running[lane] for lane in result.lanes.tolist()]
    return Turn(
        observation=result.observation,
        lanes=result.lanes,
        episodes=np.array([episode.index for episode in episodes], np.int64),
        steps=np.array([episode.length for episode in episodes], np.int64),
        infos=result.infos,
    )
