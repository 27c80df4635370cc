"""What builders of contestants share: servers that several of them use, peers' environments, the clean-up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.peers import PeerUnavailable, python_of
from benchmarks.processes import Server, on_cores, start_ours, start_ours_tcp


class Setting:
    """One question's surroundings.

    Args:
        stack: Ends everything.
        tell: Takes a line for the reader.
    """

    def __init__(self, stack: ExitStack, tell: Callable[[str], None]) -> None:
        """Nothing runs yet."""
        self.stack = stack
        self._tell = tell
        self._servers: dict[tuple[str, bool, int | None, str], Server] = {}
        self._peers: dict[str, str | PeerUnavailable] = {}

    def ours(self, environment: str, *, tcp: bool = False, cores: int | None = None, provider: str = "local") -> Server:
        """Our server of an environment, the same for all who ask; it and its workers may use so many cores.

        Raises:
            OpenEnvError: It cannot be started here.
        """
        key = environment, tcp, cores, provider
        if key not in self._servers:
            with on_cores(cores):
                started = start_ours_tcp(self.stack, environment) if tcp else None
                self._servers[key] = started or start_ours(self.stack, environment, provider)
        return self._servers[key]

    def peer(self, name: str) -> str:
        """The interpreter of a peer's environment.

        Raises:
            PeerUnavailable: It can't be installed; tried once.
        """
        if name not in self._peers:
            try:
                self._peers[name] = python_of(name, self._tell)
            except PeerUnavailable as error:
                self._peers[name] = error
        found = self._peers[name]
        if isinstance(found, PeerUnavailable):
            raise found
        return found
