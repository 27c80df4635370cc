"""Lines: steps per second over lanes, and over cores. Each is named where it ends."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes

from benchmarks.charts.style import (
    BLACK,
    CEILINGS,
    ENVPOOL,
    GRAY,
    OURS,
    SKY,
    Row,
    canvas,
    entitle,
    separate_thousands,
    spread,
)
from benchmarks.contestants import OPENENV

COLOURS = {
    "openenv-grpc, local lane": BLACK,
    "openenv-grpc, unix": OURS,
    "openenv-grpc, TCP": SKY,
    "AtariVectorEnv": CEILINGS,
    "EnvPool": ENVPOOL,
    "raw loop": GRAY,
}
Series = dict[str, dict[int, Row]]
"""Rows by name of the line and place on the x axis."""


def has_lanes(rows: list[Row]) -> bool:
    """Whether ours was measured with several numbers of lanes."""
    return len({row["lanes"] for row in rows if row["contestant"].startswith("openenv-grpc")}) > 1


def over_lanes(rows: list[Row], title: str, conditions: str) -> Any:
    """Steps over the lanes of a session; the raw loops and OpenEnv's client are lines across."""
    figure, axes = canvas(6)
    across = [row for row in rows if row["contestant"].startswith("raw loop") or row["contestant"] == OPENENV]
    series = _series([row for row in rows if row not in across], "lanes")
    ends = _draw(axes, series)
    for row in across:
        axes.axhline(row["steps_per_s"], color=GRAY, linestyle=":", linewidth=1)
        ends.append((row["steps_per_s"], row["contestant"]))
    lanes = sorted({lanes for points in series.values() for lanes in points})
    axes.set_xscale("log", base=2)
    axes.set_xlim(lanes[0] * 0.85, lanes[-1] * (lanes[-1] / lanes[0]) ** 0.4)
    _finish(axes, ends, lanes, "environments (lanes) in one session")
    if any("in flight" in row["contestant"] for row in rows):
        conditions = f"at 32 lanes the best of lock step and several batches in flight; {conditions}"
    entitle(figure, f"{title.partition(':')[0]}: steps over lanes", conditions)
    return figure


def over_cores(rows: list[Row], title: str, conditions: str) -> Any:
    """Steps over the cores that everything may use, the raw loop's with a process for each."""
    figure, axes = canvas(6)
    series = _series(rows, "cores")
    ends = _draw(axes, series)
    cores = sorted({cores for points in series.values() for cores in points})
    wide = max(cores[-1] - cores[0], 1)
    axes.set_xlim(cores[0] - 0.05 * wide, cores[-1] + 0.4 * wide)
    _finish(axes, ends, cores, "cores that client, server and workers share")
    entitle(figure, f"{title.partition(':')[0]}: steps over cores", conditions)
    return figure


def _series(rows: list[Row], axis: str) -> Series:
    """Rows by line and place; of several at the same place the fastest."""
    found: Series = {}
    for row in rows:
        first, *words = row["contestant"].split(", ")
        way = next((word for word in reversed(words) if f"{first}, {word}" in COLOURS), "")
        name = f"{first}, {way}" if way else first
        if name not in COLOURS or "unary" in words:
            continue
        points = found.setdefault(name, {})
        if row[axis] not in points or points[row[axis]]["steps_per_s"] < row["steps_per_s"]:
            points[row[axis]] = row
    return found


def _draw(axes: Axes, series: Series) -> list[tuple[float, str]]:
    """Draw the lines; where each ends is returned, with its name."""
    ends = []
    for name, points in series.items():
        places = sorted(points)
        ordered = [points[place] for place in places]
        rates = [row["steps_per_s"] for row in ordered]
        axes.errorbar(places, rates, spread(ordered), color=COLOURS[name], marker="o", capsize=3, linewidth=2)
        ends.append((rates[-1], name))
    return ends


def _finish(axes: Axes, ends: list[tuple[float, str]], places: list[int], label: str) -> None:
    axes.set_ylim(bottom=0)
    axes.set_xticks(places, [str(place) for place in places])
    axes.minorticks_off()
    axes.set_xlabel(label)
    axes.set_ylabel("env-steps per second")
    separate_thousands(axes.yaxis)
    _name_lines(axes, ends)


def _name_lines(axes: Axes, ends: list[tuple[float, str]]) -> None:
    """Write each line's name at its right end, kept apart from the one below."""
    top = axes.get_ylim()[1]
    place = float("-inf")
    for rate, name in sorted(ends):
        place = max(rate, place + top * 0.055)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        colour = COLOURS.get(name, GRAY)
        axes.text(axes.get_xlim()[1], place, name, color=colour, va="center", ha="right", bbox=box)
