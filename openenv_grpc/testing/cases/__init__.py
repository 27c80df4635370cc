"""All cases, one module per topic; importing this registers them, in this order."""

from openenv_grpc.testing.cases import (
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
