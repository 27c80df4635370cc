"""All faults, one module per topic; importing this registers them."""

from tests.testing.broken.faults import chunks, description, episodes, seeds, timing, verbs

__all__ = ["chunks", "description", "episodes", "seeds", "timing", "verbs"]
