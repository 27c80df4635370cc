"""The owner's side of its guardians: small processes that outlive this one, for as long as it takes to clean up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading

from openenv_grpc.errors import ServerUnavailable
from openenv_grpc.providers.owner import owner_id


class _Guard:
    """The guardian of this process at one engine: started with the first container, and again if it was killed."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._pipe: int | None = None
        self._told: list[float] = []

    def ensure(self) -> None:
        with self._lock:
            if self._pipe is None or not self._write(""):
                self._start()

    def tell(self, expires: float) -> None:
        with self._lock:
            self._told.append(expires)
            self._write(f"{expires:.3f}")

    def forget(self) -> None:
        """In a forked child: the parent's guardian is none of its business, and must not wait for its end."""
        if self._pipe is not None:
            with contextlib.suppress(OSError):
                os.close(self._pipe)

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

    def _start(self) -> None:
        command = [sys.executable, "-m", "openenv_grpc.providers.guardian", owner_id(), self._engine]
        reading, self._pipe = os.pipe()
        try:
            # It makes itself a daemon and this ends at once: nobody has to wait for it later.
            subprocess.run(
                command, stdin=reading, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=30
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(self._pipe)
            self._pipe = None
            msg = f"no container without a guardian, and it does not start: {error}"
            raise ServerUnavailable(msg) from None
        finally:
            os.close(reading)
        os.set_blocking(self._pipe, False)
        for expires in self._told:
            self._write(f"{expires:.3f}")


_guards: dict[str, _Guard] = {}


def ensure(engine: str | None) -> None:
    """See to it that this process has a guardian at an engine; blocks.

    Raises:
        ServerUnavailable: None can be started.
    """
    _guard(engine).ensure()


def tell(engine: str | None, expires: float) -> None:
    """Have the guardian at an engine look when this moment (Unix time) has come."""
    _guard(engine).tell(expires)


def _guard(engine: str | None) -> _Guard:
    address = engine or os.environ.get("DOCKER_HOST", "")
    return _guards.setdefault(address, _Guard(address))


def _forget_all() -> None:
    for guard in _guards.values():
        guard.forget()
    _guards.clear()


os.register_at_fork(after_in_child=_forget_all)
