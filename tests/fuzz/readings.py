"""What a caller sees of a call, in the words of the model."""

from __future__ import annotations

from typing import Any

from google.rpc import status_pb2

from openenv_grpc.environment import StepResult
from openenv_grpc.errors import OpenEnvError, from_status
from openenv_grpc.session.calls import Call
from openenv_grpc.session.results import VectorResult
from tests.fuzz.model import Result, Row


def name_of(error: Any) -> str:
    """The name of an error's class, the error being on the wire or not."""
    return type(from_status(error) if isinstance(error, status_pb2.Status) else error).__name__


def read(call: Call, vector: bool) -> tuple[Result, list[bytes]]:
    """A call's result, and the snapshots that it holds."""
    try:
        result = call.result()
    except OpenEnvError as error:
        return _error(error), []
    if call.verb == "restore":
        assert result is None
        return Result(), []
    if call.verb in ("state", "snapshot"):
        items = result if vector else [result]
        if call.verb == "snapshot":
            return Result(items=[_snapshot(data) for data in items]), items
        return Result(items=[(state.position, state.episode) for state in items]), []
    return _rows(result), []


def _error(error: OpenEnvError) -> Result:
    result = Result() if error.partial is None else _rows(error.partial)
    result.error = name_of(error)
    result.lane_errors = {lane: name_of(failure) for lane, failure in error.lane_errors.items()}
    return result


def _snapshot(data: bytes) -> tuple[Any, ...]:
    """As FussyEnvironment writes it, behind the byte that says whether the episode has ended."""
    numbers = [int(number) for number in data[1:].split()]
    return data[0] == 1, *numbers[:3], numbers[3] == 1


def _rows(result: Any) -> Result:
    if isinstance(result, VectorResult):
        return _vector(result)
    results = [result] if isinstance(result, StepResult) else result
    rows = [_row(one.observation, one.reward, one.terminated, one.truncated, one.info) for one in results]
    return Result(lanes=[0], rows=[rows], executed=None if isinstance(result, StepResult) else [len(rows)])


def _vector(result: VectorResult[Any]) -> Result:
    lanes, chunk = result.lanes.tolist(), 0 if result.executed is None else len(result.reward)
    rows: list[list[Row]] = [[] for _ in lanes]
    for at, info in enumerate(result.infos):
        row = at // len(lanes), at % len(lanes)
        here = row if chunk else row[1]
        outcome = (float(result.reward[here]), bool(result.terminated[here]), bool(result.truncated[here]))
        rows[row[1]].append(_row(_At(result.observation, here), *outcome, info))
    finals = []
    for at, (lane, info) in enumerate(zip(result.final_lanes.tolist(), result.final_infos, strict=True)):
        finals.append((lane, _row(_At(result.final_observation, at), 0.0, False, False, info)))
    executed = None if result.executed is None else result.executed.tolist()
    return Result(lanes=lanes, rows=rows, executed=executed, finals=finals)


class _At:
    """One row of an observation's columns."""

    def __init__(self, columns: Any, at: Any) -> None:
        self.position, self.steps = int(columns.position[at]), int(columns.steps[at])
        self.pixels = columns.pixels[at]


def _row(observation: Any, reward: float, terminated: bool, truncated: bool, info: Any) -> Row:
    pixels = [observation.position % 256] * 2
    assert observation.pixels.tolist() == pixels
    assert not observation.pixels.flags.writeable, "results are read-only"
    assert set(info) <= {"episode"}
    return Row(observation.position, observation.steps, reward, terminated, truncated, info.get("episode"))
