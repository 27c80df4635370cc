"""Who started a container: a process of this machine, told apart from a later one with the same number."""

from __future__ import annotations

import os
from pathlib import Path

_START_TIME = 19
"""Place of the start time in /proc/PID/stat, after the name: field 22 of proc(5)."""


def owner_id(pid: int | None = None) -> str:
    """The name of a process: boot, namespace of process ids, process id, start time.

    Raises:
        OSError: There is no such process.
    """
    pid = os.getpid() if pid is None else pid
    return f"{_boot()}.{_namespace()}.{pid}.{_start_time(pid)}"


def pid_of(owner: str) -> int:
    """The process id in an owner's name; 0 where it is no such name."""
    parts = owner.split(".")
    return int(parts[2]) if len(parts) == 4 and parts[2].isdecimal() else 0


def is_gone(owner: str) -> bool:
    """Whether an owner runs no more. Of one that cannot be seen from here (another namespace) nobody can say: False."""
    parts = owner.split(".")
    if len(parts) != 4 or not parts[2].isdecimal():
        return False
    if parts[0] != _boot():
        return True
    if parts[1] != _namespace():
        return False
    try:
        return _start_time(int(parts[2])) != parts[3]
    except OSError:
        return True


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", "")[:16]


def _namespace() -> str:
    return str(os.stat("/proc/self/ns/pid").st_ino)


def _start_time(pid: int) -> str:
    """Ticks since boot; the name before it may hold spaces and parentheses.

    Raises:
        OSError: There is no such process, or it is a zombie: what it held is gone.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return fields[_START_TIME]
