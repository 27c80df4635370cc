"""What does the wall cost? The same environments on this machine, beside it and in a hardened container."""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Pong, RGB 210×160×3: what does a hardened container cost?"
    wall = "no network, no capabilities, read-only, limits, system calls filtered"
    return Question("atari_wall", title, f"{CONDITIONS}; profile hardened: {wall}", "rgb", OPENENV, reference("rgb"))
