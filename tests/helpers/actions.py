"""Actions of the tests' environments as bytes, for requests written by hand."""

from __future__ import annotations

from typing import Any

from openenv_bare.v1 import bare_pb2
from openenv_probe import types

from tests.environments_for_tests.probe import blank


def probe(verb: str = "", **changes: Any) -> bytes:
    """A serialized ProbeAction."""
    return types.RECORDS.encode("openenv_probe.v1.ProbeAction", blank(verb, **changes)).SerializeToString()


def bare(move: int = 1) -> bytes:
    """A serialized BareAction."""
    return bare_pb2.BareAction(move=move).SerializeToString()


def do(verb: str = "", **changes: Any) -> dict[str, Any]:
    """A step of the only lane, in record layout."""
    return {"actions": [probe(verb, **changes)]}
