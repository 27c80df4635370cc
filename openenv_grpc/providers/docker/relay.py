"""A port of 127.0.0.1 that leads to a container's socket, for clients that cannot use a socket of this machine's.

The container has no network and no port: this process listens, on the providers' loop, and passes bytes on as they
come. It does not look into them. Everybody on this machine can connect; who may do anything is for the server to say,
by its token.

The law of this file: nothing is kept that somebody is slow to read. Each direction of a connection has one buffer, and
reads no more before that is written; there are so many connections at the same time and no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import weakref

from openenv_grpc.errors import ServerUnavailable

MOST = 64
"""Connections at the same time; a further one is closed at once."""
BUFFER_BYTES = 1 << 16
RETRY_S = 1.0


class Relay:
    """Listens from the beginning, until it is closed. To be made and used on one loop.

    Args:
        path: The socket, where its container cannot put another in its place.
        most: Connections at the same time.

    Attributes:
        address: Where it listens, as `host:port`.
    """

    def __init__(self, path: str, most: int = MOST) -> None:
        """Listen.

        Raises:
            ServerUnavailable: There is no port left.
        """
        try:
            self._listener = socket.create_server(("127.0.0.1", 0))
        except OSError as error:
            msg = f"cannot listen on 127.0.0.1: {error.strerror}"
            raise ServerUnavailable(msg) from None
        self._listener.setblocking(False)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._path, self._most = path, most
        self._loop = asyncio.get_running_loop()
        self._connections: dict[asyncio.Task[None], tuple[socket.socket, socket.socket]] = {}
        _relays.add(self)
        self._listen()

    async def close(self) -> None:
        """Stop listening, and break all connections off. Calling it again does nothing."""
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
            self._listener.close()
        for sockets in self._connections.values():
            _break(*sockets)
        await asyncio.gather(*self._connections)

    def forget(self) -> None:
        """In a forked child: these are the parent's, which must not find its port taken when it has closed it."""
        for sock in (self._listener, *(sock for pair in self._connections.values() for sock in pair)):
            sock.close()

    def _listen(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:  # no descriptors left: look again later, instead of at once and for ever
            self._loop.remove_reader(self._listener)
            self._loop.call_later(RETRY_S, self._listen)
            return
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):  # nobody listens there any more
            stack.enter_context(client)
            if len(self._connections) < self._most:
                server = stack.enter_context(socket.socket(socket.AF_UNIX))
                for sock in (client, server):
                    sock.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                server.connect(self._path)
                stack.pop_all()
                self._begin(client, server)

    def _begin(self, client: socket.socket, server: socket.socket) -> None:
        task = self._loop.create_task(_connect(client, server))
        self._connections[task] = client, server
        task.add_done_callback(self._connections.pop)


async def _connect(client: socket.socket, server: socket.socket) -> None:
    """Pass on what either says, until both have said all."""
    with client, server:
        await asyncio.gather(_pass_on(client, server), _pass_on(server, client))


async def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Pass on all that one says, and that it has said all. Where it cannot be, both directions end."""
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(BUFFER_BYTES))
    try:
        while count := await loop.sock_recv_into(source, buffer):
            await loop.sock_sendall(target, buffer[:count])
            await asyncio.sleep(0)  # neither waits where there is always more, and others want their turn
        target.shutdown(socket.SHUT_WR)
    except OSError:
        _break(source, target)


def _break(*sockets: socket.socket) -> None:
    """Have all that waits for these end, on both sides."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


_relays: weakref.WeakSet[Relay] = weakref.WeakSet()


def _forget_all() -> None:
    for relay in list(_relays):
        relay.forget()


os.register_at_fork(after_in_child=_forget_all)
