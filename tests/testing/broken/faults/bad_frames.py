"""Servers that take bad frames for something else."""

from __future__ import annotations

from typing import Any

from openenv_grpc.errors import InvalidArgument, SessionLost
from openenv_grpc.testing.frames import SIZE_FIELD
from tests.testing.broken.fault import allow, fault, reason, refuse

LARGEST = 2**32 - 1


@fault("unreadable", "bytes_that_are_no_message_are_refused")
def calls_rubbish_an_argument(talk: Any, data: bytes, answer: Any) -> None:
    """Bytes that are no message are refused as a wrong argument."""
    if data.startswith(b"\xff"):
        refuse(answer, InvalidArgument("not a message", field="header"))


@fault("unreadable", "a_truncated_frame_is_refused")
def answers_half_a_request(talk: Any, data: bytes, answer: Any) -> None:
    """A truncated step is answered."""
    if data.startswith(b"\x0d"):
        allow(answer, "step")


@fault("request", "a_header_size_beyond_the_message_is_refused")
def ignores_a_header_size_beyond_the_message(talk: Any, request: Any) -> None:
    """A header_size beyond the message is taken for none."""
    if request.header_size > request.ByteSize():
        request.header_size = 0


@fault("request", "a_header_size_elsewhere_is_refused")
def ignores_a_header_size_of_nothing(talk: Any, request: Any) -> None:
    """A header_size that says that there is no header is taken for none."""
    if request.header_size == SIZE_FIELD:
        request.header_size = 0


@fault("unreadable", "text_that_is_no_utf8_is_refused")
def does_not_say_which_text_is_bad(talk: Any, data: bytes, answer: Any) -> None:
    """Text that is not UTF-8 is refused without a name."""
    if reason(answer) == "INVALID_ARGUMENT":
        refuse(answer, InvalidArgument("some text is not UTF-8"))


@fault("request", "an_unknown_shard_is_refused")
def counts_shards_modulo(talk: Any, request: Any) -> None:
    """A shard far beyond the last one is the first one."""
    if request.shard == LARGEST:
        request.shard = 0


@fault("answer", "a_request_without_a_verb_is_refused")
def does_nothing_and_says_so(talk: Any, request: Any, answer: Any) -> None:
    """On a stream, a request without a verb is answered."""
    if not talk.method and len(talk.requests) > 1 and request.WhichOneof("verb") is None:
        allow(answer, "state")


@fault("answer", "extensions_are_refused")
def calls_an_extension_a_wrong_verb(talk: Any, request: Any, answer: Any) -> None:
    """An extension is refused as a wrong argument."""
    if request.HasField("extension"):
        refuse(answer, InvalidArgument("no such verb", field="verb"))


@fault("answer", "an_unknown_session_is_lost")
def answers_for_sessions_that_never_were(talk: Any, request: Any, answer: Any) -> None:
    """The state of an unknown session is answered if that is the first request: one that has ended had others."""
    if request.HasField("state") and request.seq == 1 and reason(answer) == SessionLost.reason:
        allow(answer, "state")


@fault("request", "a_message_beyond_the_limit_is_refused")
def cuts_what_is_too_long(talk: Any, request: Any) -> None:
    """A payload beyond the limit is dropped."""
    if len(request.payload) > 2 << 20:
        request.payload = b""
