"""What does a step cost where the environment does nothing?"""

from __future__ import annotations

from benchmarks.contestants import OPENENV
from benchmarks.harness import Question
from benchmarks.player import echo_message, echo_outcome


def _reference(seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
    return [[echo_outcome("", 0), *map(_said, each)] for each in actions]


def _said(action: int) -> str:
    message = echo_message(action)
    return echo_outcome(message, len(message), 0.1 * len(message))


def question() -> Question:
    """Without contestants yet."""
    title = "Echo, 16 characters: what does a step cost where the environment does nothing?"
    return Question("echo", title, "one lane in lock step", "echo", OPENENV, _reference)
