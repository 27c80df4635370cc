"""Measures contestants fairly: all are set up first, then they take turns, round after round; medians are quoted."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table


@dataclass
class Contestant:
    """One way to do the work.

    Attributes:
        name: Shown in the table.
        step: Does some of the work and answers how many env-steps that was.
        pids: Processes whose children and own CPU time count as the server's side.
        note: Conditions, for the reader.
    """

    name: str
    step: Callable[[], int]
    pids: tuple[int, ...] = ()
    note: str = ""
    rates: list[float] = field(default_factory=list)
    client_us: list[float] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Median env-steps per second."""
        return statistics.median(self.rates) if self.rates else 0.0

    def measure(self, seconds: float) -> None:
        """One turn."""
        self.step()  # wake everything that slept while others had their turns
        server, client, start = _cpu_s(self.pids), time.process_time(), time.perf_counter()
        steps = 0
        while (elapsed := time.perf_counter() - start) < seconds:
            steps += self.step()
        self.rates.append(steps / elapsed)
        self.client_us.append((time.process_time() - client) / steps * 1e6)
        self.server_us.append((_cpu_s(self.pids) - server) / steps * 1e6)


def _cpu_s(pids: tuple[int, ...]) -> float:
    total = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            times = member.cpu_times()
            total += times.user + times.system
    return total


@dataclass
class Question:
    """A question and its contestants.

    Attributes:
        title: The question.
        reference: Name of the contestant that ratios are against.
        contestants: In the order of the table.
    """

    title: str
    reference: str
    contestants: list[Contestant]

    def run(self, rounds: int, seconds: float, progress: Progress) -> None:
        """Let the contestants take turns; Ctrl-C keeps what was measured."""
        task = progress.add_task(self.title, total=rounds * len(self.contestants))
        for _ in range(rounds):
            for contestant in self.contestants:
                contestant.measure(seconds)
                progress.advance(task)

    def rows(self) -> list[dict[str, Any]]:
        """One row per contestant that was measured."""
        base = next((c.rate for c in self.contestants if c.name == self.reference), 0.0)
        return [
            {
                "question": self.title,
                "contestant": c.name,
                "steps_per_s": round(c.rate, 1),
                "spread": [round(min(c.rates), 1), round(max(c.rates), 1)],
                "ratio": round(c.rate / base, 3) if base else None,
                "reference": self.reference,
                "client_cpu_us_per_step": round(statistics.median(c.client_us), 1),
                "server_cpu_us_per_step": round(statistics.median(c.server_us), 1) if c.pids else None,
                "note": c.note,
            }
            for c in self.contestants
            if c.rates
        ]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = ("grpcio", "protobuf", "numpy", "ale-py", "openenv-grpc")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_name(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in packages},
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def report(rows: list[dict[str, Any]], console: Console) -> None:
    """Print all rows, a table per question."""
    for title in dict.fromkeys(row["question"] for row in rows):
        mine = [row for row in rows if row["question"] == title]
        table = Table("contestant", title=title)
        for name in ("steps/s", "spread", f"ratio to {mine[0]['reference']}", "client µs", "server µs"):
            table.add_column(name, justify="right")
        for row in mine:
            server = row["server_cpu_us_per_step"]
            table.add_row(
                row["contestant"],
                f"{row['steps_per_s']:,.0f}",
                "{:,.0f}–{:,.0f}".format(*row["spread"]),
                f"{row['ratio']:.2f}",
                f"{row['client_cpu_us_per_step']:,.0f}",
                "" if server is None else f"{server:,.0f}",
            )
        console.print(table)
    console.print("steps/s: median of the rounds. µs: CPU time per env-step, user + system.", style="dim")


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows and machine as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=2) + "\n")


def run_questions(
    builders: list[Callable[[ExitStack], Question]], rounds: int, seconds: float, console: Console
) -> list[dict[str, Any]]:
    """Set up and run one question after the other; what was measured before Ctrl-C is kept."""
    rows: list[dict[str, Any]] = []
    with Progress(console=console, transient=True) as progress:
        for build in builders:
            question = None
            try:
                with ExitStack() as stack:
                    question = build(stack)
                    question.run(rounds, seconds, progress)
            except KeyboardInterrupt:
                console.print("interrupted; what was measured so far follows")
                rows += question.rows() if question else []
                break
            rows += question.rows()
    return rows
