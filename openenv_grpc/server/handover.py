"""The second socket: hands a session's local lane to the client that shows its token."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
import socket
import stat
import struct
from typing import TYPE_CHECKING

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.session.local import HANDED_JOINT, HANDED_SHARD, MAX_TOKEN, REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.server.session import Session

log = logging.getLogger(__name__)
TOKEN_TIMEOUT_S = 5.0
"""How long a connection may take to show its token, and to read what it is handed."""
RETRY_S = 1.0
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
        """Listen; only this user may connect.

        Raises:
            InvalidArgument: Another server listens there, or what lies there is no socket.
        """
        if os.path.lexists(self.path):
            remove_stale(self.path, socket.SOCK_SEQPACKET)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.setblocking(False)
        listener.bind(self.path)
        os.chmod(self.path, 0o600)
        listener.listen(MOST_WAITING)
        self._listener = listener
        self._listen()

    def _listen(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def stop(self) -> None:
        """Close the socket and everything that waits at it."""
        for task in self._tasks:
            task.cancel()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
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
        loop = asyncio.get_running_loop()
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:  # no descriptors left: look again later, instead of at once and for ever
            log.warning("no local lane for a while: %s", error.strerror)
            loop.remove_reader(self._listener)
            loop.call_later(RETRY_S, self._listen)
            return
        sock.setblocking(False)
        if len(self._tasks) >= MOST_WAITING or not _is_ours(sock):
            sock.close()
            return
        task = loop.create_task(self._serve(sock))
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
            joint = link.joint if joint is None else joint
            if link.local is None:  # the session has ended meanwhile
                return
            await _send(sock, HANDED_SHARD, link.local)
        if joint is not None and session.links[0].joint is not None:
            await _send(sock, HANDED_JOINT, (joint,))
    finally:
        for link in session.links:
            link.let_go()


async def _send(sock: socket.socket, message: bytes, fds: Sequence[int]) -> None:
    """Send what is ours to send now: while it waits, the session may end and its descriptors be another's."""
    loop = asyncio.get_running_loop()
    own = [os.dup(fd) for fd in fds]
    try:
        while not _try_send(sock, message, own):
            writable = asyncio.Event()
            loop.add_writer(sock, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(sock)
    finally:
        for fd in own:
            os.close(fd)


def _try_send(sock: socket.socket, message: bytes, fds: Sequence[int]) -> bool:
    try:
        socket.send_fds(sock, [message], fds)
    except BlockingIOError:
        return False
    return True


def remove_stale(path: str, kind: socket.SocketKind) -> None:
    """Remove a socket that nobody listens on.

    Raises:
        InvalidArgument: Somebody does, or it is no socket.
    """
    if not stat.S_ISSOCK(os.lstat(path).st_mode):  # connecting to a plain file is refused too
        msg = f"{path} exists and is no socket"
        raise InvalidArgument(msg, field="address")
    with socket.socket(socket.AF_UNIX, kind) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            msg = f"cannot use {path}: {error}"
            raise InvalidArgument(msg, field="address") from error
    msg = f"another server listens on {path} already"
    raise InvalidArgument(msg, field="address")


def _is_ours(sock: socket.socket) -> bool:
    """Whether the other end is the same user, or root, who could be anybody."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (0, os.geteuid())


def _key(token: bytes) -> bytes:
    """What a token is looked up by: how long a search takes says nothing of the token itself."""
    return hashlib.sha256(token).digest()
