"""What a run must reach, as ratios of its own rows or bounds on its own figures; printed as met or missed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """One of them.

    Attributes:
        text: What must be so.
        rows: Contestants, the best of which counts; or the figure's name.
        per: The contestant that it is divided by; empty for a figure.
        must: The least ratio, or (`at_most`) the largest figure.
        goal: What we would like, if that is more.
        at_most: Whether less is better.
    """

    text: str
    rows: tuple[str, ...]
    per: str
    must: float
    goal: float | None = None
    at_most: bool = False


def evaluate(target: Target, values: Mapping[str, float]) -> dict[str, Any]:
    """Compare a target with what was measured.

    Args:
        target: The target.
        values: Steps per second by contestant of the target's question, and figures by name.

    Returns:
        `value` (None where a row is missing), `met` and `goal_met` (None likewise), and the target's own words.
    """
    found = {name: values[name] for name in target.rows if values.get(name)}
    base = values.get(target.per) if target.per else 1.0
    told = {"text": target.text, "must": target.must, "goal": target.goal, "at_most": target.at_most, "per": target.per}
    if not found or not base:
        return {**told, "row": None, "value": None, "met": None, "goal_met": None}
    row = (min if target.at_most else max)(found, key=lambda name: found[name])
    value = found[row] / base

    def reached(bound: float | None) -> bool | None:
        if bound is None:
            return None
        return value <= bound if target.at_most else value >= bound

    return {**told, "row": row, "value": round(value, 4), "met": reached(target.must), "goal_met": reached(target.goal)}


def evaluate_all(
    targets: Iterable[tuple[str, Target]], rows: Iterable[Mapping[str, Any]], figures: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """All targets of a run, each with the name of its question (empty: a figure)."""
    measured: dict[str, dict[str, float]] = {"": {figure["figure"]: figure["value"] for figure in figures}}
    for row in rows:
        measured.setdefault(row["question"], {})[row["contestant"]] = row.get("steps_per_s", 0.0)
    return [{"question": name, **evaluate(target, measured.get(name, {}))} for name, target in targets]
