"""`python probe.py unix:/run/openenv/env.sock`: exits with 0 if a server is healthy, for a container's HEALTHCHECK.

It asks grpc.health.v1.Health in the few bytes that this takes on a plain socket: loading grpc would cost more, every
few seconds, than an idle server does. Nothing of this library is imported. Where the server asks for a token, it is in
OPENENV_TOKEN here too.
"""

from __future__ import annotations

import os
import socket
import sys

TIMEOUT_S = 3.0
MAX_ANSWER = 1 << 16
_DATA, _HEADERS, _SETTINGS, _END_HEADERS, _END_STREAM = 0, 1, 4, 4, 1
_SERVING = b"\0\0\0\0\2\x08\1"
"""The answer's message: not compressed, two bytes, `status` (field 1) is SERVING (1)."""


def is_healthy(address: str, token: str = "") -> bool:
    """Whether the server at `unix:/path` or `host:port` answers that it is serving."""
    try:
        with _connect(address) as sock:
            sock.sendall(_request(token))
            return _answer(sock) == _SERVING
    except OSError:
        return False


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT_S)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S)


def _request(token: str) -> bytes:
    """HTTP/2 (RFC 9113): the preface, empty settings, the request's head, an empty HealthCheckRequest."""
    head = b"\x83\x86"  # :method POST, :scheme http, of HPACK's static table (RFC 7541)
    for name, value in (
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *([(b"authorization", b"Bearer " + token.encode())] if token else []),
    ):
        head += b"\0" + _length(name) + name + _length(value) + value  # literal, not indexed, as it is
    return (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, head)
        + _frame(_DATA, _END_STREAM, 1, bytes(5))
    )


def _length(text: bytes) -> bytes:
    """How long a text is, as HPACK writes it: 7 bits at once, the first 127 apart."""
    rest = len(text) - 127
    if rest < 0:
        return bytes([len(text)])
    written = b"\x7f"
    while rest >= 128:
        written += bytes([rest % 128 + 128])
        rest //= 128
    return written + bytes([rest])


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _answer(sock: socket.socket) -> bytes:
    """The first message on the stream; empty if there is none."""
    with sock.makefile("rb") as answers:
        taken = 0
        while taken < MAX_ANSWER and len(head := answers.read(9)) == 9:
            payload = answers.read(int.from_bytes(head[:3], "big"))
            taken += len(head) + len(payload)
            if head[3] == _DATA:
                return payload
            if head[3] == _HEADERS and head[4] & _END_STREAM:  # a refusal is a head alone
                break
    return b""


if __name__ == "__main__":
    sys.exit(0 if is_healthy(sys.argv[1], os.environ.get("OPENENV_TOKEN", "")) else 1)
