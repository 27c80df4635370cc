"""All cases, one module per topic; importing this registers them, in this order."""

from openenv_grpc.testing.cases import (
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
