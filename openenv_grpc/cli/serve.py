"""`openenv-grpc serve`: run an environment's server."""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from openenv_grpc.errors import InvalidArgument, OpenEnvError
from openenv_grpc.protection import ISOLATION
from openenv_grpc.session.token import VARIABLE, token_in
from openenv_grpc.specs import Isolation, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openenv_grpc.server.app import App

ABOUT = "Serve an environment over gRPC until SIGTERM or Ctrl-C; running steps are finished first."
EPILOG = (
    f"Where {VARIABLE} is set, every call must show it (metadata: authorization: Bearer TOKEN). "
    "Example: openenv-grpc serve atari --address 127.0.0.1:50051 --option game=breakout"
)


def main(arguments: Sequence[str]) -> int:
    """Serve an environment over gRPC until SIGTERM or Ctrl-C; the exit status is returned.

    Its arguments are read without typer, so that a server does not carry a command line's libraries.

    Raises:
        SystemExit: The arguments are wrong (2), or ask for help (0).
        OpenEnvError: It cannot serve.
    """
    given = _parser().parse_args(arguments)
    from openenv_grpc.server.app import ServerConfig
    from openenv_grpc.server.app import serve as run

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    held_by = None if given.lifeline is None else open_lifeline(given.lifeline)
    config = ServerConfig(
        environment=given.environment,
        address=given.address,
        options=tuple(given.option),
        limits=read_limits(given.limit),
        lifeline=held_by,
        scratch=given.scratch,
        reflect=given.reflection,
        local_lane=given.local_lane,
        isolation=read_isolation(os.environ.get(ISOLATION)),
        token=take_token(),
        ready=_tell_lifeline if held_by is not None else _tell_person,
    )
    try:
        return run(config)
    except OpenEnvError as error:
        if held_by is not None:
            _tell(held_by, given.address, error)
        raise


def _parser() -> argparse.ArgumentParser:
    limits = ", ".join(field.name for field in fields(Limits))
    parser = argparse.ArgumentParser(
        usage="openenv-grpc serve [OPTIONS] ENVIRONMENT", description=ABOUT, epilog=EPILOG, allow_abbrev=False
    )
    switch = argparse.BooleanOptionalAction
    parser.add_argument("environment", help="an installed environment (echo, atari, …), or module:Class")
    parser.add_argument(
        "--address", default="127.0.0.1:50051", help="unix:/path or host:port (loopback; port 0 takes a free one)"
    )
    parser.add_argument(
        "--option",
        "-o",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="default construction option; repeatable",
    )
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help=f"repeatable; names: {limits}"
    )
    parser.add_argument(
        "--reflection", action=switch, default=True, help="offer gRPC server reflection, for grpcurl (default: yes)"
    )
    parser.add_argument(
        "--local-lane",
        action=switch,
        default=True,
        help="offer clients on a unix socket shared memory and a socket straight to the workers (default: yes)",
    )
    parser.add_argument("--lifeline", help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser


def open_lifeline(text: str) -> int:
    """The file descriptor of a lifeline: inherited, or a connection to the socket that its owner listens on.

    Raises:
        InvalidArgument: Nobody listens there.
    """
    if text.isdecimal():
        return int(text)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(text)
    except OSError as error:
        sock.close()
        msg = f"nobody holds {text}: {error.strerror}"
        if isinstance(error, PermissionError):
            msg += "; where gVisor runs this container, its runtime needs --host-uds=all"
        raise InvalidArgument(msg, field="lifeline") from None
    return sock.detach()


def take_token() -> str | None:
    """What every call must show, from the environment, where what we start will not find it.

    Raises:
        InvalidArgument: It could not be sent.
    """
    token = token_in(os.environ)
    os.environ.pop(VARIABLE, None)
    return token


def read_isolation(text: str | None) -> Isolation | None:
    """What holds this server, from the environment variable that its provider sets.

    Raises:
        InvalidArgument: It is no JSON object of the fields of `Isolation`.
    """
    if not text:
        return None
    try:
        told = json.loads(text)
        kinds = {field.name: type(getattr(Isolation(""), field.name)) for field in fields(Isolation)}
        return Isolation(**{name: kinds[name](value) for name, value in told.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"cannot be read: {type(error).__name__}: {error}"
        raise InvalidArgument(msg, field=ISOLATION) from None


def read_limits(texts: list[str]) -> Limits:
    """Limits from `name=value` as a person types them.

    Raises:
        InvalidArgument: Unknown name, or not a positive number.
    """
    limits = Limits()
    for text in texts:
        name, _, value = text.partition("=")
        if name not in {field.name for field in fields(Limits)}:
            msg = f"no such limit; there are {', '.join(f.name for f in fields(Limits))}"
            raise InvalidArgument(msg, field=name)
        kind = type(getattr(limits, name))
        try:
            number = kind(value)
        except ValueError:
            msg = f"{value!r} is no {kind.__name__}"
            raise InvalidArgument(msg, field=name) from None
        if not 0 < number < 1 << 32:
            msg = f"{value} must be positive and below 2**32"
            raise InvalidArgument(msg, field=name)
        limits = replace(limits, **{name: number})
    return limits


def _tell_person(app: App, failure: OpenEnvError | None) -> None:
    state = f"NOT SERVING: {failure}" if failure else "serving"
    print(f"{app.name} {state} at {app.address} (pid {os.getpid()}); Ctrl-C ends it", flush=True)


def _tell_lifeline(app: App, failure: OpenEnvError | None) -> None:
    _tell(app.config.lifeline or 0, app.address, failure)


def _tell(fd: int, address: str, failure: OpenEnvError | None) -> None:
    """Tell the provider that started us; it may be gone already, which the lifeline's end will show."""
    told = None if failure is None else {"reason": failure.reason, "field": failure.field, "message": failure.message}
    line = json.dumps({"address": address, "failure": told})
    with socket.socket(fileno=os.dup(fd)) as lifeline:
        lifeline.setblocking(True)
        try:
            lifeline.sendall(line.encode() + b"\n")
        except ConnectionError:
            return
        finally:
            lifeline.setblocking(False)
