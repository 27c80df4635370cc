"""Checks of values that a client chooses. Each raises InvalidArgument that names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Sequence

_HIGH = 2**31 - 1  # ALE keeps its integer settings in 32 bits


def check_integer(field: str, value: Any, low: int = 0, high: int = _HIGH) -> None:
    """An integer from `low` to `high`, by default 2³¹ − 1."""
    good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    _require(good, field, value, f"an integer within [{low}, {high}]")


def check_probability(field: str, value: Any) -> None:
    """A number in [0, 1): with 1 the console would never hear an action."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1
    _require(good, field, value, "a number within [0, 1)")


def check_flag(field: str, value: Any) -> None:
    """True or False."""
    _require(isinstance(value, bool), field, value, "True or False")


def check_choice(field: str, value: Any, choices: Sequence[Any]) -> None:
    """One of the choices."""
    good = value in choices and not isinstance(value, bool)
    _require(good, field, value, f"one of {', '.join(map(str, choices))}")


def _require(good: bool, field: str, value: Any, wanted: str) -> None:
    if not good:
        message = f"{value!r:.40} is not {wanted:.400}"
        raise InvalidArgument(message, field=field)
