"""`scripts/bench` on our echo alone, for so many rounds that only Ctrl-C ends it; says when the first turn is over."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from benchmarks import __main__ as bench
from benchmarks import contestants as make
from benchmarks import questions
from benchmarks.harness import Contestant, Question
from benchmarks.questions import echo
from benchmarks.run import Run
from benchmarks.setting import Setting


class Telling(Contestant):
    """Says so after each turn."""

    def measure(self, seconds: float) -> None:
        super().measure(seconds)
        if len(self.rates) == 1:
            sys.stdout.write("first turn over\n")
            sys.stdout.flush()


def build(name: str, setting: Setting) -> Question:
    question = echo.question()
    ours = make.ours(setting, "echo", 1, "")
    question.contestants = [Telling(ours.name, ours.client, ours.server)]
    return question


if __name__ == "__main__":
    questions.build = build
    sys.exit(bench._carry_out(Run(["echo"], 10_000, 0.05, quick=True), Path(sys.argv[1]), Console(width=120)))
