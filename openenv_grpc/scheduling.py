"""What a thread asks of the kernel's scheduler: how long it runs, on which cores, and whether it sleeps when it waits.

Short slices are for who relays, long ones for who computes: Linux 6.12 and later give each task the slice that it asks
for, and a task with a short one does not wait for the end of a longer one when it wakes (`sched_setattr(2)`). Older
kernels ignore it. No privilege is needed for anything here.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import select

RELAY_SLICE_NS = 100_000
DEFAULT_SLICE_NS = 0
LONGEST_S = 0.002
"""Where steps take longer than that, it does not matter that two processes wake each other from idle cores."""
SPIN = "OPENENV_SPIN"
TAKEN_S = 0.000_05
"""A look that takes longer has had its core taken by somebody else."""
MOST_TAKEN = 8
"""So many looks more than a quarter of all waits may be: a worker that is told to move has to run first, and machines
have other things to do now and then."""
FIRST_PENALTY, LAST_PENALTY = 32, 1024
"""How many waits are slept through after a failure, and after many."""
STEADY = 256
"""Waits in a row without a failure after which the next one costs half."""
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


class Spin:
    """Waiting awake: looking again and again, for as long as nobody else wants the core.

    Rousing a sleeping process on an idle core takes longer than many a step, and it finds its caches cold. So who knows
    that the answer is near does not sleep. The core is offered to others between two looks: where somebody takes it, or
    where nothing comes in time, it sleeps the next times, twice as often at each failure.

    Args:
        longest_s: Seconds after which it has failed.
    """

    def __init__(self, longest_s: float) -> None:
        """Nothing has failed yet; with a single core everything would. `OPENENV_SPIN=0` forbids it."""
        self._longest_s = longest_s
        self._rest = 0
        self._streak = 0
        self._taken = 0.0
        self._penalty = FIRST_PENALTY
        self.useful = len(os.sched_getaffinity(0)) > 1 and os.environ.get(SPIN) != "0"

    def is_worth_it(self, *, asks: bool = False) -> bool:
        """Whether to wait awake this time, to be asked once per wait.

        Args:
            asks: Begin only where a core of this machine is idle; otherwise somebody else has seen to that.
        """
        if self._rest:
            self._rest -= 1
            return False
        if asks and not self._streak and not idle_core():
            self._rest = FIRST_PENALTY
            return False
        return self.useful

    def wait(self, poll: select.poll) -> list[tuple[int, int]]:
        """What `poll.poll` finds; nothing if it is better to sleep."""
        start = before = time.monotonic()
        while True:
            if found := poll.poll(0):
                self._note_success()
                return found
            os.sched_yield()
            now = time.monotonic()
            self._taken += now - before > TAKEN_S
            if self._taken > MOST_TAKEN or now - start > self._longest_s:
                self._note_failure()
                return []
            before = now

    def _note_success(self) -> None:
        self._streak += 1
        self._taken = max(self._taken - 0.25, 0.0)
        if self._streak % STEADY == 0:
            self._penalty = max(FIRST_PENALTY, self._penalty // 2)

    def _note_failure(self) -> None:
        self._streak, self._taken = 0, 0.0
        self._rest, self._penalty = self._penalty, min(2 * self._penalty, LAST_PENALTY)


def idle_core() -> bool:
    """Whether fewer threads run, or want to, than this machine has cores; no where the system does not say."""
    try:
        with open("/proc/loadavg", "rb") as file:
            running = file.read().split()[3].partition(b"/")[0]
    except (OSError, IndexError):
        return False
    return int(running) < (os.cpu_count() or 1)
