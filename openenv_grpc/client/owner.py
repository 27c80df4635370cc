"""What a `VectorEnv` passes on to the client that it owns: spaces, and life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from openenv_grpc.client.sync import VectorEnvClient
    from openenv_grpc.specs import Isolation


class SessionOwner:
    """Owns a session of several lanes; a context manager.

    Args:
        client: The session.
    """

    def __init__(self, client: VectorEnvClient[Any, Any, Any]) -> None:
        """Closing this closes it."""
        self.client = client

    @property
    def num_envs(self) -> int:
        """Number of lanes."""
        return self.client.num_envs

    @property
    def single_action_space(self) -> Any:
        """One lane's action as a gymnasium space (needs gymnasium)."""
        return self.client.single_action_space

    @property
    def single_observation_space(self) -> Any:
        """One lane's observation as a gymnasium space (needs gymnasium)."""
        return self.client.single_observation_space

    @property
    def action_space(self) -> Any:
        """All lanes' actions as one gymnasium space (needs gymnasium)."""
        return self.client.action_space

    @property
    def observation_space(self) -> Any:
        """All lanes' observations as one gymnasium space (needs gymnasium)."""
        return self.client.observation_space

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.client.closed

    @property
    def isolation(self) -> Isolation | None:
        """What holds the server: as its provider has set it up, else as the server says itself; None if nobody says."""
        return self.client.isolation

    def set_isolation(self, isolation: Isolation | None) -> None:
        """Go by this, whatever the server says of itself."""
        self.client.set_isolation(isolation)

    def add_cleanup(self, callback: Callable[[], None]) -> None:
        """Call this when it is closed."""
        self.client.add_cleanup(callback)

    def close(self) -> None:
        """End the session and whatever `make_vec` started for it. Calling it again does nothing."""
        self.client.close()

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()
