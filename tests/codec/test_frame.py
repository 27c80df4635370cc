"""The frame: any protobuf library reads and writes it, ours does not parse it whole, and nobody can make it lie."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec import frame
from openenv_grpc.errors import InvalidArgument, MalformedFrame, MessageTooLarge, OpenEnvError
from openenv_grpc.v1 import session_pb2

LIMIT = 1 << 20
REQUEST = session_pb2.SessionRequest


def request(actions: list[bytes], seq: int = 1) -> session_pb2.SessionRequest:
    return REQUEST(shard=2, seq=seq, step=session_pb2.Step(lanes=[0, 1], actions=actions))


def content(found: frame.Frame) -> bytes:
    return found.data[found.offset : found.offset + found.size]


def without_layout(header: session_pb2.SessionRequest) -> session_pb2.SessionRequest:
    copy = REQUEST()
    copy.CopyFrom(header)
    for name in ("header_size", "padding", "payload"):
        copy.ClearField(name)
    return copy


@given(st.lists(st.binary(max_size=80), max_size=3), st.integers(0, (1 << 64) - 1), st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_round_trip_with_our_decoder_and_with_plain_protobuf(actions: list[bytes], seq: int, payload: bytes) -> None:
    message = request(actions, seq)
    data = frame.encode(message, payload)
    ours = frame.decode(data, REQUEST, LIMIT)
    assert without_layout(ours.header) == message
    assert content(ours) == payload
    plain = REQUEST.FromString(data)
    assert without_layout(plain) == message
    assert plain.payload == payload
    if payload:
        assert ours.data is data, "the payload was copied"
        assert ours.offset % frame.ALIGN == 0
        assert not ours.header.payload, "the payload was parsed"
        assert data[plain.header_size : plain.header_size + 2] == b"\xc2\x3e"


@given(st.lists(st.binary(max_size=80), max_size=3), st.binary(max_size=300))
@settings(max_examples=50, deadline=None)
def test_message_of_plain_protobuf_is_parsed_whole(actions: list[bytes], payload: bytes) -> None:
    message = request(actions)
    message.payload = payload
    found = frame.decode(message.SerializeToString(), REQUEST, LIMIT)
    assert without_layout(found.header) == without_layout(message)
    assert content(found) == payload


def test_fields_in_another_order_are_parsed_whole() -> None:
    payload = REQUEST(payload=b"content").SerializeToString()
    data = payload + request([b"a"]).SerializeToString()
    found = frame.decode(data, REQUEST, LIMIT)
    assert content(found) == b"content"
    assert without_layout(found.header) == request([b"a"])


def test_payload_is_not_copied_and_read_only() -> None:
    data = frame.encode(request([]), np.arange(1000, dtype="<f4").tobytes())
    found = frame.decode(data, REQUEST, LIMIT)
    array = np.frombuffer(found.data, "<f4", 1000, found.offset)
    assert np.shares_memory(array, np.frombuffer(data, np.uint8))
    assert not array.flags.writeable
    assert array[999] == 999


def test_join_is_encode() -> None:
    memory = bytearray(b"--payload--")
    header = frame.encode_header(request([b"a"]), 7)
    assert frame.join(header, memory, 2, 7) == frame.encode(request([b"a"]), b"payload")


@pytest.mark.parametrize("payload", [b"", bytes(100), bytes(20_000)], ids=["none", "short", "long"])
def test_truncation_at_every_byte_is_refused(payload: bytes) -> None:
    data = frame.encode(request([b"abc"]), payload)
    ends = range(1, len(data)) if len(data) < 1000 else [*range(1, 200), len(data) // 2, len(data) - 1]
    header_size = struct.unpack_from("<I", data, 1)[0]
    for end in ends:
        if end == header_size:  # a whole header without payload; the columns then miss it
            assert frame.decode(data[:end], REQUEST, LIMIT).size == 0
            continue
        with pytest.raises((MalformedFrame, InvalidArgument)) as caught:
            frame.decode(data[:end], REQUEST, LIMIT)
        assert caught.value.field, f"no field named for the first {end} bytes"


def test_nothing_at_all_is_an_empty_message() -> None:
    found = frame.decode(b"", REQUEST, LIMIT)
    assert (found.header, found.size) == (REQUEST(), 0)


@pytest.mark.parametrize("size", [*range(1, 160), 1000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_header_size_that_lies_is_refused(size: int) -> None:
    data = frame.encode(request([b"abc"]), bytes(64))
    true_size = struct.unpack_from("<I", data, 1)[0]
    if size == true_size:
        return
    lie = data[:1] + struct.pack("<I", size) + data[5:]
    if size == len(data):  # says that all of it is header: parsed whole, as any library would
        assert content(frame.decode(lie, REQUEST, LIMIT)) == bytes(64)
        return
    with pytest.raises(MalformedFrame) as caught:
        frame.decode(lie, REQUEST, LIMIT)
    assert caught.value.field == "header_size"


@pytest.mark.parametrize("length", [0, 1, 63, 65, 127, 1 << 31, (1 << 63) - 1, (1 << 64) - 1])
def test_payload_length_that_lies_is_refused(length: int) -> None:
    data = frame.encode(request([]), bytes(64))
    start = struct.unpack_from("<I", data, 1)[0]
    lie = data[: start + 2] + _varint(length) + bytes(64)
    with pytest.raises(MalformedFrame) as caught:
        frame.decode(lie, REQUEST, LIMIT)
    assert caught.value.field == "payload"


def test_payload_length_without_end_is_refused() -> None:
    data = frame.encode(request([]), bytes(64))
    start = struct.unpack_from("<I", data, 1)[0]
    for tail in (b"", b"\xff" * 9, b"\xff" * 11, b"\xff" * 40):
        with pytest.raises(MalformedFrame) as caught:
            frame.decode(data[: start + 2] + tail, REQUEST, LIMIT)
        assert caught.value.field == "payload"


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def test_bytes_behind_the_payload_are_refused() -> None:
    data = frame.encode(request([]), bytes(64))
    with pytest.raises(MalformedFrame, match="payload"):
        frame.decode(data + b"\x10\x01", REQUEST, LIMIT)


def test_second_payload_within_the_header_is_refused() -> None:
    hidden = REQUEST(payload=b"first").SerializeToString()
    header = struct.pack("<BI", 0x0D, 5 + len(hidden)) + hidden
    with pytest.raises(MalformedFrame, match="payload: given twice"):
        frame.decode(header + b"\xc2\x3e\x01x", REQUEST, LIMIT)


def test_frame_beyond_the_limit_is_refused_unparsed() -> None:
    with pytest.raises(MessageTooLarge, match="at most 10 are allowed"):
        frame.decode(b"\xff" * 11, REQUEST, 10)


def test_text_that_is_not_utf8_is_named() -> None:
    data = request([]).SerializeToString() + b"\x2a\x02\xff\xfe"  # session_id
    with pytest.raises(InvalidArgument, match="session_id: text is not valid UTF-8"):
        frame.decode(data, REQUEST, LIMIT)


def test_nested_text_that_is_not_utf8_is_named() -> None:
    opened = session_pb2.Open(spec_hash="AAAA").SerializeToString().replace(b"AAAA", b"\xff\xff\xff\xff")
    data = b"\x32" + bytes([len(opened)]) + opened
    with pytest.raises(InvalidArgument, match=r"open\.spec_hash: text is not valid UTF-8"):
        frame.decode(data, REQUEST, LIMIT)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_a_message_or_an_error_of_ours(data: bytes) -> None:
    _is_frame_or_error(data)


@given(st.binary(max_size=40), st.data())
@settings(max_examples=200, deadline=None)
def test_a_frame_with_any_change_is_a_message_or_an_error_of_ours(payload: bytes, data: st.DataObject) -> None:
    good = bytearray(frame.encode(request([b"abc"]), payload))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    _is_frame_or_error(bytes(good))


def _is_frame_or_error(data: bytes) -> None:
    refusal: OpenEnvError | None = None
    try:
        found = frame.decode(data, REQUEST, LIMIT)
    except OpenEnvError as error:
        refusal = error
    if refusal is not None:
        assert isinstance(refusal, MalformedFrame | InvalidArgument)
        assert refusal.field
    else:
        assert 0 <= found.offset <= found.offset + found.size <= len(found.data)
        assert isinstance(found.header, REQUEST)
