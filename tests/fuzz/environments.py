"""The tests' environments as the fuzz targets use them: nothing that an input says can hurt or slow the process."""

from __future__ import annotations

from typing import Any

import tests.helpers.packages  # noqa: F401 - makes the environments' messages importable

# isort: split
from openenv_probe import ProbeState

from tests.environments_for_tests.bare import BareEnvironment as BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment
from tests.environments_for_tests.probe import blank as blank

ALLOWED = ("raise", "refuse", "quit", "wrong")


class TameEnvironment(ProbeEnvironment):
    """A ProbeEnvironment that neither dies nor sleeps."""

    def _do(self, verb: str, amount: float) -> Any:
        return super()._do(verb, amount) if str(verb).partition(":")[0] in ALLOWED else None

    def state(self) -> ProbeState:
        return ProbeState(episode=self.episode, steps=self.steps, total=self.total, pid=0, modules=[])
