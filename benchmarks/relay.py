"""A relay that counts: what a contestant really sends and receives, its framing included, outside the timing.

It counts the bytes of the connection (HTTP/2 or WebSocket frames and headers with their content), not the network's
packet headers, and treats unix sockets and TCP alike.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 1 << 20


class Relay:
    """Passes connections on to an address.

    Attributes:
        address: Where it listens: a unix socket for a unix socket, a port for a port.
        sent: Bytes from clients so far.
        received: Bytes to clients so far.
    """

    def __init__(self, target: str, directory: str) -> None:
        """Listen."""
        self._target = target
        self.sent = self.received = 0
        self._open: list[socket.socket] = []
        if target.startswith("unix:"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(f"{directory}/relay.sock")
            listener.listen()
            self.address = f"unix:{directory}/relay.sock"
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self._open.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed: the end
            while True:
                near, _ = listener.accept()
                far = self._connect()
                self._open += [near, far]
                for source, sink, count in ((near, far, "sent"), (far, near, "received")):
                    threading.Thread(target=self._pump, args=(source, sink, count), daemon=True).start()

    def _connect(self) -> socket.socket:
        if self._target.startswith("unix:"):
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target.removeprefix("unix:"))
            return far
        host, _, port = self._target.rpartition(":")
        return socket.create_connection((host, int(port)))

    def _pump(self, source: socket.socket, sink: socket.socket, count: str) -> None:
        with suppress(OSError):  # one side is gone; the other is told below
            while data := source.recv(CHUNK):
                setattr(self, count, getattr(self, count) + len(data))
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Cut everything, which ends the threads."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def relay(target: str) -> Iterator[Relay]:
    """A relay to an address for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="openenv-relay-") as directory:
        made = Relay(target, directory)
        try:
            yield made
        finally:
            made.close()
