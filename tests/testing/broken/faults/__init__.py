"""All faults, one module per topic; importing this registers them."""

from tests.testing.broken.faults import chunks, description, episodes, pipelining, seeds, sessions, timing, verbs

__all__ = ["chunks", "description", "episodes", "pipelining", "seeds", "sessions", "timing", "verbs"]
