"""Frames as a sender writes them that orders its fields; every other request leaves header_size unset."""

from __future__ import annotations

from openenv_grpc.v1 import session_pb2

ALIGN = 64
SIZE_FIELD = 5
"""Bytes of header_size: its tag and a fixed32."""
PADDING_FIELD = 3
"""Bytes of padding's tag and length, of up to 127 bytes."""
PAYLOAD_TAG = b"\xc2\x3e"


def framed(request: session_pb2.SessionRequest) -> bytes:
    """A request with header_size first and the payload last, its content at a multiple of 64 bytes."""
    rest = session_pb2.SessionRequest()
    rest.CopyFrom(request)
    for name in ("header_size", "padding", "payload"):
        rest.ClearField(name)
    body, content = rest.SerializeToString(), session_pb2.SessionRequest(payload=request.payload).SerializeToString()
    if content:
        start = SIZE_FIELD + len(body) + PADDING_FIELD + len(content) - len(request.payload)
        body += session_pb2.SessionRequest(padding=bytes(ALIGN - start % ALIGN)).SerializeToString()
    return with_size(SIZE_FIELD + len(body), body + content)


def with_size(header_size: int, rest: bytes) -> bytes:
    """A message that begins with a header_size, whether it holds or not."""
    return session_pb2.SessionRequest(header_size=header_size).SerializeToString() + rest
