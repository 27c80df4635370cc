"""The owner's side of its guardian: one small process that outlives this one, for as long as it takes to clean up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

from openenv_grpc.providers.owner import owner_id


class _Guard:
    """The guardian of this process: started with the first container, and again if it was killed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipe: int | None = None
        self._told: list[float] = []

    def ensure(self, engine: str | None) -> None:
        with self._lock:
            if self._pipe is None or not self._write(""):
                self._start(engine)

    def tell(self, expires: float) -> None:
        with self._lock:
            self._told.append(expires)
            self._write(f"{expires:.3f}")

    def forget(self) -> None:
        """In a forked child: the parent's guardian is none of its business, and must not wait for its end."""
        self._lock, self._told = threading.Lock(), []
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.close(self._pipe)
            self._pipe = None

    def _write(self, line: str) -> bool:
        """Whether there is anybody to read it."""
        if self._pipe is None:
            return False
        try:
            os.write(self._pipe, line.encode() + b"\n")
        except BrokenPipeError:
            os.close(self._pipe)
            self._pipe = None
            return False
        except BlockingIOError:
            return True  # it is behind; it looks at what expires anyway when it reads on
        return True

    def _start(self, engine: str | None) -> None:
        command = [sys.executable, "-m", "openenv_grpc.providers.guardian", owner_id(), engine or ""]
        reading, self._pipe = os.pipe()
        try:
            # It makes itself a daemon and this ends at once: nobody has to wait for it later.
            subprocess.run(
                command, stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30
            )
        finally:
            os.close(reading)
        os.set_blocking(self._pipe, False)
        for expires in self._told:
            self._write(f"{expires:.3f}")


_GUARD = _Guard()
ensure, tell = _GUARD.ensure, _GUARD.tell
os.register_at_fork(after_in_child=_GUARD.forget)
