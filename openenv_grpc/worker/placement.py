"""On which core a worker runs: on its client's while that sleeps, on another while that waits awake, else on any.

A client in lock step and its worker never work at the same time. The kernel wakes each of them on a core that is idle,
which takes far longer than a short step; on one core they only take turns, where one that waits awake is in the way.
The client says on which core it waits, and how, and now and then it does not: then the kernel may choose anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from openenv_grpc.scheduling import LONGEST_S

SHORT_STEPS = 8
"""So many steps in a row must have been short."""


class Placement:
    """Where this process's only thread runs.

    Args:
        fixed: The worker keeps to a core of its own: it follows nobody.
    """

    def __init__(self, *, fixed: bool) -> None:
        """Stay where the process was put."""
        self._all = os.sched_getaffinity(0)
        self._follows = len(self._all) > 1 and not fixed
        self._now = self._all
        self._short = 0

    def note(self, seconds: float) -> None:
        """Say how long a request took."""
        self._short = self._short + 1 if seconds < LONGEST_S else 0

    def follow(self, core: int, *, awake: bool = False) -> None:
        """Run where it is best for the request that has come.

        What an environment starts, threads and processes, inherits the cores that it is started on. So nobody is
        followed where there is anything of that kind, and what has inherited fewer cores gets all of them back.

        Args:
            core: Where its client waits; -1 where it does not matter.
            awake: The client keeps that core busy: run on any other.
        """
        cores = self._all
        if core in self._all and self._follows and self._short >= SHORT_STEPS:
            cores = self._all - {core} if awake else {core}
        if cores == self._now:
            return
        try:
            if cores != self._all and _others():
                self._follows, cores = False, self._all
            os.sched_setaffinity(0, cores)
            before, self._now = self._now, cores
            if before != self._all:
                self._release(before)
        except OSError:  # the machine's owner has taken cores away meanwhile, or hides processes
            self._follows = False

    def _release(self, cores: set[int]) -> None:
        for each in _others():
            self._follows = False
            try:
                if os.sched_getaffinity(each) == cores:
                    os.sched_setaffinity(each, self._all)
            except ProcessLookupError:
                continue


def _others() -> list[int]:
    """Threads of this process but its first, and its children."""
    tasks = os.listdir("/proc/self/task")
    children = [Path(f"/proc/self/task/{task}/children").read_text().split() for task in tasks]
    found = {*map(int, tasks), *(int(child) for each in children for child in each)}
    return sorted(found - {os.getpid()})
