"""Micro-benchmarks: pytest-benchmark's medians, compared with a baseline that fits on a page.

`scripts/bench --micro` runs them, `--compare` shows each against `results/micro-baseline.json`, `--save` writes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.processes import ROOT
from benchmarks.run import machine

BASELINE = ROOT / "benchmarks" / "results" / "micro-baseline.json"
NOTEWORTHY = 1.25
"""Times slower or faster; less than that is a machine's mood."""


def run(console: Console, *, compare: bool, save: bool, baseline: Path = BASELINE) -> int:
    """Run them all; the exit status of pytest is returned.

    Args:
        console: Where the table goes.
        compare: Whether to show each median against the baseline.
        save: Whether to write the medians as the baseline.
        baseline: The baseline's file.
    """
    if compare and not baseline.exists():
        console.print(f"there is no baseline at {baseline}: run scripts/bench --micro --save first", style="bold red")
        return 2
    with tempfile.TemporaryDirectory() as directory:
        written = Path(directory) / "found.json"
        command = [sys.executable, "-m", "pytest", str(ROOT / "benchmarks" / "micro"), "-q"]
        command += [
            "-o",
            "addopts=",
            "--import-mode=importlib",
            f"--benchmark-json={written}",
        ]  # pyproject turns it off
        status = subprocess.run([*command, "--benchmark-disable-gc"], cwd=ROOT, check=False).returncode
        if status:
            return status
        found = medians(json.loads(written.read_text()))
    if compare:
        console.print(table(found, json.loads(baseline.read_text())["median_us"]))
    if save:
        baseline.write_text(json.dumps({"machine": machine(), "median_us": found}, indent=1) + "\n")
        console.print(f"saved to {baseline}", style="dim")
    return 0


def medians(report: dict[str, list[dict[str, dict[str, float]]]]) -> dict[str, float]:
    """Microseconds by name, of pytest-benchmark's report."""
    return {str(each["name"]): round(each["stats"]["median"] * 1e6, 3) for each in report["benchmarks"]}


def table(found: dict[str, float], baseline: dict[str, float]) -> Table:
    """Each median against the baseline's."""
    shown = Table("micro-benchmark", title="against the baseline")
    for name in ("µs", "baseline", "ratio"):
        shown.add_column(name, justify="right")
    for name in found | baseline:
        now, before = found.get(name), baseline.get(name)
        if now is None or before is None:
            shown.add_row(name, "gone" if now is None else f"{now:,.2f}", "new" if before is None else f"{before:,.2f}")
            continue
        ratio = now / before
        style = "red" if ratio > NOTEWORTHY else "green" if ratio < 1 / NOTEWORTHY else ""
        shown.add_row(name, f"{now:,.2f}", f"{before:,.2f}", f"{ratio:.2f}", style=style)
    return shown
