"""The answer to one question about this machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How it is."""

    WORKS = "works"
    LIMITED = "limited"
    """It does less than it could; what is needed works."""
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        name: What was looked at.
        state: How it is.
        found: What was found.
        advice: What to do about it; "" where nothing needs to be done.
        needed: Whether the hardened profile cannot do without.
    """

    name: str
    state: State
    found: str
    advice: str = ""
    needed: bool = False
