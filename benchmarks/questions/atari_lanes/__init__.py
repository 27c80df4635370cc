"""How do steps per second grow with the environments of one session?"""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Pong, RGB 210×160×3: what do more lanes bring?"
    return Question("atari_lanes", title, f"{CONDITIONS}; lock step", "rgb", OPENENV, reference("rgb"))
