"""Bars: all contestants of a question; and those who play several games, game by game."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.pyplot import Rectangle

from benchmarks.charts.style import (
    CEILINGS,
    CONTROLS,
    ENVPOOL,
    OURS,
    PEERS,
    Row,
    canvas,
    entitle,
    separate_thousands,
    spread,
)
from benchmarks.contestants import MANY, OPENENV, POOL, TWO

KINDS = {"openenv-grpc": OURS, "OpenEnv": PEERS, "bare": CONTROLS, "binary": CONTROLS}
LEGEND = {OURS: "openenv-grpc", PEERS: "OpenEnv", CONTROLS: "controls", CEILINGS: "in process"}
WIDE = 20
"""Times between the slowest and the fastest, beyond which bars need a logarithmic axis."""
GAMES = {"atari_rgb": "Pong", "atari_breakout": "Breakout", "atari_seaquest": "Seaquest"}
PLAYERS = {
    "openenv-grpc, local lane": (MANY, OURS),
    "raw loop, 2 processes": ((TWO,), CONTROLS),
    "AtariVectorEnv, in process": ((POOL,), CEILINGS),
    "EnvPool, in process": (("EnvPool, 32 lanes",), ENVPOOL),
}
"""Who plays the games: name, contestants of which the fastest counts, colour."""


def contestants(rows: list[Row], title: str, conditions: str) -> Any:
    """A bar for each."""
    rows = sorted(rows, key=lambda row: row["steps_per_s"])
    figure, axes = canvas(1.6 + 0.3 * len(rows))
    rates = [row["steps_per_s"] for row in rows]
    names = [row["contestant"] for row in rows]
    axes.barh(names, rates, color=[_colour(row) for row in rows], xerr=spread(rows), ecolor="#333333", height=0.7)
    wide = max(rates) > WIDE * min(rates)
    axes.set_xscale("log" if wide else "linear")
    axes.set_xlim(right=max(row["spread"][1] for row in rows) * (6 if wide else 1.25))
    axes.set_xlabel(f"env-steps per second{' (logarithmic)' * wide}")
    if not wide:
        separate_thousands(axes.xaxis)
    compared = OPENENV in names
    for place, row in enumerate(rows):
        times = f"  ({row['x_openenv']:,.1f} ×)" if compared and row["x_openenv"] else ""
        _write_beside(axes, row, place, times)
    _legend(axes, {_colour(row) for row in rows})
    entitle(figure, title, "in brackets: times OpenEnv's WebSocket client as shipped; " * compared + conditions)
    return figure


def games(questions: dict[str, list[Row]], conditions: str) -> Any:
    """Four bars for each game: ours, the emulator alone, and pools in process.

    Args:
        questions: Rows by question, of which those in `GAMES` are drawn; at least one.
        conditions: What is the same for all games.
    """
    found = {game: _players(questions[name]) for name, game in GAMES.items() if name in questions}
    figure, axes = canvas(1.4 + sum(0.45 + 0.3 * len(rows) for rows in found.values()))
    ticks, place = {}, 0.0
    for game, rows in found.items():
        ticks[place] = game
        top = rows.get("raw loop, 2 processes")
        for name, row in rows.items():
            place += 1
            ticks[place] = name
            axes.barh(place, row["steps_per_s"], color=PLAYERS[name][1], height=0.75)
            axes.errorbar(row["steps_per_s"], place, xerr=spread([row]), color="#333333", fmt="none")
            _write_beside(axes, row, place, f"  ({row['steps_per_s'] / top['steps_per_s']:.2f})" if top else "")
        place += 1.5
    axes.set_yticks([*ticks], [*ticks.values()])
    for label in axes.get_yticklabels():
        if label.get_text() in found:
            label.set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(right=max(row["spread"][1] for rows in found.values() for row in rows.values()) * 1.2)
    axes.set_xlabel("env-steps per second")
    separate_thousands(axes.xaxis)
    words = "in brackets: of the raw loop; ours the best of lock step and several batches in flight\n"
    entitle(figure, "Atari, RGB, 32 lanes: steps per second by game", words + conditions)
    return figure


def _players(rows: list[Row]) -> dict[str, Row]:
    by_name = {row["contestant"]: row for row in rows}
    found = {name: [by_name[each] for each in one if each in by_name] for name, (one, _) in PLAYERS.items()}
    return {name: max(some, key=lambda row: row["steps_per_s"]) for name, some in found.items() if some}


def _write_beside(axes: Axes, row: Row, place: float, more: str) -> None:
    axes.annotate(
        f"{row['steps_per_s']:,.0f}{more}",
        (row["spread"][1], place),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def _colour(row: Row) -> str:
    return next((colour for start, colour in KINDS.items() if row["contestant"].startswith(start)), CEILINGS)


def _legend(axes: Axes, colours: set[str]) -> None:
    handles = [Rectangle((0, 0), 1, 1, color=colour) for colour in LEGEND if colour in colours]
    axes.legend(handles, [LEGEND[colour] for colour in LEGEND if colour in colours], loc="lower right", frameon=False)
