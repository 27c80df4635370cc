"""The questions, found by looking: a directory each, with a file for each group of contestants.

A question's `__init__.py` has `question()`. Every other file in it has `contestants(setting)`, whose rows join the
question's table and take turns with the others', and may have `TARGETS` and `ORDER` (place in the table, 50 if not
given). To add rows, add a file; to ask something new, add a directory.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Question
    from benchmarks.setting import Setting
    from benchmarks.targets import Target


def names() -> list[str]:
    """All questions."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__) if found.ispkg)


def _groups(name: str) -> list[ModuleType]:
    package = importlib.import_module(f"{__name__}.{name}")
    parts = [part.name for part in pkgutil.iter_modules(package.__path__)]
    found = [importlib.import_module(f"{package.__name__}.{part}") for part in parts]
    return sorted(found, key=lambda module: getattr(module, "ORDER", 50))


def build(name: str, setting: Setting) -> Question:
    """A question with all its contestants, their servers running."""
    question: Question = importlib.import_module(f"{__name__}.{name}").question()
    for module in _groups(name):
        question.contestants += module.contestants(setting)
    return question


def targets(name: str) -> list[Target]:
    """What a question's contestants must reach."""
    return [target for module in _groups(name) for target in getattr(module, "TARGETS", ())]
