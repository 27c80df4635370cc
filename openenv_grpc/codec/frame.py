"""The frame: a protobuf message whose small fields come first and whose payload comes last, aligned and unparsed.

Layout (proto/openenv_grpc/v1/session.proto has the rule): `header_size` as the first field, the message's other
fields, padding, then the tag and length of field 1000 and its content. Encoding is one join; decoding parses the
header's slice and hands the payload on as an offset into the same bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from openenv_grpc.errors import InvalidArgument, MalformedFrame, MessageTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

ALIGN = 64
_SIZE = struct.Struct("<BI")
_SIZE_TAG = 1 << 3 | 5
_PAD_TAG = b"\xba\x3e"  # field 999, length-delimited
_PAYLOAD_TAG = b"\xc2\x3e"  # field 1000, length-delimited
_PADDING = [_PAD_TAG + bytes([n]) + bytes(n) for n in range(ALIGN)]
_BYTES = [bytes([n]) for n in range(0x80)]
MAX_HEADER = 0xFFFF_FFFF
SEARCHED = 1000
"""How many fields of an unreadable message are looked at for the one that is no text."""

MessageT = TypeVar("MessageT", bound="Message")


class Joint(NamedTuple):
    """Columns of a whole session, of which one shard's answer is some rows.

    Attributes:
        buffer: They, as a read-only array of bytes.
        lanes: Rows of each column.
        rows: Those of the answer.
    """

    buffer: Any
    lanes: int
    rows: range


class Apart(NamedTuple):
    """A frame whose payload came by another way than its header: through memory that its sender can still write.

    Attributes:
        head: The frame up to the payload's content.
        memory: Where the payload begins, as a read-only array of bytes.
        size: Its length.
        joint: Where its main columns lie, if not there.
    """

    head: bytes
    memory: Any
    size: int
    joint: Joint | None = None


class Frame(NamedTuple):
    """A decoded frame: its header, and where its payload lies.

    Attributes:
        data: The bytes that it came in, or memory that its sender can still write: what is checked there must be
            copied first.
        joint: Where the main columns lie, if not there.
    """

    header: Any
    data: Any
    offset: int
    size: int
    joint: Joint | None = None


def aligned(size: int) -> int:
    """The next multiple of 64."""
    return (size + ALIGN - 1) & -ALIGN


def encode_header(message: Message, payload_size: int) -> bytes:
    """All bytes of a frame up to its payload's content. `message` has neither header_size nor padding nor payload."""
    return b"".join(_header(message.SerializeToString(), payload_size))


def encode(message: Message, payload: bytes = b"") -> bytes:
    """A whole frame."""
    return assemble(message.SerializeToString(), payload)


def assemble(body: bytes, payload: bytes = b"") -> bytes:
    """A whole frame from serialized fields."""
    return b"".join((*_header(body, len(payload)), payload))


def _header(body: bytes, payload_size: int) -> tuple[bytes, ...]:
    size = _SIZE.size + len(body)
    if not payload_size:
        return _SIZE.pack(_SIZE_TAG, size), body
    tag = _PAYLOAD_TAG + varint(payload_size)
    padding = _PADDING[-(size + 3 + len(tag)) % ALIGN]
    return _SIZE.pack(_SIZE_TAG, size + len(padding)), body, padding, tag


def join(header: bytes, buffer: Any, offset: int, size: int) -> bytes:
    """A whole frame from its header and a payload that lies in other memory. One copy."""
    return b"".join((header, memoryview(buffer)[offset : offset + size]))


def decode(data: bytes, cls: type[MessageT], limit: int) -> Frame:
    """Parse a frame's header and locate its payload; a message without header_size is parsed whole.

    Raises:
        MessageTooLarge: The frame is larger than `limit` bytes.
        MalformedFrame: Header size, payload length or header do not hold; `field` names which.
    """
    total = len(data)
    if total > limit:
        msg = f"{total} bytes, at most {limit} are allowed; send fewer lanes or a shorter chunk"
        raise MessageTooLarge(msg)
    tag, size = _SIZE.unpack_from(data) if total >= _SIZE.size else (0, 0)
    if tag != _SIZE_TAG or size == total or size == 0:
        return _decode_whole(data, cls)
    if not _SIZE.size <= size < total:
        msg = f"{size} is not within the message of {total} bytes"
        raise MalformedFrame(msg, field="header_size")
    offset, length = _payload(data, size)
    header = _parse(data[:size], cls)
    if header.payload:  # type: ignore[attr-defined]
        msg = "given twice"
        raise MalformedFrame(msg, field="payload")
    return Frame(header, data, offset, length)


def parsed_bytes(data: bytes | Apart) -> int:
    """How much of a frame protobuf will parse: its header, or all of a message without header_size."""
    head = data.head if isinstance(data, Apart) else data
    tag, size = _SIZE.unpack_from(head) if len(head) >= _SIZE.size else (0, 0)
    return size if tag == _SIZE_TAG and 0 < size < len(head) else len(head)


def decode_apart(frame: Apart, cls: type[MessageT], limit: int) -> Frame:
    """Like `decode`, of a frame whose payload is elsewhere.

    Raises:
        MessageTooLarge: It is larger than `limit` bytes.
        MalformedFrame: As `decode`, or the payload has another length than the frame says.
    """
    head, total = frame.head, len(frame.head) + frame.size
    if total > limit:
        msg = f"{total} bytes, at most {limit} are allowed; send fewer lanes or a shorter chunk"
        raise MessageTooLarge(msg)
    tag, size = _SIZE.unpack_from(head) if len(head) >= _SIZE.size else (0, 0)
    if tag != _SIZE_TAG or not _SIZE.size <= size < len(head) or head[size : size + 2] != _PAYLOAD_TAG:
        msg = "does not end where field 1000 begins"
        raise MalformedFrame(msg, field="header_size")
    length, end = _read_varint(head, size + 2)
    if length != frame.size or end != len(head):
        msg = "its length is not what the frame says"
        raise MalformedFrame(msg, field="payload")
    return Frame(_parse(head[:size], cls), frame.memory, 0, length, frame.joint)


def _decode_whole(data: bytes, cls: type[MessageT]) -> Frame:
    header = _parse(data, cls)
    payload: bytes = header.payload  # type: ignore[attr-defined]
    return Frame(header, payload, 0, len(payload))


def _parse(data: bytes, cls: type[MessageT]) -> MessageT:
    try:
        return cls.FromString(data)
    except DecodeError:
        name = bad_text(data, cls)
        if name:
            msg = "text is not valid UTF-8"
            raise InvalidArgument(msg, field=name) from None
        msg = f"not a valid {cls.DESCRIPTOR.full_name}"
        raise MalformedFrame(msg, field="header") from None


def _payload(data: bytes, at: int) -> tuple[int, int]:
    """Where the payload's content begins and how long it is; it must end where the message ends."""
    if data[at : at + 2] != _PAYLOAD_TAG:
        msg = "does not end where field 1000 begins"
        raise MalformedFrame(msg, field="header_size")
    length, offset = _read_varint(data, at + 2)
    if length < 0 or offset + length != len(data):
        msg = "its length is not that of the rest of the message"
        raise MalformedFrame(msg, field="payload")
    return offset, length


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    if value < 0x80:
        return _BYTES[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """A varint and the position behind it; -1 when there is none of at most ten bytes."""
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    return -1, at


def bad_text(data: bytes | memoryview, cls: Any, depth: int = 0, budget: Iterator[int] | None = None) -> str | None:
    """Find the text field that makes a message unreadable, as a dotted path; None when it is not a matter of text.

    Only called on messages that protobuf has refused, to name the field that its error does not name. It gives up after
    SEARCHED fields: a peer must not keep a server busy with a long message that is wrong at its very end.
    """
    data = memoryview(data)
    budget = iter(range(SEARCHED)) if budget is None else budget
    at, fields = 0, cls.DESCRIPTOR.fields_by_number
    while at < len(data) and depth < 32 and next(budget, None) is not None:
        tag, at = _read_varint(data, at)
        size, start = _field_extent(data, at, tag & 7)
        if tag < 0 or size < 0 or start + size > len(data):
            return None
        field = fields.get(tag >> 3)
        part, at = data[start : start + size], start + size
        if field is None or tag & 7 != 2:
            continue
        if field.type == field.TYPE_STRING and not _is_utf8(part):
            return str(field.name)
        if field.type == field.TYPE_MESSAGE:
            inner = bad_text(part, GetMessageClass(field.message_type), depth + 1, budget)
            if inner:
                return f"{field.name}.{inner}"
    return None


def _field_extent(data: bytes | memoryview, at: int, wire_type: int) -> tuple[int, int]:
    """Length and start of a field's content; a negative length for what cannot be."""
    if wire_type == 0:
        end = _read_varint(data, at)
        return (end[1] - at if end[0] >= 0 else -1), at
    if wire_type == 2:
        return _read_varint(data, at)
    return {1: 8, 5: 4}.get(wire_type, -1), at


def _is_utf8(part: memoryview) -> bool:
    try:
        str(part, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def with_empty(frame: Frame, verb: str) -> bytes:
    """The same request with an empty verb, for callers that left it out."""
    payload = frame.data[frame.offset : frame.offset + frame.size]
    header = frame.header
    getattr(header, verb).SetInParent()
    for name in ("header_size", "padding", "payload"):
        header.ClearField(name)
    return encode(header, payload)
