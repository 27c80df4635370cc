"""Does what holds for Pong hold for Breakout?"""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Breakout, RGB 210×160×3: how close to the emulator?"
    return Question("atari_breakout", title, CONDITIONS, "breakout", OPENENV, reference("breakout"))
