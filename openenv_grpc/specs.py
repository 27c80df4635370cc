"""Immutable values that describe environments, sessions and servers.

Nothing here knows how it travels: `openenv_grpc.codec` turns these into messages and back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

PROTOCOL_REVISION = 1
"""Peers of different revisions do not open sessions with one another."""

MAX_AXES = 32
"""Most axes an array may have (numpy's own limit in 1.x)."""


class AutoresetMode(IntEnum):
    """What happens to a lane whose episode has ended; the modes are Gymnasium's (`gymnasium.vector.AutoresetMode`)."""

    NEXT_STEP = 1
    SAME_STEP = 2
    DISABLED = 3


class Layout(IntEnum):
    """How observations are answered: columns in the payload, or whole records."""

    COLUMNS = 1
    RECORDS = 2


class IsolationTier(IntEnum):
    """How environments are kept apart from one another and from the host."""

    UNSPECIFIED = 0
    PROCESS = 1


@dataclass(frozen=True)
class ArraySpec:
    """Element type, shape and bounds of one number or array.

    Attributes:
        dtype: Element type; any numeric numpy dtype or bool, little-endian.
        shape: Length of each axis. An axis of -1 (in an environment's own specs) is not known yet; an axis of 0 marks
            a field that is absent in this session. `()` is a scalar.
        low: Smallest value allowed, or None.
        high: Largest value allowed, or None.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...] = ()
    low: float | None = None
    high: float | None = None

    def __init__(
        self, dtype: DTypeLike, shape: tuple[int, ...] = (), low: float | None = None, high: float | None = None
    ) -> None:
        """Normalise and check.

        Raises:
            InvalidArgument: Not a numeric or bool dtype, a shape that cannot be, or bounds that are NaN or in the
                wrong order.
        """
        kind = np.dtype(dtype).newbyteorder("<")
        if kind.kind not in "biufc" or kind.itemsize > 16 or kind == np.dtype(np.longdouble):
            msg = f"{kind} is not a numeric dtype or bool"
            raise InvalidArgument(msg, field="dtype")
        if len(shape) > MAX_AXES or any(axis < -1 for axis in shape):
            msg = f"{shape} is not a shape of at most {MAX_AXES} axes"
            raise InvalidArgument(msg, field="shape")
        for name, bound in (("low", low), ("high", high)):
            if bound is not None and bound != bound:
                msg = "NaN is no bound: every comparison with it is false"
                raise InvalidArgument(msg, field=name)
        if low is not None and high is not None and not low <= high:
            msg = f"low {low} is not at most high {high}"
            raise InvalidArgument(msg, field="low")
        object.__setattr__(self, "dtype", kind)
        object.__setattr__(self, "shape", tuple(int(axis) for axis in shape))
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def size(self) -> int:
        """Number of elements. Python integers: it cannot overflow."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return self.size * self.dtype.itemsize

    @property
    def absent(self) -> bool:
        """Whether the field does not exist in this session."""
        return 0 in self.shape


@dataclass(frozen=True)
class SessionSpec:
    """Columns of a session, by field name, in payload order."""

    action: dict[str, ArraySpec]
    observation: dict[str, ArraySpec]


class OptionType(Enum):
    """Type of a construction option; the values are the names a person reads."""

    ANY = "any"
    BOOLEAN = "bool"
    INTEGER = "int"
    NUMBER = "float"
    TEXT = "str"


@dataclass(frozen=True)
class OptionSpec:
    """One construction option of an environment."""

    name: str
    type: OptionType = OptionType.ANY
    required: bool = False
    nullable: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Capabilities:
    """What an environment can do beyond reset, step, state and close."""

    seeds: bool = True
    snapshot: bool = False


@dataclass(frozen=True)
class Limits:
    """Limits of a server. None is "unlimited".

    Attributes:
        sessions: Sessions open at the same time.
        lanes: Lanes of one session.
        message_bytes: Bytes of one message, in either direction.
        in_flight: Requests of one shard that may wait for their answers at the same time.
        chunk: Actions of one lane in one step request.
        step_time_s: Seconds that one request may take, whatever its own budget.
        session_idle_s: Seconds after which a session without a stream and without work is closed.
        waiting: Clients that may wait in line for a session at the same time.
        shards: Shards of one session, each a worker process.
    """

    sessions: int = 256
    lanes: int = 1024
    message_bytes: int = 64 << 20
    in_flight: int = 64
    chunk: int = 256
    step_time_s: float = 60.0
    session_idle_s: float = 600.0
    waiting: int = 64
    shards: int = 64


@dataclass(frozen=True)
class EnvironmentSpec:
    """What a server says about its environment; enough to use it without its package.

    Attributes:
        descriptor_set: Serialized `google.protobuf.FileDescriptorSet` of the three messages and all they import.
        spec_hash: Hash over the structure of the three messages.
        session: Columns of a session opened with the default options.
    """

    name: str
    version: str
    descriptor_set: bytes
    action_message: str
    observation_message: str
    state_message: str
    spec_hash: str
    session: SessionSpec
    options: tuple[OptionSpec, ...] = ()
    capabilities: Capabilities = field(default_factory=Capabilities)
    documentation: str = ""


@dataclass(frozen=True)
class Isolation:
    """What stands between a server and its host. A limit of 0 is none.

    Attributes:
        profile: `process` (a process of the host's user: no wall), or the name of a container's profile.
        runtime: What runs the container: `runc`, `runsc` (gVisor), …; "" for none.
        memory_bytes: Memory of all its processes together, swap included.
        cpus: Cores' worth of processor time.
        pids: Processes and threads at the same time.
        read_only: Whether its root file system cannot be written to.
        network: `none`, `bridge` (a network of the engine's), or `host`.
    """

    profile: str
    runtime: str = ""
    memory_bytes: int = 0
    cpus: float = 0.0
    pids: int = 0
    read_only: bool = False
    network: str = "host"

    def __str__(self) -> str:
        """In one line, for people."""
        if self.profile == "process":
            return "process: the host's files and network are open to it"
        limits = (
            (self.memory_bytes, f"memory {self.memory_bytes / (1 << 20):,.0f} MiB"),
            (self.cpus, f"cpus {self.cpus:g}"),
            (self.pids, f"processes {self.pids}"),
            (self.read_only, "read-only"),
            (self.network, f"network {self.network}"),
        )
        held = ", ".join(text for value, text in limits if value)
        return f"{self.profile}{f' ({self.runtime})' if self.runtime else ''}: {held or 'no limits'}"


@dataclass(frozen=True)
class ServerSpec:
    """The answer to Describe. What it says of its isolation is the server's claim; None where it says nothing."""

    environment: EnvironmentSpec
    limits: Limits
    protocol_revision: int = PROTOCOL_REVISION
    server_version: str = ""
    isolation_tier: IsolationTier = IsolationTier.UNSPECIFIED
    open_sessions: int = 0
    draining: bool = False
    isolation: Isolation | None = None
