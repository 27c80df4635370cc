"""What a training run writes down: where its time goes, a table, a curve."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

PARTS = "waiting", "sending", "acting", "learning"
RECENT = 100
"""Episodes whose returns are averaged."""


class Stopwatch:
    """Wall time since it was made, and what it was spent on: `with watch("learning"): …`."""

    def __init__(self) -> None:
        """Starts now."""
        self._start, self._spent = time.perf_counter(), dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        """Add the seconds of a block."""
        begun = time.perf_counter()
        yield
        self._spent[what] += time.perf_counter() - begun

    def read(self) -> dict[str, float]:
        """All seconds, and the parts of them, which are 1 together: what was not measured is the rest."""
        seconds = time.perf_counter() - self._start
        shares = {what: spent / seconds for what, spent in self._spent.items()}
        return {"seconds": seconds, **shares, "rest": 1 - sum(shares.values())}


class Log:
    """What a run has to show: a row per update, and each episode's return with the steps at the end of its rollout.

    `directory` gets progress.csv, which grows with each update, and curve.png.
    """

    def __init__(self, directory: Path) -> None:
        """Make the directory; what is there from another run stays until there is something to write."""
        self.rows: list[dict[str, Any]] = []
        self.episodes: list[tuple[int, float]] = []
        self._table, self._curve = directory / "progress.csv", directory / "curve.png"
        directory.mkdir(parents=True, exist_ok=True)

    def add(self, steps: int, returns: list[float], times: dict[str, float], losses: dict[str, float]) -> str:
        """Append an update; a line about it. `mean_return` is empty as long as no episode has ended."""
        self.episodes += [(steps, value) for value in returns]
        recent = [value for _, value in self.episodes[-RECENT:]]
        mean = sum(recent) / len(recent) if recent else None
        self.rows.append({"steps": steps, "episodes": len(self.episodes), "mean_return": mean, **times, **losses})
        first = len(self.rows) == 1
        with self._table.open("w" if first else "a", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0])
            if first:
                writer.writeheader()
            writer.writerow(self.rows[-1])
        score = "no episode ended" if mean is None else f"mean return {mean:.2f}"
        return f"{steps:,} steps  {steps / times['seconds']:,.0f} steps/s  {score}  waiting {times['waiting']:.0%}"

    def close(self, title: str) -> str:
        """Draw the curve; what the wall time went to, and where the files are."""
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.add_subplot(title=title, xlabel="environment steps, all lanes", ylabel="return, unclipped")
        axes.plot(*np.array(self.episodes).reshape(-1, 2).T, ".", color="#999999", markersize=4, label="an episode")
        means = [(row["steps"], row["mean_return"]) for row in self.rows if row["episodes"]]
        axes.plot(*np.array(means).reshape(-1, 2).T, color="#0072B2", label=f"mean of the last {RECENT}")
        axes.legend()
        figure.savefig(self._curve, dpi=120)
        last = self.rows[-1]
        return (
            f"wall time {last['seconds']:,.1f} s: {last['waiting']:.1%} waiting for environments, "
            f"{last['sending']:.1%} sending to them, {last['acting']:.1%} forward passes, "
            f"{last['learning']:.1%} learning, {last['rest']:.1%} the rest\n"
            f"wrote {self._table} and {self._curve}"
        )
