"""Ours by the local lane: shared memory, and sockets straight to the workers."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting
from benchmarks.targets import Target

ORDER = 20
ONE_LANE = "openenv-grpc, 1 lane, local lane"
TARGETS = [
    *make.many_lanes_targets("Pong"),
    Target("32 lanes, local lane: times OpenEnv's WebSocket client", make.MANY, make.OPENENV, 100, 120),
    Target("1 lane in lock step, local lane: of the loop in process", (ONE_LANE,), make.ONE, 0.6, 0.75),
    Target("1 lane in lock step, local lane: of Gymnasium in process", (ONE_LANE,), make.GYMNASIUM, 0.72, 0.9),
]


def contestants(setting: Setting) -> list[Contestant]:
    """One lane, and many in one session."""
    return [
        make.ours(setting, "rgb", 1, make.ONE, transport="local"),
        make.ours(setting, "rgb", 8, make.TWO, transport="local"),
        *make.many_lanes(setting, "rgb"),
    ]
