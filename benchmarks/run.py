"""One run: questions one after the other, then the figures; what was measured before Ctrl-C is kept."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import figures, questions
from benchmarks.harness import Question
from benchmarks.setting import Setting
from benchmarks.targets import evaluate_all

SCHEMA = 1
PACKAGES = ("grpcio", "protobuf", "numpy", "ale-py", "openenv-grpc", "websockets", "gymnasium")


@dataclass
class Run:
    """What to measure, and what was found.

    Attributes:
        chosen: Names of questions and figures.
        rounds: Turns of each contestant.
        seconds: Length of a turn.
        quick: Whether figures take few samples.
    """

    chosen: list[str]
    rounds: int
    seconds: float
    quick: bool
    questions: list[Question] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False
    started: float = field(default_factory=time.time)

    def carry_out(self, console: Console) -> None:
        """Measure everything; Ctrl-C ends it early and nothing else happens.

        Raises:
            ObservationsDiffer: Contestants do not do the same work.
            BrokenContestant: One of them failed.
        """
        try:
            with _progress(console) as progress:
                for name in self.chosen:
                    if name in questions.names():
                        self._race(name, progress)
                    else:
                        self._measure(name, progress)
        except KeyboardInterrupt:  # every process ends with its pipe to us, however often Ctrl-C is pressed
            self.interrupted = True

    def _race(self, name: str, progress: Progress) -> None:
        with ExitStack() as stack, _task(progress, name) as task:
            task.say("starting servers")
            question = questions.build(name, Setting(stack, progress.console.print))
            self.questions.append(question)
            task.go("starting clients", question.start(stack), len(question.active))
            task.go("comparing observations", question.check(), len(question.active))
            task.go("counting bytes", _each(question, lambda contestant: contestant.weigh()), len(question.active))
            turns = (
                turn for _ in range(self.rounds) for turn in _each(question, lambda one: one.measure(self.seconds))
            )
            task.go("measuring", turns, self.rounds * len(question.active))

    def _measure(self, name: str, progress: Progress) -> None:
        with ExitStack() as stack, _task(progress, name) as task:
            task.say("measuring")
            found = figures.load(name).measure(Setting(stack, progress.console.print), self.quick)
            self.figures += [figure.row() for figure in found]

    def result(self) -> dict[str, Any]:
        """As JSON."""
        rows = [row for question in self.questions for row in question.rows()]
        targets = [
            (name, target) for name in self.chosen if name in questions.names() for target in questions.targets(name)
        ]
        targets += [("", target) for name in self.chosen if name in figures.names() for target in figures.targets(name)]
        return {
            "schema": SCHEMA,
            "machine": machine(),
            "run": {
                "rounds": self.rounds,
                "seconds": self.seconds,
                "chosen": self.chosen,
                "wall_s": round(time.time() - self.started, 1),
            },
            "interrupted": self.interrupted,
            "questions": {one.name: {"title": one.title, "conditions": one.conditions} for one in self.questions},
            "rows": rows,
            "figures": self.figures,
            "targets": evaluate_all(targets, rows, self.figures),
        }


def _each(question: Question, work: Callable[[Any], None]) -> Iterator[str]:
    for contestant in question.active:
        yield contestant.name
        work(contestant)


class _Task:
    """One line of the progress display."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress, self._name = progress, name
        self.id = progress.add_task(name, total=None)

    def say(self, what: str, total: int | None = None) -> None:
        self._progress.update(self.id, description=f"{self._name}: {what}", completed=0, total=total)

    def go(self, what: str, steps: Iterable[str], total: int) -> None:
        """Exhaust an iterator of names."""
        self.say(what, total)
        for name in steps:
            self._progress.update(self.id, advance=1, description=f"{self._name}: {what} ({name})")


@contextmanager
def _task(progress: Progress, name: str) -> Iterator[_Task]:
    task = _Task(progress, name)
    try:
        yield task
    finally:
        progress.remove_task(task.id)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = None
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_name(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": installed,
        "load": round(os.getloadavg()[0], 2),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
