"""How close do environments behind a wire come to the emulator's own speed? Whole screens, 100,800 bytes each."""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Pong, RGB 210×160×3: how close to the emulator?"
    return Question("atari_rgb", title, CONDITIONS, "rgb", OPENENV, reference("rgb"))
