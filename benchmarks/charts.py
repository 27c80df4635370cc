"""Charts of a run: bars of all contestants, and how steps per second grow with lanes. PNG and SVG.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; lines are named where they end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

OURS, PEERS, CONTROLS, CEILINGS = "#0072B2", "#D55E00", "#999999", "#009E73"
KINDS = {"openenv-grpc": OURS, "OpenEnv": PEERS, "bare": CONTROLS, "binary": CONTROLS}
LEGEND = {OURS: "openenv-grpc", PEERS: "OpenEnv", CONTROLS: "controls", CEILINGS: "in process"}
SERIES = {
    "openenv-grpc, local lane": "#000000",
    "openenv-grpc, unix": OURS,
    "openenv-grpc, TCP": "#56B4E9",
    "AtariVectorEnv": CEILINGS,
    "EnvPool": "#CC79A7",
}
WIDE = 20
"""Times between the slowest and the fastest, beyond which bars need a logarithmic axis."""
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "openenv-grpc"}


def draw(result: dict[str, Any], directory: Path) -> list[Path]:
    """Draw what there is; the files' paths are returned."""
    directory.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    with plt.rc_context(STYLE):
        for name, question in result["questions"].items():
            rows = [row for row in result["rows"] if row["question"] == name and "skipped" not in row]
            if not rows:
                continue
            conditions = f"{question['conditions']}\n{_machine(result)}"
            paths += _save(_bars(rows, question["title"], conditions), directory / f"bench-{name.replace('_', '-')}")
            if len({row["lanes"] for row in rows if row["contestant"].startswith("openenv-grpc")}) > 1:
                figure = _scaling(rows, question["title"], conditions)
                paths += _save(figure, directory / f"bench-{name.replace('_', '-')}-lanes")
    return paths


def _machine(result: dict[str, Any]) -> str:
    facts, run = result["machine"], result["run"]
    return (
        f"{facts['cores']} cores, {facts['cpu']}, {facts['system'].split('-')[0]}, Python {facts['python']}; "
        f"{facts['time'][:10]}\nclient and server in separate processes; median of {run['rounds']} rounds of "
        f"{run['seconds']:g} s (lines: lowest and highest)"
    )


def _save(figure: Any, path: Path) -> list[Path]:
    written = [path.with_suffix(".png"), path.with_suffix(".svg")]
    for each in written:
        figure.savefig(each, dpi=150, metadata={"Date": None} if each.suffix == ".svg" else None)
    plt.close(figure)
    return written


def _leave_room(figure: Any) -> None:
    """For the conditions below the axes."""
    inches = 0.75 / figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, inches, 1, 1 - inches))


def _title(figure: Any, title: str, conditions: str) -> None:
    figure.suptitle(title, x=0.02, ha="left", fontsize=13, fontweight="bold")
    figure.text(0.02, 0.005, conditions, fontsize=8, color="#555555", va="bottom")


def _colour(row: dict[str, Any]) -> str:
    return next((colour for start, colour in KINDS.items() if row["contestant"].startswith(start)), CEILINGS)


def _bars(rows: list[dict[str, Any]], title: str, conditions: str) -> Any:
    rows = sorted(rows, key=lambda row: row["steps_per_s"])
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.3 * len(rows)), layout="constrained")
    _leave_room(figure)
    rates = [row["steps_per_s"] for row in rows]
    errors = [[max(rate - row["spread"][0], 0) for rate, row in zip(rates, rows, strict=True)]]
    errors += [[max(row["spread"][1] - rate, 0) for rate, row in zip(rates, rows, strict=True)]]
    names = [row["contestant"] for row in rows]
    axes.barh(names, rates, color=[_colour(row) for row in rows], xerr=errors, ecolor="#333333", height=0.7)
    wide = max(rates) > WIDE * min(rates)
    axes.set_xscale("log" if wide else "linear")
    axes.set_xlim(right=max(row["spread"][1] for row in rows) * (6 if wide else 1.25))
    axes.set_xlabel(f"env-steps per second{' (logarithmic)' * wide}")
    for place, row in enumerate(rows):
        times = f"  ({row['x_openenv']:,.1f} ×)" if row["x_openenv"] else ""
        axes.annotate(
            f"{row['steps_per_s']:,.0f}{times}",
            (row["spread"][1], place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    _legend(axes, {_colour(row) for row in rows})
    _title(figure, title, f"in brackets: times OpenEnv's WebSocket client as shipped; {conditions}")
    return figure


def _legend(axes: Axes, colours: set[str]) -> None:
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour in LEGEND if colour in colours]
    axes.legend(handles, [LEGEND[colour] for colour in LEGEND if colour in colours], loc="lower right", frameon=False)


def _series(rows: list[dict[str, Any]]) -> dict[str, dict[int, dict[str, Any]]]:
    """Rows by series and lanes; of several with the same lanes the fastest."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        first, *words = row["contestant"].split(", ")
        name = f"{first}, {words[-1]}" if first == "openenv-grpc" else first
        if name not in SERIES or "unary" in words:
            continue
        points = found.setdefault(name, {})
        if row["lanes"] not in points or points[row["lanes"]]["steps_per_s"] < row["steps_per_s"]:
            points[row["lanes"]] = row
    return found


def _scaling(rows: list[dict[str, Any]], title: str, conditions: str) -> Any:
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    _leave_room(figure)
    ends = []
    for name, points in _series(rows).items():
        lanes = sorted(points)
        rates = [points[count]["steps_per_s"] for count in lanes]
        low = [rate - points[count]["spread"][0] for rate, count in zip(rates, lanes, strict=True)]
        high = [points[count]["spread"][1] - rate for rate, count in zip(rates, lanes, strict=True)]
        axes.errorbar(lanes, rates, [low, high], color=SERIES[name], marker="o", capsize=3, linewidth=2)
        ends.append((rates[-1], lanes[-1], name))
    for row in rows:
        if row["contestant"].startswith("raw loop") or row["contestant"] == "OpenEnv, WebSocket":
            axes.axhline(row["steps_per_s"], color="#555555", linestyle=":", linewidth=1)
            ends.append((row["steps_per_s"], 0, row["contestant"]))
    axes.set_xscale("log", base=2)
    axes.set_ylim(bottom=0)
    lanes = sorted({row["lanes"] for row in rows} - {2})
    axes.set_xticks(lanes, [str(count) for count in lanes])
    axes.set_xlim(min(lanes) * 0.85, max(lanes) * 4)
    axes.set_xlabel("environments (lanes) in one session")
    axes.set_ylabel("env-steps per second")
    _name_lines(axes, ends)
    conditions = f"at 32 lanes the best of lock step and several batches in flight; {conditions}"
    _title(figure, f"{title.partition(':')[0]}: steps over lanes", conditions)
    return figure


def _name_lines(axes: Axes, ends: list[tuple[float, int, str]]) -> None:
    """Write each line's name at its right end, kept apart from the one below."""
    top = axes.get_ylim()[1]
    place = float("-inf")
    for rate, _, name in sorted(ends):
        place = max(rate, place + top * 0.055)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        colour = SERIES.get(name, "#555555")
        axes.text(axes.get_xlim()[1], place, name, color=colour, va="center", ha="right", bbox=box)
