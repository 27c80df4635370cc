"""Charts of a run, PNG and SVG: bars of all contestants, steps over lanes and over cores, games side by side.

What a run did not measure is not drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt

from benchmarks.charts import bars, lines
from benchmarks.charts.style import STYLE, Row, machine, save


def draw(result: dict[str, Any], directory: Path) -> list[Path]:
    """Draw what there is; the files' paths are returned."""
    directory.mkdir(parents=True, exist_ok=True)
    measured: dict[str, list[Row]] = {}
    for row in result["rows"]:
        if "skipped" not in row:
            measured.setdefault(row["question"], []).append(row)
    paths: list[Path] = []
    with plt.rc_context(STYLE):
        for name, rows in measured.items():
            question = result["questions"][name]
            for suffix, figure in _of_question(name, rows, question["title"], _conditions(result, name)).items():
                paths += save(figure, directory / f"bench-{name.replace('_', '-')}{suffix}")
        played = [name for name in bars.GAMES if name in measured]
        if len(played) > 1:
            paths += save(bars.games(measured, _conditions(result, played[0])), directory / "bench-atari-games")
    return paths


def _conditions(result: dict[str, Any], question: str) -> str:
    return f"{result['questions'][question]['conditions']}\n{machine(result)}"


def _of_question(name: str, rows: list[Row], title: str, conditions: str) -> dict[str, Any]:
    """A question's charts, by what is added to the file's name."""
    if name == "atari_cores":
        return {"": lines.over_cores(rows, title, conditions)}
    if name == "atari_lanes":
        return {"": lines.over_lanes(rows, title, conditions)}
    found = {"": bars.contestants(rows, title, conditions)}
    if lines.has_lanes(rows):
        found["-lanes"] = lines.over_lanes(rows, title, conditions)
    return found
