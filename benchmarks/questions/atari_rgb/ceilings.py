"""In process, without a wire: what nobody can beat, and what pools of threads make of it."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.emulator import Emulator
from benchmarks.harness import Contestant
from benchmarks.peers import PeerUnavailable
from benchmarks.setting import Setting

ORDER = 90
SIZES = (8, 32)


def contestants(setting: Setting) -> list[Contestant]:
    """Raw loops, Gymnasium, ALE's own pool, EnvPool."""
    return [
        *make.ceilings("rgb"),
        *(_ale(lanes) for lanes in SIZES),
        *(_envpool(setting, lanes) for lanes in SIZES),
    ]


def _ale(lanes: int) -> Contestant:
    client = ["benchmarks.players.vectors", "ale", str(lanes)]
    return Contestant(f"AtariVectorEnv, {lanes} lanes", client, lanes=lanes, ceiling=make.TWO, note="in process")


def _envpool(setting: Setting, lanes: int) -> Contestant:
    contestant = Contestant(f"EnvPool, {lanes} lanes", lanes=lanes, ceiling=make.TWO, reference=_pooled)
    contestant.note = "in process; one no-op at reset, maximum of two screens (it can't do without): compared with that"
    try:
        contestant.python = setting.peer("envpool")
    except PeerUnavailable as error:
        contestant.skipped = str(error)
    contestant.client = ["benchmarks.players.vectors", "envpool", str(lanes)]
    return contestant


def _pooled(seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
    emulator = Emulator(pool=True)
    return [emulator.play(seed, each, noops=1) for seed, each in zip(seeds, actions, strict=True)]
