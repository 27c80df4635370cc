"""All faults, one module per topic; importing this registers them."""

from tests.testing.broken.faults import (
    capacity,
    chunks,
    client,
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
    "client",
    "description",
    "draining",
    "episodes",
    "pipelining",
    "seeds",
    "sessions",
    "timing",
    "verbs",
]
