"""Ours by the local lane: shared memory, and sockets straight to the workers."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting
from benchmarks.targets import Target

ORDER = 20
ONE_LANE = "openenv-grpc, 1 lane, local lane"
MANY = ("openenv-grpc, 32 lanes, local lane", "openenv-grpc, 32 lanes, 2 in flight, local lane")
TARGETS = [
    Target("32 lanes, local lane: of the raw loop in two processes", MANY, make.TWO, 0.88, 0.95),
    Target("32 lanes, local lane: times AtariVectorEnv in process", MANY, "AtariVectorEnv, 32 lanes", 1.05, 1.2),
    Target("32 lanes, local lane: times EnvPool in process", MANY, "EnvPool, 32 lanes", 1.4, 1.7),
    Target("32 lanes, local lane: times OpenEnv's WebSocket client", MANY, make.OPENENV, 100, 120),
    Target("1 lane in lock step, local lane: of the loop in process", (ONE_LANE,), make.ONE, 0.6, 0.75),
    Target("1 lane in lock step, local lane: of Gymnasium in process", (ONE_LANE,), make.GYMNASIUM, 0.72, 0.9),
]


def contestants(setting: Setting) -> list[Contestant]:
    """One lane, and many in one session."""
    return [
        make.ours(setting, "rgb", lanes, make.ONE if lanes == 1 else make.TWO, in_flight=in_flight, transport="local")
        for lanes, in_flight in ((1, 1), (8, 1), (32, 1), (32, 2))
    ]
