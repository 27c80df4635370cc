"""What both shells need of gRPC: addresses, channel options, and the one place where its errors become ours."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from openenv_grpc.codec.describe import MAX_DESCRIPTION_BYTES, records_of, server_from_message, structure_of
from openenv_grpc.codec.schema import structure
from openenv_grpc.errors import (
    InvalidArgument,
    MessageTooLarge,
    OpenEnvError,
    ProtocolMismatch,
    ServerUnavailable,
    SessionLost,
    SpecMismatch,
    Unsupported,
    from_status,
)
from openenv_grpc.session.local import path_of
from openenv_grpc.session.token import credentials
from openenv_grpc.specs import PROTOCOL_REVISION, ServerSpec
from openenv_grpc.v1 import environment_pb2

if TYPE_CHECKING:
    from openenv_grpc.codec.records import RecordSet
    from openenv_grpc.session.calls import OpenRequest

SERVICE = "/openenv_grpc.v1.EnvironmentService/"
MAX_MESSAGE_BYTES = 256 << 20
"""The client's own limit on one message, whatever the server allows."""
START_TIMEOUT_S = 60.0
"""How long a server may take to start."""
DESCRIBE_TIMEOUT_S = 10.0
GRACE_S = 10.0
"""How long past a request's budget a client waits before it gives the server up for dead."""
CLOSE_TIMEOUT_S = 2.0
"""How long a client that closes waits for the server's answer."""

TRANSPORTS = ("auto", "grpc", "local")

OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
]


def check_address(address: str) -> str:
    """The gRPC target of an address.

    Raises:
        InvalidArgument: Neither `unix:/path` nor `host:port`.
    """
    if "://" in address:
        msg = f"{address!r} is a URL; give host:port or unix:/path"
        raise InvalidArgument(msg, field="address")
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > 107:
            msg = f"{path!r} must be an absolute path of at most 107 bytes"
            raise InvalidArgument(msg, field="address")
        return address
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 0xFFFF:
        msg = f"{address!r} is neither host:port nor unix:/path"
        raise InvalidArgument(msg, field="address")
    return address


def metadata_of(token: str | None) -> tuple[tuple[str, str], ...] | None:
    """What every call to a server carries that asks for a token; None where there is none.

    Raises:
        InvalidArgument: It could not be sent.
    """
    return None if token is None else (credentials(token),)


def lane_path(address: str, transport: str) -> str | None:
    """Where to ask for the local lane; None when it is not to be asked for.

    Raises:
        InvalidArgument: There is no such transport.
    """
    if transport not in TRANSPORTS:
        msg = f"{transport!r} is none of {', '.join(TRANSPORTS)}"
        raise InvalidArgument(msg, field="transport")
    return None if transport == "grpc" else path_of(address)


def check_transport(wanted: str, found: str) -> None:
    """Refuse a carrier other than the one that was insisted on.

    Raises:
        Unsupported: It is another.
    """
    if wanted not in ("auto", found):
        msg = (
            f"the server offers no local lane, or does not share this host; use transport='auto' (it found {found}), "
            "or serve on a unix socket without --no-local-lane"
        )
        raise Unsupported(msg, field="transport")


def translate(error: Any, address: str, *, opened: bool = False) -> OpenEnvError:
    """Any gRPC error as one of ours, with what to do about it."""
    code, details = error.code(), error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
        return MessageTooLarge(details)
    if opened:
        return SessionLost(f"the connection to {address} broke ({code.name}: {details}); open a new session")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        where = address.partition(":")[0] == "unix" and not os.path.exists(address.removeprefix("unix:"))
        why = "there is no such socket" if where else details
        return ServerUnavailable(
            f"no server answers at {address} ({why}); start one with "
            f"`openenv-grpc serve ENVIRONMENT --address {address}`, or use openenv_grpc.make()"
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return ProtocolMismatch(f"the server at {address} does not speak openenv_grpc.v1 ({details})")
    return ServerUnavailable(f"{address}: {code.name}: {details}")


def read_description(data: bytes, address: str) -> ServerSpec:
    """The answer to Describe, checked.

    Raises:
        ProtocolMismatch: The server speaks another revision, or what it says is broken or far too long.
    """
    if len(data) > MAX_DESCRIPTION_BYTES:
        msg = f"the server at {address} describes itself in {len(data)} bytes, at most {MAX_DESCRIPTION_BYTES} are read"
        raise ProtocolMismatch(msg)
    try:
        message = environment_pb2.DescribeResponse.FromString(data)
    except DecodeError:
        msg = f"the server at {address} answers Describe with something else"
        raise ProtocolMismatch(msg) from None
    if message.protocol_revision != PROTOCOL_REVISION:
        older = message.protocol_revision < PROTOCOL_REVISION
        msg = (
            f"the server at {address} speaks protocol revision {message.protocol_revision}, this client "
            f"{PROTOCOL_REVISION}; upgrade the {'server' if older else 'client'}"
        )
        raise ProtocolMismatch(
            msg,
            field="protocol_revision",
        )
    return server_from_message(message)


def open_timeout_s(server: ServerSpec, request: OpenRequest) -> float:
    """How long opening a session may take: its place in line, and building its environments."""
    return request.wait_s + server.limits.step_time_s + GRACE_S


def agree(server: ServerSpec, typed: RecordSet | None) -> RecordSet:
    """The records to use with a server: the typed client's own if they match, else made from the description.

    Raises:
        SpecMismatch: The typed client was generated from other messages; the differences are listed.
        ProtocolMismatch: The description is broken.
    """
    if typed is None:
        return records_of(server.environment)
    if typed.spec_hash == server.environment.spec_hash:
        return typed
    theirs, ours = set(structure_of(server.environment)), _lines(typed)
    differences = [f"server only: {line}" for line in theirs - ours] + [
        f"client only: {line}" for line in ours - theirs
    ]
    raise SpecMismatch(
        f"the server's {server.environment.name} has other messages than this client; "
        "install the client package of the server's version, or use openenv_grpc.connect(). "
        + "; ".join(sorted(differences)[:6]),
        field="spec_hash",
    )


def _lines(records: RecordSet) -> set[str]:
    schemas = (records.action, records.observation, records.state)
    return {line for schema in schemas for line in structure(schema.descriptor)}
