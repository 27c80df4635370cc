"""Ours by the local lane, ALE's own pool at some of the sizes, raw loops in one process and in one per core."""

from __future__ import annotations

import os

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting

LANES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
POOLS = (1, 4, 16, 64, 256)


def contestants(setting: Setting) -> list[Contestant]:
    """All games are loaded while observations are compared, before anything is timed."""
    one, every = make.raw("rgb", 1), make.raw("rgb", len(os.sched_getaffinity(0)))
    raw = {each.name: each for each in (one, every)}

    def ceiling(lanes: int) -> str:
        return (one if lanes == 1 else every).name

    return [
        *(make.ours(setting, "rgb", lanes, ceiling(lanes), transport="local") for lanes in LANES),
        *(make.ale_pool("rgb", lanes, ceiling(lanes)) for lanes in POOLS),
        *raw.values(),
    ]
