"""Servers that open sessions that cannot be."""

from __future__ import annotations

from typing import Any

from tests.testing.broken.fault import fault

LARGEST = 2**32 - 1


@fault("request", "open_without_lanes_is_refused")
def opens_a_lane_where_none_is_asked_for(talk: Any, request: Any) -> None:
    """Zero lanes are one."""
    if request.HasField("open") and not request.open.lanes:
        request.open.lanes = 1


@fault("request", "lanes_beyond_the_limit_are_refused")
def takes_the_largest_number_for_none(talk: Any, request: Any) -> None:
    """The largest number of lanes that can be asked for is one."""
    if request.open.lanes == LARGEST:
        request.open.lanes = 1


@fault("request", "shards_beyond_the_lanes_are_refused")
def opens_as_many_shards_as_it_can(talk: Any, request: Any) -> None:
    """Shards beyond the lanes are dropped."""
    if request.open.shards > request.open.lanes:
        request.open.shards = request.open.lanes


@fault("request", "unknown_modes_are_refused")
def takes_an_unknown_mode_for_the_default(talk: Any, request: Any) -> None:
    """A mode that there is not is the default."""
    if request.open.autoreset_mode > 3:
        request.open.autoreset_mode = 0


@fault("request", "another_spec_hash_is_refused")
def does_not_look_at_the_hash(talk: Any, request: Any) -> None:
    """Clients that were generated from other messages are welcome."""
    if request.HasField("open"):
        request.open.spec_hash = ""


@fault("request", "another_revision_is_refused")
def takes_no_revision_for_its_own(talk: Any, request: Any) -> None:
    """A client that does not say its revision is welcome."""
    if request.HasField("open") and not request.open.protocol_revision:
        request.open.protocol_revision = 1
