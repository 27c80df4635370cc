"""What a person sees of a build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from openenv_grpc.cli.build.command import Image

MB = 1e6


class Display:
    """A progress bar on a terminal, a line for each step elsewhere.

    Args:
        console: Where it is drawn.
    """

    def __init__(self, console: Console) -> None:
        """Nothing is drawn yet."""
        self._console = console
        columns = (TimeElapsedColumn(), BarColumn(20), TextColumn("{task.description}", markup=False))
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Display:
        """Begin to draw."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        self._progress.stop()

    def tell(self, what: str) -> None:
        """Something begins."""
        self.step(what, None, None)

    def step(self, what: str, number: int | None, total: int | None) -> None:
        """A step of the build begins."""
        line = " ".join(what.split())
        if self._console.is_terminal:
            width = max(self._console.width - 40, 20)
            self._progress.update(self._task, description=line[:width], completed=(number or 1) - 1, total=total)
        else:
            self._console.print(f"[{number}/{total}] {line}" if number else line, markup=False, highlight=False)

    def show(self, image: Image) -> None:
        """The result."""
        over = image.size - image.base_size
        facts = {
            "image": ", ".join(image.tags),
            "id": image.id,
            "size": f"{image.size / MB:.1f} MB, {over / MB:.1f} MB over its base",
            **image.facts,
        }
        for name, value in facts.items():
            self._console.print(f"{name:>17}  {value}", markup=False, highlight=False, soft_wrap=True)
