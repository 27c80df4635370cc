"""A process that stays behind when its owner dies, ends the containers that it has left, and ends itself.

    python -m openenv_grpc.providers.guardian OWNER ENGINE

It reads from its standard input when leases expire, one unix time a line. When the owner is gone, however it went, or
when a lease has expired, it wakes up and loads what it needs; until then it is 10 MB that sleep.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

from openenv_grpc.providers.owner import is_gone, pid_of

RETRY_S = 5.0
TRIES = 60
"""How often an engine that does not answer is asked again, when the owner is gone: for five minutes."""
LONGEST_S = 60.0
"""It looks up at least this often, whatever it was told."""


def main(owner: str, engine: str) -> None:
    """Watch over an owner until it is gone and nothing of it is left."""
    with contextlib.suppress(ProcessLookupError, OSError):
        _watch(owner, engine, os.pidfd_open(pid_of(owner)))
    for _ in range(TRIES):
        if _end(owner, engine, time.time() + 10 * 365 * 86_400):
            return
        time.sleep(RETRY_S)


def _watch(owner: str, engine: str, pidfd: int) -> None:
    """Return when the owner is gone; meanwhile end what expires."""
    poll = select.poll()
    for fd in (0, pidfd):
        poll.register(fd, select.POLLIN)
    times: list[float] = []
    rest = b""
    while not is_gone(owner):
        now = time.time()
        if times and times[0] <= now:
            times = [later for later in times if later > now] if _end(owner, engine, now) else [now + RETRY_S, *times]
        wait_s = min([LONGEST_S, *(later - now for later in times)])
        for fd, _ in poll.poll(max(wait_s, 0.05) * 1000):
            data = os.read(fd, 65536) if fd == 0 else b""
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            times = sorted([*times, *(float(line) for line in lines if line)])


def _end(owner: str, engine: str, until: float) -> bool:
    """Remove the owner's containers that expire by then, and their directories; whether that went well."""
    from openenv_grpc.errors import OpenEnvError
    from openenv_grpc.providers.docker import reaper
    from openenv_grpc.providers.docker.engine import connect

    try:
        reaper.end(connect(engine or None), lambda found: found.owner == owner and found.expires <= until)
    except OpenEnvError:
        return False
    return True


def _become_daemon() -> None:
    """Leave the session and the parent; Ctrl-C and a closed terminal are not for us."""
    if os.fork():
        os._exit(0)
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    _become_daemon()
    main(*sys.argv[1:])
