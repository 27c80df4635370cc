"""Does what holds for Pong hold for Seaquest?"""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Seaquest, RGB 210×160×3: how close to the emulator?"
    return Question("atari_seaquest", title, CONDITIONS, "seaquest", OPENENV, reference("seaquest"))
