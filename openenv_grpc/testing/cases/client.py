"""The library's own client: it must get along with every server, and see what the bare protocol shows.

What it refuses by itself, and how it is closed, concerns no server and is not tried here.
"""

from __future__ import annotations

import asyncio
import keyword
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

import openenv_grpc as oe
from openenv_grpc.testing.case import STREAM, Violation, case
from openenv_grpc.testing.messages import DTYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.testing.rows import Row

STEPS = 8
THREADS = 4
GENEROUS_S = 10.0
"""A budget that no slow action uses up."""
NEXT_STEP = oe.AutoresetMode.NEXT_STEP


def _connect(peer: Peer) -> Any:
    target = peer.target
    return peer.keep(oe.connect(target.address, autoreset_mode=NEXT_STEP, token=target.token, **target.options))


def _of_row(row: Row) -> tuple[Any, ...]:
    """A row of the bare protocol: its columns and how the step ended."""
    columns = {name: value.tobytes() for name, value in row.columns.items()}
    return columns, row.reward, row.terminated, row.truncated


def _of_result(session: Session, result: Any, lane: int | None = None) -> tuple[Any, ...]:
    """The same of a client's result, or of one lane of a vector's."""

    def pick(value: Any) -> Any:
        return value if lane is None else value[lane]

    columns = {}
    for column in session.observations.columns:
        attribute = column.name + "_" * keyword.iskeyword(column.name)
        value = pick(getattr(result.observation, attribute))
        columns[column.name] = np.asarray(value, DTYPES[column.dtype]).tobytes()
    return columns, float(pick(result.reward)), bool(pick(result.terminated)), bool(pick(result.truncated))


def _compare(wanted: Sequence[tuple[Any, ...]], found: Sequence[tuple[Any, ...]]) -> None:
    for index, (one, two) in enumerate(zip(wanted, found, strict=True)):
        if one != two:
            names = [name for name in one[0] if one[0][name] != two[0][name]] or ["outcome"]
            msg = "results of the library's client that are the rows of the bare protocol"
            raise Violation(msg, f"result {index} with another {', '.join(names)}")


@case(faces=STREAM, needs=("seeds",))
def the_library_sees_the_same(peer: Peer) -> None:
    """The library's client gets the results that the bare protocol gives with the same seed and actions."""
    session, client = peer.begin(seed=96), _connect(peer)
    actions = [session.actions.sample() for _ in range(STEPS)]
    rows = [session.reset([96]).row, *session.trace(actions)]
    results = [client.reset(seed=96), *(client.step(action) for action in actions[: len(rows) - 1])]
    _compare([_of_row(row) for row in rows], [_of_result(session, result) for result in results])


@case(faces=STREAM, needs=("seeds", "lanes"))
def a_vector_of_the_library_sees_the_same(peer: Peer) -> None:
    """The library's client of two lanes, on as many shards as there may be, gets each lane's own results."""
    session = peer.begin(seed=99, lanes=2)
    vector = oe.connect_vec(
        peer.target.address,
        2,
        shards=min(2, peer.target.limits.shards),
        autoreset_mode=NEXT_STEP,
        token=peer.target.token,
        **peer.target.options,
    ).client
    peer.keep(vector)
    actions = [session.actions.sample() for _ in range(2)]
    answers = [session.reset([99, 99]), session.step(actions)]
    results = [vector.reset(seed=[99, 99]), vector.step(actions)]
    for lane in (0, 1):
        found = [_of_result(session, result, lane) for result in results]
        _compare([_of_row(answer.rows[lane]) for answer in answers], found)


@case(faces=STREAM, needs=("pipelining", "seeds"))
def threads_share_a_client(peer: Peer) -> None:
    """Steps that several threads take with one client of the library are all taken, and each answered once."""
    session, client = peer.begin(seed=97), _connect(peer)
    action = session.actions.sample()
    wanted = [_of_row(row) for row in session.trace([action] * STEPS)]
    client.reset(seed=97)
    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(client.step, [action] * len(wanted)))
    found = [_of_result(session, result) for result in results]
    if Counter(map(str, found)) != Counter(map(str, wanted)):
        msg = f"the {len(wanted)} results of one thread, in any order"
        raise Violation(msg, f"{len(found)} others")


@case(faces=STREAM, needs=("seeds", "slow_action"))
def a_cancelled_task_leaves_nothing_behind(peer: Peer) -> None:
    """After a step whose task was cancelled in the middle, the library's asyncio client gets the next step's result."""
    session = peer.begin(seed=98)
    slow, action = session.act(peer.target.hints.slow_action or {}), session.actions.sample()
    session.send_slow(timeout_ms=int(GENEROUS_S * 1000))().ok()
    wanted = session.step([action]).row

    async def play() -> Any:
        target = peer.target
        connection = oe.aio.connect(target.address, autoreset_mode=NEXT_STEP, token=target.token, **target.options)
        async with connection as client:
            await client.reset(seed=98)
            task = asyncio.ensure_future(client.step(slow, timeout_s=GENEROUS_S))
            await asyncio.sleep(0.1)
            task.cancel()
            return await client.step(action)

    result = asyncio.run(asyncio.wait_for(play(), peer.target.answer_timeout_s))
    _compare([_of_row(wanted)], [_of_result(session, result)])
