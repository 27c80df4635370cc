"""In process, without a wire: what nobody can beat, and what pools of threads make of it."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting

ORDER = 90
SIZES = (8, 32)


def contestants(setting: Setting) -> list[Contestant]:
    """Raw loops, Gymnasium, ALE's own pool, EnvPool."""
    return [
        *make.ceilings("rgb"),
        *(make.ale_pool("rgb", lanes) for lanes in SIZES),
        *(make.envpool(setting, "rgb", lanes) for lanes in SIZES),
    ]
