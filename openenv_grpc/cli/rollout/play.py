"""The loop of a rollout: a policy's actions in, the ledger's episodes out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.cli.rollout.policies import Turn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openenv_grpc.cli.rollout.episodes import Ledger
    from openenv_grpc.cli.rollout.policies import Policy
    from openenv_grpc.client import VectorEnvClient
    from openenv_grpc.session.results import VectorResult

    Client = VectorEnvClient[Any, Any, Any]


def play(client: Client, policy: Policy, ledger: Ledger) -> Iterator[None]:
    """Play all episodes of a ledger, on a session with autoreset off; yields after every step.

    Raises:
        OpenEnvError: The environment failed, or the policy's actions are wrong.
    """
    result: VectorResult[Any] | None = _reset(client, ledger, list(ledger.running))
    while result is not None:
        lanes = list(ledger.running)
        actions = policy(_turn(result, ledger))
        result = client.step(actions, lanes=None if len(lanes) == client.num_envs else lanes)
        outcome = result.reward.tolist(), result.terminated.tolist(), result.truncated.tolist()
        ended = ledger.record(lanes, *outcome)
        yield
        if ended:
            result = _renew(client, ledger, result, ended)


def _reset(client: Client, ledger: Ledger, lanes: list[int]) -> VectorResult[Any]:
    seeds = [ledger.running[lane].seed for lane in lanes]
    return client.reset(seed=None if None in seeds else seeds, lanes=lanes)


def _renew(client: Client, ledger: Ledger, result: VectorResult[Any], ended: list[int]) -> VectorResult[Any] | None:
    """Begin the next episodes of lanes whose episodes have ended, and drop the lanes that have none; None if all do."""
    again = [lane for lane in ended if lane in ledger.running]
    kept = [row for row, lane in enumerate(result.lanes.tolist()) if lane not in ended]
    fresh = _reset(client, ledger, again) if again else None
    if fresh is None:
        return _take(result, kept) if kept else None
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
    episodes = list(ledger.running.values())
    return Turn(
        observation=result.observation,
        lanes=result.lanes,
        episodes=np.array([episode.index for episode in episodes], np.int64),
        steps=np.array([episode.length for episode in episodes], np.int64),
        infos=result.infos,
    )
