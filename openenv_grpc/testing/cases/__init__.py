"""All cases, one module per topic; importing this registers them, in this order."""

from openenv_grpc.testing.cases import (
    bad_frames,
    bad_input,
    capacity,
    chunks,
    client,
    description,
    draining,
    episodes,
    fields,
    layouts,
    openings,
    pipelining,
    seeds,
    sessions,
    timing,
    verbs,
)

__all__ = [
    "bad_frames",
    "bad_input",
    "capacity",
    "chunks",
    "client",
    "description",
    "draining",
    "episodes",
    "fields",
    "layouts",
    "openings",
    "pipelining",
    "seeds",
    "sessions",
    "timing",
    "verbs",
]
