"""Prints a run's result: a table of contestants, one of figures, and what was to be reached."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

LEGEND = (
    "steps/s: median of the rounds (lowest–highest). × OpenEnv: against its WebSocket client as shipped. "
    "of ceiling: of the raw emulator loop in one process (one lane) or two (several), in atari_lanes and atari_cores "
    "in one per core; echo: of bare grpcio. "
    "µs: CPU time per env-step of the process and its descendants. "
    "bytes: both directions per env-step, counted on the connection."
)


def show(result: dict[str, Any], console: Console) -> None:
    """Print everything that was measured."""
    facts = result["machine"]
    console.print(f"{facts['cores']} cores, {facts['cpu']}, {facts['system']}, Python {facts['python']}", style="dim")
    if result["interrupted"]:
        console.print("interrupted; what was measured so far follows", style="bold yellow")
    for name, question in result["questions"].items():
        rows = [row for row in result["rows"] if row["question"] == name]
        if rows:
            console.print(_race(question, rows))
    if result["rows"]:
        console.print(LEGEND, style="dim")
    if result["figures"]:
        console.print(_figures(result["figures"]))
    for target in result["targets"]:
        console.print(target_line(target))


def _race(question: dict[str, str], rows: list[dict[str, Any]]) -> Table:
    table = Table("contestant", title=question["title"], caption=f"{question['conditions']}. {_notes(rows)}")
    table.caption_justify = "left"
    for name in ("steps/s", "spread", "× OpenEnv", "of ceiling", "client µs", "server µs", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    marks = {note: mark for mark, note in enumerate(dict.fromkeys(map(_note, rows)), 1)}
    for row in rows:
        name = f"{row['contestant']} ({marks[_note(row)]})"
        if "skipped" in row:
            table.add_row(name, "skipped", *["–"] * 6, style="dim")
            continue
        wire = row["wire_bytes_per_step"]
        table.add_row(
            name,
            _number(row["steps_per_s"]),
            f"{_number(row['spread'][0])}–{_number(row['spread'][1])}",
            _number(row["x_openenv"], ".1f"),
            _number(row["of_ceiling"], ".3f"),
            _number(row["client_cpu_us_per_step"]),
            _number(row["server_cpu_us_per_step"]),
            _number(sum(wire) if wire else None),
        )
    return table


def _note(row: dict[str, Any]) -> str:
    if "skipped" in row:
        return f"skipped: {row['skipped']}"
    return f"{row['note']}" if row["checked"] else f"{row['note']}; nothing to compare"


def _notes(rows: list[dict[str, Any]]) -> str:
    return " ".join(f"({mark}) {note}." for mark, note in enumerate(dict.fromkeys(map(_note, rows)), 1))


def _figures(figures: list[dict[str, Any]]) -> Table:
    table = Table("cost", title="Costs that are no race")
    for name in ("median", "spread", "unit"):
        table.add_column(name, justify="right")
    table.add_column("note")
    for figure in figures:
        if "skipped" in figure:
            table.add_row(figure["figure"], "–", "–", figure["unit"], f"skipped: {figure['skipped']}", style="dim")
        else:
            spread = "–".join(f"{value:.3g}" for value in figure["spread"])
            table.add_row(figure["figure"], f"{figure['value']:.3g}", spread, figure["unit"], figure["note"])
    return table


def target_line(target: dict[str, Any]) -> Text:
    """One line: met, missed or not measured, with the figures."""
    sign, style = {True: ("met", "green"), False: ("MISSED", "bold red"), None: ("not measured", "yellow")}[
        target["met"]
    ]
    bound = f"{'≤' if target['at_most'] else '≥'} {target['must']:g}"
    goal = "" if target["goal"] is None else f", goal {target['goal']:g}{' reached' if target['goal_met'] else ''}"
    value = "" if target["value"] is None else f"{target['value']:.3g} "
    by = f" [{target['row']}]" if target["row"] and target["per"] else ""
    return Text.assemble((f"{sign:>12}", style), f"  {target['text']}: {value}({bound}{goal}){by}")


def _number(value: float | None, form: str = "") -> str:
    if value is None:
        return ""
    return f"{value:,{form}}" if form else f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
