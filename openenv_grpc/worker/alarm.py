"""The alarm clock of a worker: SIGALRM interrupts environment code that runs too long, and nothing else."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from openenv_grpc.session.shard import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable


class SignalAlarm:
    """One interval timer. The signal's handler raises only while environment code runs, so no answer is torn.

    Code that never returns to the interpreter cannot be interrupted; the server ends such a worker.
    """

    def __init__(self) -> None:
        """Take over SIGALRM; call in the main thread."""
        self._inside = False
        self._expired = False
        self._tell: Callable[[float], None] = lambda moment: None
        signal.signal(signal.SIGALRM, self._on_alarm)

    def _on_alarm(self, signum: int, frame: object) -> None:
        self._expired = True
        if self._inside:
            self._inside = False
            raise Interrupted

    def watch(self, tell: Callable[[float], None]) -> None:
        """Tell until when environment code may run, a moment of `time.monotonic()`, and 0 when it is over."""
        self._tell = tell

    def start(self, seconds: float) -> None:
        """Raise Interrupted in the environment call that runs, or begins, after so many seconds."""
        self._expired = False
        self._tell(time.monotonic() + seconds)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))

    def stop(self) -> None:
        """Forget it."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._tell(0.0)

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call environment code, which may be interrupted."""
        if self._expired:
            raise Interrupted
        self._inside = True
        try:
            return function(*args, **kwargs)
        finally:
            self._inside = False
