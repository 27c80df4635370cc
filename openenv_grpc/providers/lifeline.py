"""The provider's end of the lifeline: the one line that a server writes when it serves, or says why it does not.

What comes from there may come from a hostile server: its length and the time it takes are bounded, it is parsed
strictly, and text of it is made harmless before anybody prints it.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING, Any

from openenv_grpc import errors
from openenv_grpc.errors import EnvironmentFailed, InvalidArgument, OpenEnvError, ServerUnavailable

if TYPE_CHECKING:
    import socket

MAX_LINE = 1 << 16
MAX_MESSAGE = 4000
MAX_FIELD = 200
_PORT = re.compile(r"127\.0\.0\.1:([0-9]{1,5})")


async def read_line(sock: socket.socket, deadline: float) -> bytes | None:
    """The line, without its end; None where the other side closed before it was whole.

    Args:
        sock: Non-blocking.
        deadline: In seconds of `time.monotonic`.

    Raises:
        ServerUnavailable: It is too long.
        asyncio.TimeoutError: It did not come in time.
    """
    loop, data = asyncio.get_running_loop(), bytearray()
    while b"\n" not in data:
        if len(data) > MAX_LINE:
            msg = "the server's first line is longer than any that it may write"
            raise ServerUnavailable(msg)
        try:
            part = await asyncio.wait_for(loop.sock_recv(sock, 4096), max(deadline - time.monotonic(), 0))
        except ConnectionError:
            return None
        if not part:
            return None
        data += part
    return bytes(data).partition(b"\n")[0]


def port_of(line: bytes) -> int:
    """The port of 127.0.0.1 at which a server says that it serves.

    Raises:
        ServerUnavailable: It says something else.
    """
    try:
        found = _PORT.fullmatch(json.loads(line)["address"])
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if found is None or not 0 < int(found[1]) <= 0xFFFF:
        msg = "the server does not say at which port it serves"
        raise ServerUnavailable(msg)
    return int(found[1])


def failure_of(line: bytes) -> OpenEnvError | None:
    """Why a server does not serve; None if it does.

    Raises:
        ServerUnavailable: It is none of the two lines that a server may write.
    """
    try:
        told = json.loads(line)
        failure = told["failure"]
        if failure is None:
            return None
        reason, field, message = (failure[name] for name in ("reason", "field", "message"))
        _check(reason, message, field or "")
    except (ValueError, KeyError, TypeError, RecursionError):
        msg = "the server's first line is none that it may write"
        raise ServerUnavailable(msg) from None
    kind = InvalidArgument if reason == InvalidArgument.reason else EnvironmentFailed
    return kind(harmless(message)[-MAX_MESSAGE:], field=harmless(field)[:MAX_FIELD] if field else None)


def _check(*texts: Any) -> None:
    if not all(isinstance(text, str) for text in texts):
        msg = "no text"
        raise TypeError(msg)


def harmless(text: str | bytes) -> str:
    """Text that a terminal only shows: what would move its cursor or worse is replaced."""
    if isinstance(text, bytes):
        text = text.decode(errors="replace")
    return errors.harmless(text)


def log_tail(text: str) -> str:
    """The end of a log as an error's message ends with it; "" where there is none."""
    lines = text[-MAX_MESSAGE:].strip()
    return f"; the end of its log:\n{lines}" if lines else ""
