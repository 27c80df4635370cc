"""Attempts to take more than one's share: processes, memory, files, descriptors, logs."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from hostile.calls import outcome

PAGE = 1 << 20


def detach(work: Callable[[], Any]) -> None:
    """Do that in a daemon that nobody waits for."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                work()
            finally:
                os._exit(0)
        os._exit(0)
    os.wait()


def fork_bomb(hold_s: float) -> dict[str, Any]:
    """Fork until it is refused, keep them all for a while, then let them go."""
    children = []
    why = "ok"
    for _ in range(100_000):
        try:
            pid = os.fork()
        except OSError as error:
            why = errno.errorcode[error.errno or 0]
            break
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        children.append(pid)
    time.sleep(hold_s)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    return {"forked": len(children), "why": why}


def fork_forever() -> dict[str, Any]:
    """Leave daemons behind that fork as fast as they can, and never stop."""

    def work() -> None:
        while True:
            try:
                if os.fork() == 0:
                    continue
            except OSError:
                time.sleep(0.001)

    detach(work)
    return {}


def threads() -> dict[str, Any]:
    """Threads until it is refused: the same limit counts them."""
    go = threading.Event()
    started, why = [], "ok"
    try:
        for _ in range(100_000):
            thread = threading.Thread(target=go.wait)
            thread.start()
            started.append(thread)
    except RuntimeError:
        why = "EAGAIN"
    go.set()
    for thread in started:
        thread.join()
    return {"started": len(started), "why": why}


def descriptors() -> dict[str, Any]:
    """Descriptors until it is refused."""
    fds, why = [], "ok"
    try:
        for _ in range(10_000_000):
            fds.append(os.dup(0))
    except OSError as error:
        why = errno.errorcode[error.errno or 0]
    for fd in fds:
        os.close(fd)
    return {"opened": len(fds), "why": why}


def eat(size: int) -> dict[str, Any]:
    """Touch that much memory in this process."""
    memory = mmap.mmap(-1, size)
    for begin in range(0, size, 4096):
        memory[begin] = 1
    return {"size": size}


def eat_in_many(size: int, count: int) -> dict[str, Any]:
    """Touch that much memory in each of many processes, all of it at the same time."""
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            memory = mmap.mmap(-1, size)
            for begin in range(0, size, 4096):
                memory[begin] = 1
            time.sleep(3)
            os._exit(0)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return {"codes": codes}


def eat_memfd(size: int) -> dict[str, Any]:
    """The same as a file in memory, which belongs to no process."""
    fd = os.memfd_create("attack")
    return {"written": _fill(fd, size)}


def fill(directory: str, size: int) -> dict[str, Any]:
    """Write a file until it is refused; it is removed again."""
    path = os.path.join(directory, "filling")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        written = _fill(fd, size)
        return {"written": written, "why": "ok" if written >= size else "refused"}
    finally:
        os.close(fd)
        os.unlink(path)


def leave(directory: str, size: int) -> dict[str, Any]:
    """Write a file until it is refused, and leave it there."""
    fd = os.open(os.path.join(directory, "left"), os.O_CREAT | os.O_WRONLY)
    written = _fill(fd, size)
    os.close(fd)
    return {"written": written}


def _fill(fd: int, size: int) -> int:
    block, written = b"x" * PAGE, 0
    try:
        while written < size:
            written += os.write(fd, block)
    except OSError:
        pass
    return written


def many_files(directory: str, count: int) -> dict[str, Any]:
    """Empty files until it is refused; they stay."""
    made = 0
    why = "ok"
    try:
        for number in range(count):
            os.close(os.open(f"{directory}/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        why = errno.errorcode[error.errno or 0]
    return {"made": made, "why": why}


def deep_directories(directory: str, depth: int) -> dict[str, Any]:
    """Directories in directories, deeper than any path is long, the last ones closed to everybody; they stay."""
    os.chdir(directory)
    made = 0
    for _ in range(depth):
        os.mkdir("d")
        os.chdir("d")
        made += 1
    os.chmod(".", 0)
    os.chdir("/")
    return {"made": made}


def clutter(directory: str) -> dict[str, str]:
    """Things that a collector of files may fall over."""
    names = {
        "link to a host file": lambda: os.symlink("/etc/shadow", f"{directory}/link"),
        "link up": lambda: os.symlink("../..", f"{directory}/up"),
        "link to itself": lambda: os.symlink("self", f"{directory}/self"),
        "fifo": lambda: os.mkfifo(f"{directory}/fifo"),
        "odd name": lambda: os.close(os.open(directory.encode() + b"/\xff\n\x1b[31m", os.O_CREAT)),
        "sparse": lambda: os.truncate(os.open(f"{directory}/sparse", os.O_CREAT | os.O_RDWR), 1 << 40),
        "closed directory": lambda: (os.mkdir(f"{directory}/closed"), os.chmod(f"{directory}/closed", 0)),
        "up": lambda: os.close(os.open(f"{directory}/../attack", os.O_CREAT)),
    }
    return {name: outcome(attempt) for name, attempt in names.items()}


def swap(directory: str) -> dict[str, Any]:
    """Put links to the host's sockets in the place of one's own."""
    for name in ("env.sock", "env.sock.local"):
        os.unlink(f"{directory}/{name}")
        os.symlink("/var/run/docker.sock", f"{directory}/{name}")
    return {}


def flood(seconds: float) -> dict[str, Any]:
    """Write to the log as fast as it takes it: lines, and then no line's end any more."""
    end, written = time.monotonic() + seconds, 0
    lines = b"\x1b[2J\x1b]0;attack\x07flood\n" * 2000
    while time.monotonic() < end - seconds / 2:
        written += os.write(1, lines)
    while time.monotonic() < end:
        written += os.write(2, b"\xff\0" * 30_000)
    return {"written": written}


def spin(seconds: float, count: int) -> dict[str, Any]:
    """Burn all cores in daemons for a while."""

    def work() -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass

    for _ in range(count):
        detach(work)
    return {}
