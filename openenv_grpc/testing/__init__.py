"""Conformance: the rules of the protocol as cases that any server can be run against, in any language.

An environment's author inherits `ConformanceSuite`; `openenv-grpc check` runs the same cases from the command line.
docs/conformance.md says how to use it and how to add a case.
"""

from __future__ import annotations

import openenv_grpc.testing.cases  # noqa: F401 - registers them
from openenv_grpc.testing.case import ALL, BOTH, CASES, Case, Face, NotApplicable, Violation, case
from openenv_grpc.testing.launch import check_target
from openenv_grpc.testing.peer import Peer
from openenv_grpc.testing.runner import Result, run_case, run_cases, select
from openenv_grpc.testing.suite import ConformanceSuite
from openenv_grpc.testing.target import Hints, Target

__all__ = [
    "ALL",
    "BOTH",
    "CASES",
    "Case",
    "ConformanceSuite",
    "Face",
    "Hints",
    "NotApplicable",
    "Peer",
    "Result",
    "Target",
    "Violation",
    "case",
    "check_target",
    "run_case",
    "run_cases",
    "select",
]
