"""An environment on a machine that has no room for more than two processes of it, as a process limit would have it."""

from __future__ import annotations

import errno
import itertools
import os

from tests.environments_for_tests.bare import BareEnvironment

_fork, _forks = os.fork, itertools.count(1)


def _limited() -> int:
    if next(_forks) > 2:  # one to describe the environment, one session
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = _limited


class UnforkableEnvironment(BareEnvironment):
    """As bare as ever."""
