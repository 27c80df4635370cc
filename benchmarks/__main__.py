"""`scripts/bench`: run the benchmarks, print tables, write JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import atari, startup
from benchmarks.harness import machine, report, run_questions, write


def main(
    quick: Annotated[bool, typer.Option(help="Fewer and shorter rounds.")] = False,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("benchmarks/results/latest.json"),
) -> None:
    """Measure this checkout on this machine."""
    console = Console()
    facts = machine()
    console.print(f"{facts['cores']} cores, {facts['cpu']}, {facts['system']}, Python {facts['python']}", style="dim")
    rounds, seconds = (3, 1.0) if quick else (7, 3.0)
    rows = run_questions([atari.build], rounds, seconds, console)
    report(rows, console)
    table = Table("start-up", "figures")
    for name, figures in (costs := startup.measure()).items():
        table.add_row(name, ", ".join(f"{key} {value}" for key, value in figures.items()))
    console.print(table)
    write([*rows, {"question": "start-up", **costs}], output)
    console.print(f"written to {output}", style="dim")


typer.run(main)
