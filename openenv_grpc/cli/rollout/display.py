"""What a rollout shows: a live view on a terminal, plain lines elsewhere, and a summary at the end."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from openenv_grpc.cli.rollout.episodes import spread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console, RenderableType

    from openenv_grpc.cli.rollout.episodes import Ledger

LIVE_INTERVAL_S = 0.2
LINE_INTERVAL_S = 2.0
RATE_WINDOW_S = 3.0
HINT_AFTER_S = 20.0
MANY = 8
"""Lanes shown one by one, and latest returns shown."""
MOST_ROWS = 20
"""Episodes listed one by one in the summary."""


class Progress:
    """The view of a rollout while it runs; a context manager.

    Args:
        ledger: What is shown.
        console: Where. On a terminal the view is redrawn in place; elsewhere a line is written now and then.
        title: What is being played.
    """

    def __init__(self, ledger: Ledger, console: Console, title: str) -> None:
        """Nothing is shown yet."""
        self._ledger = ledger
        self._console = console
        self._title = title
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._start = self._shown = time.monotonic()
        self._samples: deque[tuple[float, int]] = deque([(self._start, 0)])
        self._line = ""

    def __enter__(self) -> Progress:
        """Show it."""
        self._start = self._shown = time.monotonic()
        self._samples = deque([(self._start, self._ledger.steps)])
        if self._live is None:
            self._console.print(self._title, markup=False, highlight=False)
        else:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show where it stands at the end; leave nothing of the live view behind."""
        if self._live is not None:
            self._live.stop()
        elif self._ledger.steps and self.line != self._line:
            self._print_line()

    def update(self) -> None:
        """Show the present state, if it is time to."""
        now = time.monotonic()
        if now - self._shown < (LINE_INTERVAL_S if self._live is None else LIVE_INTERVAL_S):
            return
        self._shown = now
        self._samples.append((now, self._ledger.steps))
        while len(self._samples) > 2 and now - self._samples[0][0] > RATE_WINDOW_S:
            self._samples.popleft()
        if self._live is None:
            self._print_line()
        else:
            self._live.update(self._view(), refresh=True)

    def _print_line(self) -> None:
        self._line = self.line
        self._console.print(self._line, markup=False, highlight=False, soft_wrap=True)

    @property
    def wall_s(self) -> float:
        """Seconds since it was first shown."""
        return time.monotonic() - self._start

    @property
    def rate(self) -> float:
        """Environment steps per second, over the last few seconds."""
        since, steps = self._samples[0]
        return (self._ledger.steps - steps) / max(time.monotonic() - since, 1e-9)

    @property
    def line(self) -> str:
        """The state in one line."""
        ledger = self._ledger
        parts = [
            clock(self.wall_s),
            f"{len(ledger.latest)}/{ledger.episodes} episodes",
            f"{ledger.steps:,} steps",
            f"{self.rate:,.0f} steps/s",
            *self._returns(),
        ]
        return "  ".join(parts)

    def _returns(self) -> list[str]:
        returns = [episode.reward for episode in self._ledger.latest]
        found = spread(returns)
        if found is None:
            late = self.wall_s > HINT_AFTER_S
            hint = "no episode has ended yet; --max-steps N cuts episodes short" if late else ""
            return [hint] if hint else []
        latest = ", ".join(f"{value:g}" for value in returns[-MANY:])
        return [f"mean return {found.mean:.2f}", f"latest {latest}"]

    def _view(self) -> RenderableType:
        ledger = self._ledger
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(ledger.episodes, len(ledger.latest), width=30)
        counts = f"{len(ledger.latest)}/{ledger.episodes} episodes"
        head.add_row(bar, counts, f"{ledger.steps:,} steps", f"{self.rate:,.0f} steps/s", clock(self.wall_s))
        lanes = Table.grid(padding=(0, 2))
        for episode in list(ledger.running.values())[:MANY]:
            state = f"episode {episode.index}", f"step {episode.length:,}", f"return {episode.reward:g}"
            lanes.add_row(f"lane {episode.lane}", *state, style="dim")
        if len(ledger.running) > MANY:
            lanes.add_row(f"and {len(ledger.running) - MANY} more", style="dim")
        return Group(Text(self._title, style="bold"), head, Text("  ".join(self._returns())), lanes)


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def show_summary(ledger: Ledger, facts: Mapping[str, Any], console: Console) -> None:
    """Print what came of a rollout: its episodes if they are few, their statistics, and the facts of the run."""
    finished = ledger.finished
    if 0 < len(finished) <= MOST_ROWS:
        table = Table("episode", "lane", "seed", "return", "length", "ended", title="episodes")
        for episode in finished:
            row = episode.index, episode.lane, episode.seed, f"{episode.reward:g}", episode.length, episode.ending
            table.add_row(*map(str, row))
        console.print(table)
    if finished:
        console.print(_statistics(ledger))
    for name, value in facts.items():
        console.print(f"{name:>12}  {value}", markup=False, highlight=False, soft_wrap=True)


def _statistics(ledger: Ledger) -> Table:
    finished = ledger.finished
    table = Table("", "mean", "std", "min", "max", title="statistics")
    for name, numbers in (
        ("return", [episode.reward for episode in finished]),
        ("length", [float(episode.length) for episode in finished]),
    ):
        found = spread(numbers)
        if found is not None:
            table.add_row(name, f"{found.mean:.2f}", f"{found.std:.2f}", f"{found.min:g}", f"{found.max:g}")
    return table
