"""Ours by the local lane and over gRPC, and the pool itself."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting
from benchmarks.targets import Target

OURS = ("openenv-grpc, 32 lanes, local lane", "openenv-grpc, 32 lanes, 2 in flight, local lane")
TARGETS = [Target("84×84×4 gray, 32 lanes, local lane: of AtariVectorEnv in process", OURS, make.POOL, 0.85, 0.95)]


def contestants(setting: Setting) -> list[Contestant]:
    """32 lanes everywhere."""
    return [
        *(make.ours(setting, "gray", 32, make.POOL, in_flight=count, transport="local") for count in (1, 2)),
        make.ours(setting, "gray", 32, make.POOL),
        make.ale_pool("gray", 32, make.POOL),
    ]
