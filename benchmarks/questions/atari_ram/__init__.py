"""How close do environments behind a wire come to the emulator's own speed? The console's memory, 128 bytes."""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.emulator import CONDITIONS, reference
from benchmarks.harness import Question


def question() -> Question:
    """Without contestants yet."""
    title = "Atari Pong, RAM, 128 bytes: how close to the emulator?"
    return Question("atari_ram", title, CONDITIONS, "ram", OPENENV, reference("ram"))
