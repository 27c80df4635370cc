"""How a shard gets its lanes: a batch of them all where the environment offers one, else environments one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openenv_grpc.environment import Batch, Batched, Snapshot
from openenv_grpc.errors import EnvironmentFailed, OpenEnvError
from openenv_grpc.session.batch import BatchCore, BatchLane
from openenv_grpc.session.shard import Alarm, Interrupted, Lane, ShardCore, log

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openenv_grpc.specs import AutoresetMode
    from openenv_grpc.worker.describe import AnyEnvironment


def add_lanes(
    lanes: list[Lane],
    cls: type[AnyEnvironment],
    first: int,
    count: int,
    mode: AutoresetMode,
    options: Mapping[str, Any],
    alarm: Alarm,
) -> type[ShardCore]:
    """Construct the lanes of a shard.

    Args:
        lanes: To which they are added one by one, so that those before a failure can be closed.
        cls: The environment.
        first: Their first number within the session.
        count: How many.
        mode: The session's autoreset mode.
        options: Construction options.
        alarm: Interrupts environment code.

    Returns:
        The class of core that drives them.

    Raises:
        OpenEnvError: They cannot be built.
    """
    if issubclass(cls, Batched):
        batch = _built(cls, alarm, cls.batch, count, mode, dict(options))
        if batch is not None:
            lanes.extend(Lane(first + number, BatchLane(batch, number)) for number in range(count))
            _check_batch(cls, batch)
            return BatchCore
    lanes.extend(Lane(first + number, construct(cls, options, alarm)) for number in range(count))
    return ShardCore


def construct(cls: type[AnyEnvironment], options: Mapping[str, Any], alarm: Alarm) -> AnyEnvironment:
    """One environment; what its constructor raises becomes one of our errors."""
    environment: AnyEnvironment = _built(cls, alarm, cls, **options)
    return environment


def _built(cls: type[AnyEnvironment], alarm: Alarm, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return alarm.call(function, *args, **kwargs)
    except Interrupted:
        msg = f"{cls.__name__} took too long to construct"
        raise EnvironmentFailed(msg) from None
    except OpenEnvError as error:
        raise (error.under("options") if error.field else error) from None
    except Exception as error:
        log.exception("%s(%s) raised", cls.__name__, ", ".join(kwargs))
        name = type(error).__name__
        msg = f"{cls.__name__} cannot be built: {name}: {str(error)[:2000]}"
        raise EnvironmentFailed(msg, metadata={"exception": name}) from error


def _check_batch(cls: type[AnyEnvironment], batch: Any) -> None:
    if not isinstance(batch, Batch):
        msg = f"{cls.__name__}.batch gave {type(batch).__name__}, expected a Batch or None"
        raise EnvironmentFailed(msg)
    if issubclass(cls, Snapshot) and not (hasattr(batch, "save") and hasattr(batch, "load")):
        msg = f"{cls.__name__} can be saved, but {type(batch).__name__} has no save(lane) and load(lane, data)"
        raise EnvironmentFailed(msg)
