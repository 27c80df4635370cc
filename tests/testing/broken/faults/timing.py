"""Servers that take their time."""

from __future__ import annotations

from typing import Any

from tests.testing.broken.fault import fault


@fault("request", "a_late_step_is_interrupted")
def ignores_the_time_budget(talk: Any, request: Any) -> None:
    """A request's own time budget is dropped."""
    request.timeout_ms = 0
