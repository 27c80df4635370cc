"""Ours by the local lane, and what is in process."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting

TARGETS = make.many_lanes_targets("Breakout")


def contestants(setting: Setting) -> list[Contestant]:
    """Many lanes in one session, raw loops, pools."""
    return [
        *make.many_lanes(setting, "breakout"),
        *make.ceilings("breakout", gymnasium=False),
        make.ale_pool("breakout", 32),
        make.envpool(setting, "breakout", 32),
    ]
