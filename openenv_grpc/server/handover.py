"""The second socket: hands a session's local lane to the client that shows its token."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import socket
import struct
from typing import TYPE_CHECKING

from openenv_grpc.session.local import HANDED_JOINT, HANDED_SHARD, MAX_TOKEN, REFUSED

if TYPE_CHECKING:
    from openenv_grpc.server.session import Session

log = logging.getLogger(__name__)
TOKEN_TIMEOUT_S = 5.0
"""How long a connection may take to show its token, and to read what it is handed."""
MOST_WAITING = 128
"""Connections that may be about to; a further one is closed at once."""
_CREDENTIALS = struct.Struct("3i")


class Handover:
    """Listens beside the gRPC socket.

    Args:
        path: Where.
    """

    def __init__(self, path: str) -> None:
        """Nothing is offered yet."""
        self.path = path
        self._offers: dict[bytes, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen; only this user may connect."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.setblocking(False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        listener.bind(self.path)
        os.chmod(self.path, 0o600)
        listener.listen(MOST_WAITING)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept)

    def stop(self) -> None:
        """Close the socket and everything that waits at it."""
        for task in self._tasks:
            task.cancel()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def offer(self, session: Session) -> bytes:
        """A token for a session's local lane."""
        token = secrets.token_bytes(32)
        session.local_key = _key(token)
        self._offers[session.local_key] = session
        return token

    def withdraw(self, session: Session) -> None:
        """Hand this session to nobody any more."""
        self._offers.pop(session.local_key, None)

    def _accept(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock, _ = self._listener.accept()
            sock.setblocking(False)
            if len(self._tasks) >= MOST_WAITING or not _is_ours(sock):
                sock.close()
                return
            task = asyncio.get_running_loop().create_task(self._serve(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, sock: socket.socket) -> None:
        """Read a token, hand over what it is for, and close. Nobody is told why there was nothing."""
        loop = asyncio.get_running_loop()
        with sock:
            try:
                token = await asyncio.wait_for(loop.sock_recv(sock, MAX_TOKEN + 1), TOKEN_TIMEOUT_S)
                session = self._offers.pop(_key(token), None)
                if session is None:
                    await loop.sock_sendall(sock, REFUSED)
                    return
                await asyncio.wait_for(_hand_over(sock, session), TOKEN_TIMEOUT_S)
            except (OSError, asyncio.TimeoutError) as error:
                log.info("a local lane was not handed over: %s", type(error).__name__)


async def _hand_over(sock: socket.socket, session: Session) -> None:
    joint: int | None = None
    try:
        for link in session.links:
            if link.local is not None:
                await _send(sock, HANDED_SHARD, list(link.local))
            joint = link.joint if joint is None else joint
        if joint is not None:
            await _send(sock, HANDED_JOINT, [joint])
    finally:
        for link in session.links:
            link.let_go()


async def _send(sock: socket.socket, message: bytes, fds: list[int]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            socket.send_fds(sock, [message], fds)
            return
        except BlockingIOError:
            writable = asyncio.Event()
            loop.add_writer(sock, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(sock)


def _is_ours(sock: socket.socket) -> bool:
    """Whether the other end is the same user, or root, who could be anybody."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (0, os.geteuid())


def _key(token: bytes) -> bytes:
    """What a token is looked up by: how long a search takes says nothing of the token itself."""
    return hashlib.sha256(token).digest()
