"""What a process asks of the kernel against its neighbours, and for the time after its parent; without privileges."""

from __future__ import annotations

import ctypes
import os
import signal

ISOLATION = "OPENENV_ISOLATION"
"""Environment variable with what holds a server, as JSON: set by the provider that started it."""
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def close_memory() -> None:
    """Refuse this process's memory, files and variables to others of the same user; a fork refuses them too.

    Debuggers need root then. So it is done where a provider holds the server, and not for a developer's own.
    """
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
