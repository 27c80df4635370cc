"""How do steps per second grow with the cores of the machine?"""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question

LANES = 128
"""Enough for every core to have several."""


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Pong, RGB 210×160×3: what do more cores bring?"
    conditions = f"{CONDITIONS}; {LANES} lanes in lock step, the raw loop with a process per core"
    return Question("atari_cores", title, conditions, "rgb", OPENENV, reference("rgb"))
