"""`scripts/bench`: run the benchmarks, print tables, write JSON; draw charts; run the micro-benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import figures, questions
from benchmarks.harness import BrokenContestant, ObservationsDiffer
from benchmarks.report import show
from benchmarks.run import Run

QUICK, FULL = (3, 0.3), (7, 2.0)
SLOW = ("atari_breakout", "atari_cores", "atari_gray", "atari_lanes", "atari_ram", "atari_seaquest")
"""What a quick run leaves out unless it is asked for."""
INTERRUPTED = 130
WIDTH = 120
"""Columns that a table needs."""


def main(
    quick: Annotated[
        bool, typer.Option(help="Fewer and shorter rounds, of Atari only Pong's screens: three minutes in all.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option(help="A question or figure; repeatable. --list names them.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Name questions and figures, and end.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Turns of each contestant.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.01, help="Length of a turn.")] = None,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("benchmarks/results/latest.json"),
    charts: Annotated[Path | None, typer.Option(help="Draw the charts of a run's JSON, and end.")] = None,
    images: Annotated[Path, typer.Option(help="Where charts go.")] = Path("docs/images"),
    micro: Annotated[bool, typer.Option(help="Run the micro-benchmarks instead.")] = False,
    compare: Annotated[bool, typer.Option(help="With --micro: against the saved baseline.")] = False,
    save: Annotated[bool, typer.Option(help="With --micro: save the medians as the baseline.")] = False,
) -> None:
    """Measure this checkout on this machine."""
    console = Console()
    console.width = max(console.width, WIDTH)
    if listing:
        for name in questions.names() + figures.names():
            console.print(name)
        return
    if charts is not None:
        from benchmarks.charts import draw

        for path in draw(json.loads(charts.read_text()), images):
            console.print(f"drawn: {path}")
        return
    if micro:
        from benchmarks.micro import run

        raise typer.Exit(run(console, compare=compare, save=save))
    defaults = QUICK if quick else FULL
    run = Run(_choose(only, quick=quick), rounds or defaults[0], seconds or defaults[1], quick)
    raise typer.Exit(_carry_out(run, output, console))


def _choose(only: list[str] | None, *, quick: bool) -> list[str]:
    everything = questions.names() + figures.names()
    unknown = [name for name in only or () if name not in everything]
    if unknown:
        message = f"no such question or figure: {', '.join(unknown)}; there are {', '.join(everything)}"
        raise typer.BadParameter(message, param_hint="--only")
    if only:
        return [name for name in everything if name in only]
    return [name for name in everything if not quick or name not in SLOW]


def _carry_out(run: Run, output: Path, console: Console) -> int:
    status = 0
    try:
        run.carry_out(console)
    except ObservationsDiffer as error:
        console.print(f"observations differ, so nothing was timed: {error}", style="bold red")
        status = 1
    except BrokenContestant as error:
        console.print(f"a contestant failed: {error}", style="bold red", markup=False)
        status = 1
    result = run.result()
    show(result, console)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"written to {output}", style="dim")
    return INTERRUPTED if run.interrupted else status


if __name__ == "__main__":
    typer.run(main)
