"""All cases, one module per topic; importing this registers them, in this order."""

from openenv_grpc.testing.cases import chunks, description, episodes, pipelining, seeds, sessions, timing, verbs

__all__ = ["chunks", "description", "episodes", "pipelining", "seeds", "sessions", "timing", "verbs"]
