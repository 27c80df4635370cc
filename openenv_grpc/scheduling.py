"""What a thread asks of the kernel's scheduler: how long it runs before another gets its core, and on which cores.

Short slices are for who relays, long ones for who computes: Linux 6.12 and later give each task the slice that it asks
for, and a task with a short one does not wait for the end of a longer one when it wakes (`sched_setattr(2)`). Older
kernels ignore it. No privilege is needed for anything here.
"""

from __future__ import annotations

import ctypes
import platform
import struct

RELAY_SLICE_NS = 100_000
DEFAULT_SLICE_NS = 0
LONGEST_S = 0.002
"""Where steps take longer than that, it does not matter that two processes wake each other from idle cores."""
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # size, policy, flags, nice, priority, runtime, deadline, period
_libc = ctypes.CDLL(None)
_getcpu = _libc.sched_getcpu


def ask_for_slice(nanoseconds: int) -> bool:
    """Ask for slices of that length for this thread and those it starts; whether the kernel took it."""
    number = _SCHED_SETATTR.get(platform.machine())
    if number is None:
        return False
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, 0, 0, 0, 0, nanoseconds, 0, 0)
    return bool(_libc.syscall(number, 0, attributes, 0) == 0)


def current_core() -> int:
    """The core that the calling thread runs on; -1 where the system does not say."""
    core: int = _getcpu()
    return core
