"""Servers that get chunks wrong."""

from __future__ import annotations

from typing import Any

from tests.testing.broken.fault import fault


@fault("answer", "a_chunk_is_its_single_steps")
def changes_the_last_row_of_a_chunk(talk: Any, request: Any, answer: Any) -> None:
    """The last observation of a chunk is another one."""
    if answer.step.chunk and answer.payload:
        answer.payload = answer.payload[:-1] + bytes([answer.payload[-1] ^ 1])


@fault("request", "a_chunk_beyond_the_limit_is_refused")
def cuts_long_chunks(talk: Any, request: Any) -> None:
    """A chunk beyond the limit is cut to one action."""
    if request.step.chunk > 256:
        request.step.chunk = 1
