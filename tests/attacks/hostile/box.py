"""Servers that abuse the directory that they share with the host, and the lifeline in it.

Run as `python -m hostile.box … --limit=mode=N`, as a provider runs a server with such a limit: the mode is the Nth of
`MODES`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable

SHARED = "/run/openenv"
SOCKET, LANE, LIFELINE = f"{SHARED}/env.sock", f"{SHARED}/env.sock.local", f"{SHARED}/lifeline.sock"
READY = b'{"failure": null}\n'
_kept: list[socket.socket] = []


def say(*lines: bytes, pause_s: float = 0.0) -> None:
    """Connect to the lifeline and write that."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(LIFELINE)
    _kept.append(sock)
    with contextlib.suppress(OSError):
        for line in lines:
            sock.sendall(line)
            time.sleep(pause_s)


def listen(path: str = SOCKET) -> None:
    """A socket that accepts and never answers."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(8)
    _kept.append(sock)


def in_place(make: Callable[[], object], lane: bool = False) -> Callable[[], None]:
    """Something else than a socket where one should be."""

    def attack() -> None:
        if lane:
            listen()
        make()
        say(READY)

    return attack


def closed() -> None:
    """The directory shut to everybody, with files in it."""
    listen()
    say(READY)
    os.mkdir(f"{SHARED}/d")
    os.chmod(f"{SHARED}/d", 0)
    os.chmod(SHARED, 0)


def swapping() -> None:
    """A socket and a link to the host's, in turn, as fast as it goes."""
    pid = os.fork()
    if pid == 0:
        other = f"{SHARED}/other"
        os.symlink("/var/run/docker.sock", f"{SHARED}/link")
        while True:
            with contextlib.suppress(OSError):
                os.link(SOCKET, other)
                os.rename(f"{SHARED}/link", SOCKET)
                os.rename(other, SOCKET)
                os.symlink("/var/run/docker.sock", f"{SHARED}/link")
    listen()
    say(READY)


def other_lifeline() -> None:
    """The host's own socket taken away and another put there."""
    os.unlink(LIFELINE)
    listen(LIFELINE)


def knocking() -> None:
    """Connections to the lifeline without end."""
    while True:
        with contextlib.suppress(OSError):
            say(b"x")
            if len(_kept) > 500:
                _kept.clear()


def shouting() -> None:
    """A log with what a terminal obeys, and the end."""
    os.write(2, b"\x1b]0;attack\x07\x1b[2J\xff\xfe last words\n" * 100)
    sys.exit(3)


MODES: dict[str, Callable[[], None]] = {
    "nothing": in_place(lambda: None),
    "link to the host": in_place(lambda: os.symlink("/var/run/docker.sock", SOCKET)),
    "link up": in_place(lambda: os.symlink("../../../../../../../../var/run/docker.sock", SOCKET)),
    "link to a directory": in_place(lambda: os.symlink("/", SOCKET)),
    "fifo": in_place(lambda: os.mkfifo(SOCKET)),
    "file": in_place(lambda: os.close(os.open(SOCKET, os.O_CREAT))),
    "directory": in_place(lambda: os.mkdir(SOCKET)),
    "lane is a link": in_place(lambda: os.symlink("/var/run/docker.sock", LANE), lane=True),
    "lane is a fifo": in_place(lambda: os.mkfifo(LANE), lane=True),
    "mute": in_place(lambda: None, lane=True),
    "closed": closed,
    "swapping": swapping,
    "other lifeline": other_lifeline,
    "knocking": knocking,
    "shouting": shouting,
    "silent": lambda: None,
    "long line": lambda: say(*[b"x" * 4096] * 10_000),
    "slow line": lambda: say(*[b"x"] * 10_000, pause_s=0.05),
    "no line": lambda: say(b"\xff\xfe\0\n"),
    "deep line": lambda: say(b"[" * 60_000 + b"\n"),
    "odd line": lambda: say(b'{"failure": {"reason": 1, "field": [], "message": {}}}\n'),
    "failure with escapes": lambda: say(
        b'{"failure": {"reason": "X", "field": null, "message": "\\u001b]0;attack\\u0007"}}\n'
    ),
    "hangs up": lambda: (say(b'{"fail'), _kept.clear())[0],
}

if __name__ == "__main__":
    list(MODES.values())[int(sys.argv[-1].rpartition("=")[2])]()
    time.sleep(600)
