"""What does a wire cost where the emulator's own pool makes the pixels: 84×84, gray, four frames stacked?"""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.harness import Question
from benchmarks.players.vectors import pool


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Pong, 84×84 gray, 4 stacked: how close to AtariVectorEnv in process?"
    conditions = "AtariVectorEnv's defaults: frameskip 4, maximum of two frames, up to 30 no-ops, fire at reset"
    return Question("atari_gray", title, conditions, "gray", OPENENV, _reference)


def _reference(seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
    player = pool(len(seeds), "gray")
    try:
        return player.play(seeds, actions)
    finally:
        player.close()
