"""What this machine can hold an environment with: one small function for each question, each with advice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.providers.doctor import engine, host
from openenv_grpc.providers.doctor.finding import Finding, State

if TYPE_CHECKING:
    from collections.abc import Sequence


def examine() -> list[Finding]:
    """All findings, in the order in which one reads them. Nothing is changed, no container is started."""
    return [*engine.examine(), *host.examine()]


def can_harden(findings: Sequence[Finding]) -> bool:
    """Whether containers of the hardened profile can run here."""
    return all(finding.state is not State.MISSING for finding in findings if finding.needed)


__all__ = ["Finding", "State", "can_harden", "examine"]
