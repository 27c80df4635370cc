"""Costs that are no race: a file each, found by looking, with `measure(setting, quick)` and perhaps `TARGETS`."""

from __future__ import annotations

import importlib
import pkgutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.targets import Target


@dataclass(frozen=True)
class Figure:
    """One cost: the median of samples, with the lowest and highest."""

    name: str
    unit: str
    samples: Sequence[float]
    note: str = ""
    skipped: str = ""

    def row(self) -> dict[str, Any]:
        """As JSON."""
        if self.skipped:
            return {"figure": self.name, "unit": self.unit, "value": None, "skipped": self.skipped}
        low, middle, high = min(self.samples), statistics.median(self.samples), max(self.samples)
        value, spread = round(middle, 4), [round(low, 4), round(high, 4)]
        return {"figure": self.name, "unit": self.unit, "value": value, "spread": spread, "note": self.note}


def names() -> list[str]:
    """All of them."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """One of them."""
    return importlib.import_module(f"{__name__}.{name}")


def targets(name: str) -> list[Target]:
    """What its figures must reach."""
    return list(getattr(load(name), "TARGETS", ()))
