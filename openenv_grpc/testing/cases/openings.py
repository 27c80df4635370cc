"""Sessions that cannot be: each Open is refused by the field at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.testing.case import case
from openenv_grpc.testing.peer import REVISION

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer

LARGEST = 2**32 - 1


@case()
def open_without_lanes_is_refused(peer: Peer) -> None:
    """Open with zero lanes is refused with INVALID_ARGUMENT, naming them."""
    peer.try_open(lanes=0)[0].refused("INVALID_ARGUMENT", field="open.lanes")


@case()
def lanes_beyond_the_limit_are_refused(peer: Peer) -> None:
    """Open with more lanes than Limits.lanes is refused with INVALID_ARGUMENT, naming them."""
    for lanes in (peer.target.limits.lanes + 1, LARGEST):
        peer.try_open(lanes=min(lanes, LARGEST))[0].refused("INVALID_ARGUMENT", field="open.lanes")


@case()
def shards_beyond_the_lanes_are_refused(peer: Peer) -> None:
    """Open with more shards than lanes, or than Limits.shards, is refused with INVALID_ARGUMENT, naming them."""
    limits = peer.target.limits
    for lanes, shards in ((1, 2), (limits.lanes, min(limits.lanes, limits.shards) + 1), (1, LARGEST)):
        peer.try_open(lanes=lanes, shards=shards)[0].refused("INVALID_ARGUMENT", field="open.shards")


@case()
def unknown_modes_are_refused(peer: Peer) -> None:
    """Open with an autoreset mode that there is not is refused with INVALID_ARGUMENT, naming it."""
    peer.try_open(autoreset_mode=77)[0].refused("INVALID_ARGUMENT", field="open.autoreset_mode")


@case()
def another_spec_hash_is_refused(peer: Peer) -> None:
    """Open with another hash than the description's is refused with SPEC_MISMATCH; with the same it is granted."""
    peer.open(spec_hash=peer.target.environment.spec_hash)
    peer.try_open(spec_hash="of other messages")[0].refused("SPEC_MISMATCH", field="open.spec_hash")


@case()
def another_revision_is_refused(peer: Peer) -> None:
    """Open with another protocol revision, or none, is refused with PROTOCOL_MISMATCH."""
    for revision in (REVISION + 1, 0):
        answer, _ = peer.try_open(protocol_revision=revision)
        answer.refused("PROTOCOL_MISMATCH", field="open.protocol_revision")
