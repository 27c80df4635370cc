"""How a client gets its local lane: it shows a token at the second socket, and checks every descriptor that comes.

What comes from the server's side is hostile until it is checked: memory before it is mapped, sockets before they are
used.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import socket
import time
from typing import TYPE_CHECKING

from openenv_grpc.client.lane import LocalLane
from openenv_grpc.errors import MalformedFrame
from openenv_grpc.session.local import HANDED_JOINT, HANDED_SHARD, SHAREABLE, LocalTerms

if TYPE_CHECKING:
    from openenv_grpc.session.client import ClientCore

HANDOVER_TIMEOUT_S = 5.0
_MOST_FDS = 8


def take_over(path: str, core: ClientCore, terms: LocalTerms, *, copy: bool) -> LocalLane | None:
    """Show the token at the second socket and take what is handed over; blocks for a moment.

    Returns:
        None where nothing is handed over: a policy or a runtime may be against it. gRPC goes on.

    Raises:
        MalformedFrame: What was handed over is not what it must be. Nothing of it is kept.
    """
    fds: list[int] = []
    with contextlib.ExitStack() as stack:
        try:
            if not _receive_all(path, terms, fds):
                return None
            rows = [len(lanes) for lanes in core.shards]
            memories = [
                _map(fd, terms.slots, size, core.layout.main.size(count))
                for fd, size, count in zip(fds[1::2], terms.slot_bytes, rows, strict=False)
            ]
            joint = None
            if terms.joint_slot_bytes:
                joint = _map(fds[-1], terms.slots, terms.joint_slot_bytes, core.layout.main.size(core.lanes))
            sockets = [stack.enter_context(_socket(fd)) for fd in fds[0 : 2 * len(rows) : 2]]
        finally:
            for fd in fds:
                os.close(fd)
        stack.pop_all()
    return LocalLane(core, terms, sockets, memories, joint, copy=copy)


def _receive_all(path: str, terms: LocalTerms, fds: list[int]) -> bool:
    """Receive all file descriptors into `fds`; False when the server, or what lies between, does not want to."""
    expected = [(HANDED_SHARD, 2)] * len(terms.slot_bytes) + [(HANDED_JOINT, 1)] * bool(terms.joint_slot_bytes)
    end = time.monotonic() + HANDOVER_TIMEOUT_S
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(HANDOVER_TIMEOUT_S)
        try:
            sock.connect(path)
            sock.send(terms.token)
            for kind, count in expected:
                sock.settimeout(max(end - time.monotonic(), 0.001))
                message, got, _, _ = socket.recv_fds(sock, 16, _MOST_FDS, socket.MSG_CMSG_CLOEXEC)
                fds += got
                if not got:
                    return False
                if message != kind or len(got) != count:
                    msg = "the server handed over something else than its local lane"
                    raise MalformedFrame(msg, field="local_lane")
        except OSError:
            return False
    return True


def _map(fd: int, slots: int, slot_bytes: int, least: int) -> mmap.mmap:
    """Map a memfd to read, once it is certain that it can be neither shortened nor written by who else gets it.

    Raises:
        MalformedFrame: It can.
    """
    size = slots * slot_bytes
    try:
        seals, length, page = fcntl.fcntl(fd, fcntl.F_GET_SEALS), os.fstat(fd).st_size, os.fstatvfs(fd).f_bsize
    except OSError:
        seals = length = page = 0
    if seals & SHAREABLE != SHAREABLE or length < size or slot_bytes < least or page != mmap.PAGESIZE:
        msg = "the memory of the local lane is not sealed, or too short"
        raise MalformedFrame(msg, field="local_lane")
    try:
        return mmap.mmap(fd, size, prot=mmap.PROT_READ)
    except OSError as error:
        msg = f"the memory of the local lane cannot be mapped: {error.strerror}"
        raise MalformedFrame(msg, field="local_lane") from None


def _socket(fd: int) -> socket.socket:
    """The socket that a file descriptor must be, by a descriptor of its own.

    Raises:
        MalformedFrame: It is none.
    """
    with contextlib.ExitStack() as stack:
        own = os.dup(fd)
        try:
            sock = stack.enter_context(socket.socket(fileno=own))
        except OSError:
            os.close(own)
        else:
            if (sock.family, sock.type) == (socket.AF_UNIX, socket.SOCK_SEQPACKET):
                sock.settimeout(None)
                stack.pop_all()
                return sock
    msg = "the server handed over something else than a socket to its worker"
    raise MalformedFrame(msg, field="local_lane")
