"""What is checked: a server at an address, as it describes itself, and what its author says beyond that."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from openenv_grpc.client.channel import SERVICE, check_address, metadata_of, translate
from openenv_grpc.errors import InvalidArgument, ProtocolMismatch
from openenv_grpc.testing.local import lane_path
from openenv_grpc.testing.messages import Messages
from openenv_grpc.v1 import environment_pb2, spec_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_pools = itertools.count()
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Hints:
    """What an author may say of an environment that its description does not. Actions are mappings of field to value.

    Attributes:
        actions: Valid actions, taken in turn instead of random ones. Needed where not every action that fits the
            specs is a good one.
        ending_action: Terminates the episode, at once or when repeated.
        truncating_action: Has the episode truncated, at once or when repeated.
        slow_action: Takes between 0.3 and 3 seconds.
        failing_action: Makes the environment raise.
        stochastic: Whether different seeds must give different episodes; None leaves it open.
    """

    actions: Sequence[Mapping[str, Any]] = ()
    ending_action: Mapping[str, Any] | None = None
    truncating_action: Mapping[str, Any] | None = None
    slow_action: Mapping[str, Any] | None = None
    failing_action: Mapping[str, Any] | None = None
    stochastic: bool | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Hints:
        """Hints from a mapping.

        Raises:
            InvalidArgument: One is unknown.
        """
        known = [item.name for item in dataclasses.fields(cls)]
        unknown = [name for name in given if name not in known]
        if unknown:
            msg = f"no such hint; there are {', '.join(known)}"
            raise InvalidArgument(msg, field=f"hint.{unknown[0]}")
        return cls(**given)


class Servers(Protocol):
    """Starts servers for cases that need other limits, or end one. They run what the target runs, and end with it.

    Attributes:
        start_s: Seconds that one takes to serve.
    """

    start_s: float

    def limited(self, target: Target, **limits: float) -> Target:
        """One with other limits, started when it is first asked for and kept for the next case that wants these."""

    def mortal(self, target: Target) -> tuple[Target, Callable[[], None]]:
        """A new one, and a function that tells it to shut down in order."""


@dataclass
class Target:
    """A server to check.

    Attributes:
        address: Where it listens: `unix:/path` or `host:port`.
        description: Its own answer to Describe.
        options: Construction options that every session is opened with.
        hints: What its author says beyond the description.
        timeout_s: Seconds that one case may take; one answer may take a third of it.
        notes: What cases have found out and need not find out again.
        token: What the server asks of its clients, if it does.
        servers: Starts others like it; None for a server that somebody else has started.
    """

    address: str
    channel: Any
    description: environment_pb2.DescribeResponse
    options: Mapping[str, Any] = field(default_factory=dict)
    hints: Hints = field(default_factory=Hints)
    timeout_s: float = TIMEOUT_S
    notes: dict[str, str] = field(default_factory=dict)
    token: str | None = field(default=None, repr=False)
    servers: Servers | None = None

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        options: Mapping[str, Any] | None = None,
        hints: Hints | None = None,
        timeout_s: float = TIMEOUT_S,
        token: str | None = None,
    ) -> Target:
        """Ask a server who it is.

        Raises:
            InvalidArgument: The address is none, or the token.
            ServerUnavailable: Nobody answers there.
            Unauthenticated: It asks for a token, and for another than this.
            ProtocolMismatch: Somebody else does.
        """
        metadata = metadata_of(token)
        # An argument of its own keeps gRPC from sharing one connection between channels to the same address.
        channel: Any = grpc.insecure_channel(check_address(address), [*UNLIMITED, ("openenv.pool", next(_pools))])
        try:
            answer = channel.unary_unary(SERVICE + "Describe")(b"", timeout=timeout_s / 3, metadata=metadata)
            description = environment_pb2.DescribeResponse.FromString(answer)
        except grpc.RpcError as error:
            channel.close()
            raise translate(error, address) from None
        except DecodeError:
            channel.close()
            msg = f"the server at {address} answers Describe with something else"
            raise ProtocolMismatch(msg) from None
        return cls(address, channel, description, options or {}, hints or Hints(), timeout_s, token=token)

    def like(self, address: str) -> Target:
        """Another server of the same environment, with the same options and hints."""
        return Target.connect(address, options=self.options, hints=self.hints, timeout_s=self.timeout_s)

    def close(self) -> None:
        """Let go of the connection."""
        self.channel.close()

    @property
    def metadata(self) -> Any:
        """What every call carries."""
        return metadata_of(self.token)

    @property
    def has_local_lane(self) -> bool:
        """Whether sessions can be driven on their local lane from here."""
        return lane_path(self.address) is not None

    @property
    def environment(self) -> spec_pb2.EnvironmentSpec:
        """The environment, as described."""
        return self.description.environment

    @property
    def capabilities(self) -> spec_pb2.Capabilities:
        """What it can do."""
        return self.environment.capabilities

    @property
    def limits(self) -> spec_pb2.Limits:
        """Limits in force."""
        return self.description.limits

    @property
    def answer_timeout_s(self) -> float:
        """Seconds that one answer may take."""
        return self.timeout_s / 3

    @property
    def case_timeout_s(self) -> float:
        """Seconds after which a case is given up: its own, and what a server takes that it may start."""
        return self.timeout_s + (0.0 if self.servers is None else 2 * self.servers.start_s)

    @property
    def messages(self) -> Messages:
        """The environment's messages; a description that has none is a violation of every rule that needs them."""
        found = self.__dict__.get("_messages")
        if found is None:
            found = self.__dict__["_messages"] = Messages.of(self.environment)
        return found
