"""All cases, one module per topic; importing this registers them, in this order."""

from openenv_grpc.testing.cases import (
    bad_frames,
    bad_input,
    chunks,
    description,
    episodes,
    fields,
    layouts,
    openings,
    seeds,
    timing,
    verbs,
)

__all__ = [
    "bad_frames",
    "bad_input",
    "chunks",
    "description",
    "episodes",
    "fields",
    "layouts",
    "openings",
    "seeds",
    "timing",
    "verbs",
]
