"""A server that knows nothing but the .proto files: a program of its own, with a socket and a description as arguments.

It plays the bare environment: whole messages, header_size unset, columns at multiples of 64 bytes.
"""

from __future__ import annotations

import importlib.util
import sys
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
from google.rpc import code_pb2, status_pb2
from openenv_bare.v1 import bare_pb2

from openenv_grpc.v1 import environment_pb2, environment_pb2_grpc, session_pb2

GOAL, SIZE = 5, 4


def columns(*arrays):
    """A payload: each array begins at the next multiple of 64 bytes."""
    payload = b""
    for array in arrays:
        payload += bytes(-len(payload) % 64) + np.ascontiguousarray(array).tobytes()
    return payload


def observation(position, steps):
    pixels = np.repeat(position.astype("u1")[:, None], SIZE, axis=1)
    return position.astype("<i8"), steps.astype("<i8"), pixels


class Walk:
    """One session, one shard, all lanes at once, autoreset in the next step."""

    def __init__(self, lanes):
        self.position, self.steps = np.zeros(lanes, "<i8"), np.zeros(lanes, "<i8")
        self.done = np.zeros(lanes, bool)

    def answer(self, transition, reward, chosen):
        ended = self.position[chosen] >= GOAL
        cut = self.position[chosen] <= -GOAL
        self.done[chosen] = ended | cut
        payload = columns(reward, ended, cut, *observation(self.position[chosen], self.steps[chosen]))
        return {"payload": payload, **transition}

    def lanes(self, verb):
        return list(verb.lanes) or list(range(len(self.position)))

    def reset(self, request):
        chosen = self.lanes(request.reset)
        seeds = [seed.value for seed in request.reset.seeds] or [0] * len(chosen)
        self.position[chosen], self.steps[chosen] = seeds, 0
        return self.answer({"reset": {"lanes": request.reset.lanes}}, np.zeros(len(chosen)), chosen)

    def step(self, request):
        chosen = self.lanes(request.step)
        moves = np.frombuffer(request.payload, "<i8")
        assert len(moves) == len(chosen)
        if (moves > 9).any():  # a rule of its own, so that the client cannot know it
            return {"status": status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="too far")}
        fresh = self.done[chosen]
        self.position[chosen] = np.where(fresh, 0, self.position[chosen] + moves)
        self.steps[chosen] = np.where(fresh, 0, self.steps[chosen] + 1)
        info = session_pb2.Transition(lanes=request.step.lanes)
        info.info.add(key="who", values=[{"text": "plain"}] * len(chosen))
        return self.answer({"step": info}, np.where(fresh, 0.0, moves), chosen)

    def state(self, request):
        found = [bare_pb2.BareState(position=self.position[lane]) for lane in self.lanes(request.state)]
        return {"state": {"states": [state.SerializeToString() for state in found]}}


class Servicer(environment_pb2_grpc.EnvironmentServiceServicer):
    def __init__(self, description):
        self.description = environment_pb2.DescribeResponse.FromString(description)

    def Describe(self, request, context):  # noqa: N802
        return self.description

    def Session(self, requests, context):  # noqa: N802
        opened = next(requests).open
        shards = [session_pb2.Shard(lanes=opened.lanes)]
        answer = session_pb2.Opened(session_id="plain", shards=shards, spec=self.description.environment.session)
        answer.limits.CopyFrom(self.description.limits)
        yield session_pb2.SessionResponse(open=answer)
        walk = Walk(opened.lanes)
        for request in requests:
            verb = request.WhichOneof("verb")
            if verb == "close":
                yield session_pb2.SessionResponse(seq=request.seq, ended=True, close={})
                return
            yield session_pb2.SessionResponse(seq=request.seq, **getattr(walk, verb)(request))


def main(address, description):
    assert importlib.util.find_spec("openenv_grpc.codec") is None, "these are not plain stubs"
    server = grpc.server(futures.ThreadPoolExecutor(8))
    environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(Servicer(Path(description).read_bytes()), server)
    server.add_insecure_port(address)
    server.start()
    sys.stdout.write("up\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
