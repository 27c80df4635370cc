"""A client that knows nothing but the .proto files: run as a program of its own, with an address as its argument.

Everything here is what a reader of session.proto would write in any language: whole messages, header_size unset,
columns at multiples of 64 bytes.
"""

from __future__ import annotations

import importlib.util
import queue
import sys

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2
from openenv_bare.v1 import bare_pb2

from openenv_grpc.v1 import environment_pb2, environment_pb2_grpc, session_pb2

Request = session_pb2.SessionRequest


def aligned(size):
    return (size + 63) // 64 * 64


def read_columns(payload, rows, pixels, at=0, outcome=True):
    """Columns of a BareObservation, with the outcome's in front; and where they end."""
    specs = [("reward", "<f8", ()), ("terminated", "?", ()), ("truncated", "?", ())] if outcome else []
    specs += [("position", "<i8", ()), ("steps", "<i8", ()), ("pixels", "u1", (pixels,))]
    columns, end = {}, at
    for name, dtype, shape in specs:
        start = at + aligned(end - at)
        count = rows * int(np.prod(shape, dtype=int))
        columns[name] = np.frombuffer(payload, dtype, count, start).reshape(rows, *shape)
        end = start + columns[name].nbytes
    return columns, end


def actions(*moves):
    return [bare_pb2.BareAction(move=move).SerializeToString() for move in moves]


def observations(answer):
    return [bare_pb2.BareObservation.FromString(data) for data in answer.observations]


def opening(lanes=1, **fields):
    options = fields.pop("options", {})
    message = session_pb2.Open(lanes=lanes, protocol_revision=1, **fields)
    for name, value in options.items():
        message.options[name].integer = value
    return message


class Stream:
    """One session's stream."""

    def __init__(self, stub):
        self.queue = queue.SimpleQueue()
        self.call = stub.Session(iter(self.queue.get, None), timeout=20)

    def ask(self, **fields):
        self.queue.put(Request(**fields))
        return next(self.call)

    def end(self):
        self.queue.put(None)
        assert list(self.call) == []


def check_describe(stub):
    answer = stub.Describe(environment_pb2.DescribeRequest(), timeout=10)
    assert answer.protocol_revision == 1
    assert [column.name for column in answer.environment.session.observation] == ["position", "steps", "pixels"]
    assert list(answer.environment.session.observation[2].shape) == [4]


def check_columns_on_a_stream(stub):
    stream = Stream(stub)
    opened = stream.ask(open=opening(3, shards=2, options={"size": 70, "goal": 5})).open
    assert [(shard.first_lane, shard.lanes) for shard in opened.shards] == [(0, 1), (1, 2)]
    assert [list(column.shape) for column in opened.spec.observation] == [[], [], [70]]
    seeds = [session_pb2.Seed(value=1), session_pb2.Seed(value=-2)]
    answer = stream.ask(shard=1, seq=1, reset=session_pb2.Reset(seeds=seeds))
    assert answer.WhichOneof("result") == "reset"
    columns, end = read_columns(answer.payload, 2, 70)
    assert end == len(answer.payload)
    assert columns["position"].tolist() == [1, -2]
    # actions as a column
    step = stream.ask(shard=1, seq=2, step={}, payload=np.array([3, 4], "<i8").tobytes())
    columns, end = read_columns(step.payload, 2, 70)
    assert columns["position"].tolist() == [4, 2]
    assert columns["reward"].tolist() == [3.0, 4.0]
    assert (columns["pixels"] == [[4], [2]]).all()
    assert not step.step.observations
    # actions as records, of one lane, answered in columns
    step = stream.ask(shard=1, seq=3, step=session_pb2.Step(lanes=[2], actions=actions(3)))
    columns, _ = read_columns(step.payload, 1, 70)
    assert columns["position"].tolist() == [5]
    assert columns["terminated"].tolist() == [True]
    assert list(step.step.lanes) == [2]
    (info,) = step.step.info
    assert (info.key, list(info.integers)) == ("episode", [1])
    # the same again is the same answer
    assert stream.ask(shard=1, seq=3, step={}) == step
    # a chunk: rows are all lanes of the first action first
    chunk = session_pb2.Step(chunk=3, lanes=[1])
    step = stream.ask(shard=1, seq=4, step=chunk, payload=np.array([1, 0, 0], "<i8").tobytes())
    columns, _ = read_columns(step.payload, 3, 70)
    assert (list(step.step.executed), columns["position"].tolist()) == ([1], [5, 0, 0])
    assert columns["terminated"].tolist() == [True, False, False]
    stream.ask(seq=1, close={})
    stream.end()


def check_final_rows(stub):
    stream = Stream(stub)
    stream.ask(open=opening(3, shards=1, autoreset_mode="AUTORESET_MODE_SAME_STEP"))
    stream.ask(seq=1, reset=session_pb2.Reset(seeds=[session_pb2.Seed(value=value) for value in (0, 4, 4)]))
    step = stream.ask(seq=2, step=session_pb2.Step(actions=actions(1, 2, 3)))
    columns, end = read_columns(step.payload, 3, 4)
    assert columns["position"].tolist() == [1, 0, 0]
    assert columns["terminated"].tolist() == [False, True, True]
    assert list(step.step.final_lanes) == [1, 2]
    final, end = read_columns(step.payload, 2, 4, aligned(end), outcome=False)
    assert final["position"].tolist() == [6, 7]
    assert end == len(step.payload)
    stream.ask(seq=3, close={})
    stream.end()


def check_records_on_a_stream(stub):
    stream = Stream(stub)
    stream.ask(open=opening(2, shards=1, layout="LAYOUT_RECORDS"))
    stream.ask(seq=1, reset=session_pb2.Reset(seeds=[session_pb2.Seed(value=0)] * 2))
    answer = stream.ask(seq=2, step=session_pb2.Step(actions=actions(2, -1)))
    assert not answer.payload
    assert [seen.position for seen in observations(answer.step)] == [2, -1]
    assert [outcome.reward for outcome in answer.step.outcomes] == [2.0, -1.0]
    pixels = observations(answer.step)[1].pixels
    assert (pixels.dtype, list(pixels.shape), pixels.data) == (6, [4], b"\xff" * 4)
    state = stream.ask(seq=3, state={}).state
    assert bare_pb2.BareState.FromString(state.states[1]).position == -1
    saved = stream.ask(seq=4, snapshot={}).snapshot.snapshots
    stream.ask(seq=5, step=session_pb2.Step(actions=actions(1, 1)))
    assert list(stream.ask(seq=6, restore=session_pb2.Restore(snapshots=saved)).restore.done) == [False, False]
    answer = stream.ask(seq=7, step=session_pb2.Step(actions=actions(0, 0)))
    assert [seen.position for seen in observations(answer.step)] == [2, -1]
    assert stream.ask(seq=8, close={}).ended
    stream.end()


def check_errors_in_band(stub):
    stream = Stream(stub)
    stream.ask(open=opening())
    stream.ask(seq=1, reset={})
    answer = stream.ask(seq=2, step=session_pb2.Step(actions=actions(11)))
    assert (answer.status.code, answer.ended) == (3, False)
    violation = error_details_pb2.BadRequest()
    assert any(detail.Unpack(violation) for detail in answer.status.details)
    assert violation.field_violations[0].field == "action[0].move"
    assert stream.ask(seq=3, step=session_pb2.Step(actions=actions(1))).HasField("step")
    stream.end()


def check_unary_calls(stub):
    opened = stub.Open(environment_pb2.OpenRequest(open=opening(layout="LAYOUT_RECORDS")), timeout=10).open
    common = {"session_id": opened.session_id}
    stub.Reset(environment_pb2.ResetRequest(seq=1, **common), timeout=10)
    step = session_pb2.Step(actions=actions(4))
    answer = stub.Step(environment_pb2.StepRequest(seq=2, step=step, **common), timeout=10)
    assert answer.seq == 2
    assert observations(answer.step)[0].position == 4
    answer = stub.GetState(environment_pb2.GetStateRequest(seq=3, **common), timeout=10)
    assert bare_pb2.BareState.FromString(answer.state.states[0]).position == 4
    saved = stub.Snapshot(environment_pb2.SnapshotRequest(seq=4, **common), timeout=10).snapshot.snapshots
    restore = session_pb2.Restore(snapshots=saved)
    restored = stub.Restore(environment_pb2.RestoreRequest(seq=5, restore=restore, **common), timeout=10)
    assert list(restored.restore.done) == [False]
    bad = environment_pb2.StepRequest(seq=6, step=session_pb2.Step(actions=actions(99)), **common)
    call = stub.Step.future(bad, timeout=10)
    assert call.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = dict(call.trailing_metadata())["grpc-status-details-bin"]
    assert "move" in status_pb2.Status.FromString(details).message
    columns = environment_pb2.OpenRequest(open=opening(2, shards=1))
    common = {"session_id": stub.Open(columns, timeout=10).open.session_id}
    seeds = [session_pb2.Seed(value=7)] * 2
    answer = stub.Reset(environment_pb2.ResetRequest(seq=1, reset={"seeds": seeds}, **common), timeout=10)
    assert read_columns(answer.payload, 2, 4)[0]["position"].tolist() == [7, 7]
    payload = np.array([-1, -2], "<i8").tobytes()
    answer = stub.Step(environment_pb2.StepRequest(seq=2, payload=payload, **common), timeout=10)
    assert read_columns(answer.payload, 2, 4)[0]["position"].tolist() == [6, 5]
    assert stub.Close(environment_pb2.CloseRequest(**common), timeout=10).ended


def main(address):
    assert importlib.util.find_spec("openenv_grpc.codec") is None, "these are not plain stubs"
    with grpc.insecure_channel(address) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        for name, check in list(globals().items()):
            if name.startswith("check_"):
                check(stub)
                sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(sys.argv[1])
