"""All faults, one module per topic; importing this registers them."""

from tests.testing.broken.faults import (
    capacity,
    chunks,
    description,
    draining,
    episodes,
    pipelining,
    seeds,
    sessions,
    timing,
    verbs,
)

__all__ = [
    "capacity",
    "chunks",
    "description",
    "draining",
    "episodes",
    "pipelining",
    "seeds",
    "sessions",
    "timing",
    "verbs",
]
