"""All faults, one module per topic; importing this registers them."""

from tests.testing.broken.faults import (
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
