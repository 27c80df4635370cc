"""Frames that cannot be read or belong nowhere: each is refused by what is wrong with it, and harms nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.testing.carriers import Stream
from openenv_grpc.testing.case import BOTH, STREAM, UNARY, NotApplicable, case
from openenv_grpc.testing.frames import SIZE_FIELD, framed, with_size

if TYPE_CHECKING:
    from openenv_grpc.testing.peer import Peer, Session
    from openenv_grpc.v1 import session_pb2

LARGEST = 2**32 - 1
MOST_BYTES = 64 << 20
"""A limit on messages beyond this one is not tried out."""


def _unread(session: Session) -> session_pb2.SessionRequest:
    """A good step that will not be read, and so takes no number."""
    request, _ = session.stepping(seq=session.seqs[0] + 1)
    return request


@case()
def bytes_that_are_no_message_are_refused(peer: Peer) -> None:
    """Bytes that are no protobuf are refused with MALFORMED_FRAME, naming the header; they use up no number."""
    session = peer.begin()
    for data in (b"\xff" * 20, b"\x0a" + b"\xff" * 9 + b"\x01"):
        session.exchange("step", data).lives().refused("MALFORMED_FRAME", field="header")
    session.check_usable()


@case()
def a_truncated_frame_is_refused(peer: Peer) -> None:
    """A frame that ends too early is refused with MALFORMED_FRAME; it uses up no number."""
    session = peer.begin()
    data = framed(_unread(session))
    for cut in (1, 2):
        session.exchange("step", data[:-cut]).lives().refused("MALFORMED_FRAME")
    session.check_usable()


@case()
def a_header_size_beyond_the_message_is_refused(peer: Peer) -> None:
    """A header_size beyond the end of its message is refused with MALFORMED_FRAME, naming it; no number is used up."""
    session = peer.begin()
    data = framed(_unread(session))
    for size in (len(data) + 1, LARGEST):
        wrong = with_size(size, data[SIZE_FIELD:])
        session.exchange("step", wrong).lives().refused("MALFORMED_FRAME", field="header_size")
    session.check_usable()


@case()
def a_header_size_elsewhere_is_refused(peer: Peer) -> None:
    """A header_size where field 1000 does not begin is refused with MALFORMED_FRAME, naming it; no number is used."""
    session = peer.begin()
    data = framed(_unread(session))
    wrong = with_size(SIZE_FIELD, data[SIZE_FIELD:])
    session.exchange("step", wrong).lives().refused("MALFORMED_FRAME", field="header_size")
    session.check_usable()


@case()
def text_that_is_no_utf8_is_refused(peer: Peer) -> None:
    """A text field that is not UTF-8 is refused with INVALID_ARGUMENT, naming it; no number is used up."""
    session = peer.begin()
    data = _unread(session).SerializeToString() + b"\x2a\x02\xff\xfe"  # field 5, session_id
    session.exchange("step", data).lives().refused("INVALID_ARGUMENT", field="session_id")
    session.check_usable()


@case()
def an_unknown_shard_is_refused(peer: Peer) -> None:
    """A shard that the session does not have is refused with INVALID_ARGUMENT, naming it; no number is used up."""
    session = peer.begin()
    for shard in (len(session.opened.shards), LARGEST):
        answer = session.ask("state", shard=shard, seq=session.seqs[0] + 1)
        answer.lives().refused("INVALID_ARGUMENT", field="shard")
    session.check_usable()


@case(faces=STREAM)
def a_request_without_a_verb_is_refused(peer: Peer) -> None:
    """A request on a stream with no verb, or none that this revision knows, is refused with INVALID_ARGUMENT."""
    session = peer.begin()
    for unknown in (b"", b"\x6a\x00"):  # field 13 may be a verb of a later revision
        request = session.request("state")
        request.ClearField("state")
        answer = session.exchange("nothing", request.SerializeToString() + unknown)
        answer.lives().refused("INVALID_ARGUMENT", field="verb")
    session.check_usable()


@case(faces=STREAM)
def extensions_are_refused(peer: Peer) -> None:
    """A request that carries an extension is refused with UNSUPPORTED: this revision has none."""
    session = peer.begin()
    session.ask("extension").lives().refused("UNSUPPORTED")
    session.check_usable()


@case(faces=UNARY)
def an_unknown_session_is_lost(peer: Peer) -> None:
    """A unary call with the id of no session gets SESSION_LOST, and the sessions there are live on."""
    session = peer.begin()
    for name in ("", "no such session", session.opened.session_id + "x"):
        session.ask("state", session_id=name, seq=1).refused("SESSION_LOST")
    session.check_usable()


@case(faces=BOTH)
def a_message_beyond_the_limit_is_refused(peer: Peer) -> None:
    """A message of more than Limits.message_bytes ends with RESOURCE_EXHAUSTED, and other sessions live on."""
    limit = peer.target.limits.message_bytes
    if limit > MOST_BYTES:
        msg = f"messages may have {limit} bytes: that is too much to try out"
        raise NotApplicable(msg)
    neighbour, session = peer.begin(), peer.begin()
    request = session.request("step", payload=bytes(limit + 1), seq=session.seqs[0] + 1)
    if isinstance(session.carrier, Stream):
        session.carrier.send(request)
        session.carrier.wait_for_break("RESOURCE_EXHAUSTED")
    else:
        session.exchange("step", request).ended_with("RESOURCE_EXHAUSTED")
        session.check_usable()
    neighbour.check_usable()
