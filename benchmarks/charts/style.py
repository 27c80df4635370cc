"""What all charts look like. Colours are Okabe and Ito's, which colour-blind readers can tell apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

OURS, PEERS, CONTROLS, CEILINGS, ENVPOOL = "#0072B2", "#D55E00", "#999999", "#009E73", "#CC79A7"
SKY, BLACK, GRAY = "#56B4E9", "#000000", "#555555"
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "openenv-grpc"}

Row = dict[str, Any]
"""Of a run's JSON."""


def machine(result: dict[str, Any]) -> str:
    """What the run was measured on, and how long."""
    facts, run = result["machine"], result["run"]
    return (
        f"{facts['cores']} cores, {facts['cpu']}, {facts['system'].split('-')[0]}, Python {facts['python']}; "
        f"{facts['time'][:10]}\nclient and server in separate processes; median of {run['rounds']} rounds of "
        f"{run['seconds']:g} s (lines: lowest and highest)"
    )


def canvas(height: float) -> tuple[Any, Any]:
    """A figure and its axes, with room for the conditions below them."""
    figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
    inches = 0.75 / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, inches, 1, 1 - inches))
    return figure, axes


def entitle(figure: Any, title: str, conditions: str) -> None:
    """Write the title, and the conditions below the axes."""
    figure.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold")
    figure.text(0.02, 0.005, conditions, fontsize=8, color=GRAY, va="bottom")


def separate_thousands(axis: Any) -> None:
    """Write 10,000 and not 10000 along an axis."""
    axis.set_major_formatter("{x:,.0f}")


def spread(rows: list[Row]) -> list[list[float]]:
    """How far each row's lowest and highest round lie from its median."""
    below = [max(row["steps_per_s"] - row["spread"][0], 0) for row in rows]
    return [below, [max(row["spread"][1] - row["steps_per_s"], 0) for row in rows]]


def save(figure: Any, path: Path) -> list[Path]:
    """Write PNG and SVG; the same chart is the same bytes."""
    written = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for each in written:
        figure.savefig(each, dpi=150, metadata={"Date": None} if each.suffix == ".svg" else None)
    plt.close(figure)
    return written
