"""Looking at processes: trees, memory, descriptors, and waiting for them."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil


def until(condition: Callable[[], Any], timeout_s: float = 5.0, what: str = "") -> Any:
    """Wait for something to become true; what it is then is returned."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    message = f"did not happen within {timeout_s} s: {what or condition}"
    raise AssertionError(message)


def alive(pids: list[int]) -> list[int]:
    """Those that run still; a zombie does not."""
    found = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def descendants(pid: int) -> list[int]:
    """All children and theirs, parents first."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def descriptors(pid: int) -> int:
    """Open file descriptors."""
    return psutil.Process(pid).num_fds()


def listens(address: str) -> bool:
    """Whether anybody does at `host:port`."""
    host, _, port = address.partition(":")
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port)), 5):
        return True
    return False


def rss(pid: int) -> int:
    """Resident bytes."""
    return int(psutil.Process(pid).memory_info().rss)


def pss(pid: int) -> int:
    """Resident bytes, shared pages divided among their sharers."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    message = "no Pss"
    raise AssertionError(message)
