"""Memory that environments render into and that the server, or a client on the same host, maps to read."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import struct

from openenv_grpc.errors import EnvironmentCrashed
from openenv_grpc.session.local import BOUNDS, SHAREABLE

_CLOCK = struct.Struct("<d")


class Memory:
    """Slots in a memfd, and behind them one page with the moment until which the worker may be busy.

    Args:
        slots: How many.
        slot_bytes: Bytes of one; rounded up to whole pages, which cost nothing until they are written.
        fd: A memfd of that size to map; None makes one.

    Attributes:
        fd: The memfd.
        map: It, mapped.
        slot_bytes: Bytes from one slot to the next.

    Raises:
        EnvironmentCrashed: The memfd has another size, or could change it.
    """

    def __init__(self, slots: int, slot_bytes: int, fd: int | None = None) -> None:
        """Create what is not given, and map it."""
        self.slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._clock_at = slots * self.slot_bytes
        size = self._clock_at + mmap.PAGESIZE
        if fd is None:
            fd = os.memfd_create("openenv-shard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, size)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, BOUNDS)
        elif os.fstat(fd).st_size != size or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & BOUNDS != BOUNDS:
            msg = "another worker of the session offered memory of another size"
            raise EnvironmentCrashed(msg)
        self.fd = fd
        self.map = mmap.mmap(fd, size)

    def set_clock(self, moment: float) -> None:
        """Say until when the worker may be busy (`time.monotonic()`), 0 when it waits; the server watches it."""
        _CLOCK.pack_into(self.map, self._clock_at, moment)


def seal(fd: int) -> bool:
    """Let nobody write who has not mapped it yet; whether the kernel can do that."""
    try:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SHAREABLE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def read_clock(mapped: mmap.mmap) -> float:
    """What `set_clock` has said, of memory that was mapped whole."""
    moment: float = _CLOCK.unpack_from(mapped, len(mapped) - mmap.PAGESIZE)[0]
    return moment
