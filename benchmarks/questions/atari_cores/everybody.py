"""Ours by the local lane, ALE's own pool and the raw loop, each kept to so many cores with all that it starts."""

from __future__ import annotations

import os

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.questions.atari_cores import LANES
from benchmarks.setting import Setting


def counts(cores: int) -> list[int]:
    """Powers of two up to so many cores, and all of them."""
    return [*(1 << power for power in range(cores.bit_length()) if 1 << power < cores), cores]


def contestants(setting: Setting) -> list[Contestant]:
    """Client, server and workers share the cores; a session has a worker for each."""
    found = []
    for cores in counts(len(os.sched_getaffinity(0))):
        raw = make.raw("rgb", cores, cores)
        found += [
            make.ours(setting, "rgb", LANES, raw.name, transport="local", cores=cores),
            make.ale_pool("rgb", LANES, raw.name, cores),
            raw,
        ]
    return found
