"""Gymnasium's own interfaces over environments behind a server, and their registration.

Importing this registers every installed environment under `openenv_grpc/<name>-v0`. Gymnasium loads no plugins by
itself; it imports a module that is named before the id:

    gymnasium.make("openenv_grpc.adapters.gymnasium:openenv_grpc/atari-v0", game="breakout")

or, after `import openenv_grpc.adapters.gymnasium`, just `gymnasium.make("openenv_grpc/atari-v0", game="breakout")`.
`gymnasium.make_vec` takes the same ids and options and makes one session of `num_envs` lanes.
"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium import spaces

from openenv_grpc.client.shapes import ActionShape, ObservationShape
from openenv_grpc.errors import InvalidArgument, Unsupported
from openenv_grpc.making import connect, connect_vec, make, make_vec
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from enum import Enum

    from openenv_grpc.specs import ServerSpec

NAMESPACE = "openenv_grpc"
"""The part of an id before the slash."""


class GymnasiumEnv(gymnasium.Env[Any, Any]):
    """One lane as a `gymnasium.Env`.

    An observation or action with exactly one field that is present in the session is that field's value, otherwise a
    dict by field name; arrays are read-only numpy arrays that are never overwritten.

    Args:
        environment: Name of an installed environment, or `module:Class`.
        provider: Where it runs, when no address is given; see `openenv_grpc.make`.
        address: `unix:/path` or `host:port` of a server of this environment that runs.
        timeout_s: Seconds until it must serve.
        render_mode: None; there is no rendering yet.
        options: Construction options, and the arguments of `EnvClient.connect`.

    Attributes:
        client: The session's client: typed results, state, snapshots.

    Raises:
        OpenEnvError: As `openenv_grpc.make` and `connect`, and as `EnvClient` in all methods.
        Unsupported: Gymnasium has no space for a field of this environment, or a render mode was asked for.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        environment: str,
        *,
        provider: str = "local",
        address: str | None = None,
        timeout_s: float = 60.0,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Open the session."""
        _check_render_mode(render_mode)
        if address is None:
            self.client = make(environment, provider=provider, timeout_s=timeout_s, **options)
        else:
            self.client = connect(address, **options)
        try:
            _check_name(self.client.server, environment)
            self.action_space = self.client.action_space
            self.observation_space = self.client.observation_space
        except BaseException:
            self.client.close()
            raise
        self._actions = ActionShape(self.client._core)
        self._observations = ObservationShape(self.client._core)

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a new episode; see `EnvClient.reset`."""
        super().reset(seed=seed)
        result = self.client.reset(seed=seed, options=options)
        return self._observe(result.observation), dict(result.info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one action; see `EnvClient.step`."""
        result = self.client.step(self._actions.single(action))
        observation = self._observe(result.observation)
        return observation, result.reward, result.terminated, result.truncated, dict(result.info)

    def _observe(self, record: Any) -> Any:
        space = self.observation_space
        if self._observations.bare:
            return _fit(space, getattr(record, self._observations.names[0]))
        return {name: _fit(space[name], getattr(record, name)) for name in self._observations.names}  # type: ignore[index]

    def close(self) -> None:
        """End the session and whatever was started for it."""
        self.client.close()


class GymnasiumVectorEnv(gymnasium.vector.VectorEnv[Any, Any, Any]):
    """Many lanes of one session as a `gymnasium.vector.VectorEnv`; see `openenv_grpc.client.VectorEnv`.

    Args:
        environment: Name of an installed environment, or `module:Class`.
        num_envs: Number of lanes.
        provider: Where it runs, when no address is given; see `openenv_grpc.make_vec`.
        address: `unix:/path` or `host:port` of a server of this environment that runs.
        timeout_s: Seconds until it must serve.
        autoreset_mode: What happens at an episode's end: Gymnasium's enum or ours, or a name of either.
        render_mode: None; there is no rendering yet.
        options: Construction options, and the arguments of `openenv_grpc.make_vec`.

    Attributes:
        vec: The `VectorEnv` beneath, which also has `send` and `recv`.

    Raises:
        OpenEnvError: As `openenv_grpc.make_vec`, and as `VectorEnv` in all methods.
        Unsupported: Gymnasium has no space for a field of this environment, or a render mode was asked for.
    """

    def __init__(
        self,
        environment: str,
        num_envs: int = 1,
        *,
        provider: str = "local",
        address: str | None = None,
        timeout_s: float = 60.0,
        autoreset_mode: AutoresetMode | str | Enum = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        """Open the session."""
        _check_render_mode(render_mode)
        options["autoreset_mode"] = autoreset_mode
        if address is None:
            self.vec = make_vec(environment, num_envs, provider=provider, timeout_s=timeout_s, **options)
        else:
            self.vec = connect_vec(address, num_envs, **options)
        try:
            _check_name(self.vec.client.server, environment)
            self.single_action_space = self.vec.single_action_space
            self.single_observation_space = self.vec.single_observation_space
            self.action_space = self.vec.action_space
            self.observation_space = self.vec.observation_space
        except BaseException:
            self.vec.close()
            raise
        self.num_envs = num_envs
        mode = gymnasium.vector.AutoresetMode[self.vec.metadata["autoreset_mode"].name]
        self.metadata = {"render_modes": [], "autoreset_mode": mode}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes in all lanes, or in those of `options["reset_mask"]`; see `VectorEnv.reset`."""
        super().reset(seed=seed if isinstance(seed, int) else None)
        return self.vec.reset(seed=seed, options=options)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take one action in each lane; see `VectorEnv.step`."""
        return self.vec.step(actions)

    def close_extras(self, **_: Any) -> None:
        """End the session and whatever was started for it."""
        if hasattr(self, "vec"):  # Gymnasium closes what was never opened, too
            self.vec.close()


def _check_render_mode(render_mode: str | None) -> None:
    if render_mode is not None:
        msg = f"{render_mode!r}: environments are not rendered yet; leave it away"
        raise Unsupported(msg, field="render_mode")


def _check_name(server: ServerSpec, environment: str) -> None:
    served = server.environment.name
    if served != environment.rpartition(":")[2]:
        msg = f"the server serves {served}, not {environment}"
        raise InvalidArgument(msg, field="environment")


def _fit(space: Any, value: Any) -> Any:
    """A field's value with the type that its space's own samples have."""
    if isinstance(space, spaces.Discrete):
        return np.int64(value)
    return np.asarray(value, space.dtype) if isinstance(space, spaces.Box) else value


def register_installed() -> None:
    """Register every installed environment (entry points of `openenv_grpc.environments`) that is not yet."""
    for entry in metadata.entry_points(group="openenv_grpc.environments"):
        identifier = f"{NAMESPACE}/{entry.name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"{__name__}:GymnasiumEnv",
                vector_entry_point=f"{__name__}:GymnasiumVectorEnv",
                kwargs={"environment": entry.name},
            )


register_installed()
