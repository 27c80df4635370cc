"""Runs a server: the warm parent, the gRPC server with health and reflection, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import shutil
import signal
import socket
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from openenv_grpc.errors import InvalidArgument, OpenEnvError
from openenv_grpc.protection import close_memory
from openenv_grpc.scheduling import RELAY_SLICE_NS, ask_for_slice
from openenv_grpc.server.handover import Handover, remove_stale
from openenv_grpc.server.servicer import SERVICE, EnvironmentServicer
from openenv_grpc.server.sessions import SessionTable
from openenv_grpc.server.token import TokenGuard
from openenv_grpc.server.workers import Workers
from openenv_grpc.session.local import path_of
from openenv_grpc.session.options import parse_option
from openenv_grpc.specs import Isolation, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
GROUP = "openenv_grpc.environments"
MAX_UNIX_PATH = 107
FAREWELL_S = 3.0
"""How long clients may take to read the last frames of their streams when the server ends."""
_MALLOC = {-3: 32 << 20, -1: 1 << 30, -2: 16 << 20}
"""glibc's M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD (malloc.h)."""


@dataclass(frozen=True)
class ServerConfig:
    """What a server serves, and where.

    Attributes:
        environment: Name of an installed environment, or `module:Class`.
        address: `unix:/path` or `host:port`; port 0 takes a free one.
        options: Default options, each as `name=value`.
        limits: Limits in force.
        lifeline: A file descriptor; when its other end closes, the server shuts down. None for no lifeline.
        scratch: A directory that the server removes when it ends, for an owner that may be gone by then; or None.
        local_lane: Offer clients on a unix socket the local lane.
        isolation: What holds this server, as whoever started it says; None where nobody does.
        token: What every call must show; None asks for nothing.
        ready: Called with the address in force once the server is SERVING (or its environment has failed).
    """

    environment: str
    address: str
    options: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    lifeline: int | None = None
    scratch: Path | None = None
    reflect: bool = True
    local_lane: bool = True
    isolation: Isolation | None = None
    token: str | None = field(default=None, repr=False)
    ready: Any = None


def find_environment(name: str) -> tuple[str, str]:
    """(name, `module:Class`) of an environment, by entry point or given outright.

    Raises:
        InvalidArgument: No such environment is installed; the message lists those that are.
    """
    if ":" in name:
        return name.rpartition(":")[2], name
    entries = {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}
    if name not in entries:
        installed = ", ".join(sorted(entries)) or "none"
        msg = (
            f"no environment {name!r} is installed (installed: {installed}); "
            "install its package, or name a class as module:Class"
        )
        raise InvalidArgument(
            msg,
            field="environment",
        )
    return name, entries[name]


def check_address(address: str) -> None:
    """Refuse an address that gRPC would misread.

    Raises:
        InvalidArgument: Neither `unix:/path` of at most 107 bytes nor a loopback `host:port`.
    """
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not path.startswith("/") or len(os.fsencode(path)) > MAX_UNIX_PATH:
            msg = f"{path!r} must be an absolute path of at most {MAX_UNIX_PATH} bytes"
            raise InvalidArgument(msg, field="address")
        return
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 0xFFFF:
        msg = f"{address!r} is neither unix:/path nor host:port"
        raise InvalidArgument(msg, field="address")
    if host not in ("localhost", "[::1]") and not host.startswith("127."):
        msg = f"{host} is not loopback; this version serves unix sockets and loopback only, put TLS in front of it"
        raise InvalidArgument(
            msg,
            field="address",
        )


class App:
    """One server, from start to end.

    Args:
        config: What to serve, and where.
    """

    def __init__(self, config: ServerConfig) -> None:
        """Check what can be checked before anything is started.

        Raises:
            InvalidArgument: Unknown environment or impossible address.
        """
        check_address(config.address)
        self.name, self.path = find_environment(config.environment)
        self.config = config
        self.address = config.address
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGTERM, SIGINT or the end of the lifeline; the exit status is returned."""
        self._watch_signals()
        health_service = health.aio.HealthServicer()  # type: ignore[attr-defined]

        def on_gone(error: OpenEnvError) -> None:
            servicer.failure = servicer.failure or error  # where it said why before, that is why
            table.background(_set_health(health_service, health_pb2.HealthCheckResponse.NOT_SERVING))

        workers = Workers(self.path, self.name, on_gone)
        path = path_of(self.address) if self.config.local_lane else None
        handover = None if path is None else Handover(path)
        table = SessionTable(workers, self.config.limits, handover)
        servicer = EnvironmentServicer(table, metadata.version("openenv-grpc"), self.config.isolation)
        server = self._grpc_server(servicer, health_service)
        try:
            if handover is not None:
                handover.start()
        except OpenEnvError:
            self._remove_socket()
            raise
        await server.start()
        loop = asyncio.get_running_loop()
        watch = loop.create_task(table.watch())
        stop = loop.create_task(self._stop.wait())
        prepare = loop.create_task(self._prepare(workers, table, servicer, health_service))
        try:
            await asyncio.wait([prepare, stop], return_when=asyncio.FIRST_COMPLETED)
            if prepare.done():
                prepare.result()
                await stop
            await health_service.enter_graceful_shutdown()
            await table.drain()
            await server.stop(FAREWELL_S)
        finally:
            for task in (watch, stop, prepare):
                task.cancel()
            await workers.stop()
            if handover is not None:
                handover.stop()
            self._remove_socket()
            if self.config.scratch is not None:
                shutil.rmtree(self.config.scratch, ignore_errors=True)
        return 0

    def _grpc_server(self, servicer: EnvironmentServicer, health_service: Any) -> grpc.aio.Server:
        limit = self.config.limits.message_bytes
        server = grpc.aio.server(
            interceptors=() if self.config.token is None else (TokenGuard(self.config.token),),
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                ("grpc.so_reuseport", 0),
                ("grpc.keepalive_time_ms", 20_000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
                ("grpc.http2.max_ping_strikes", 0),
            ],
        )
        server.add_generic_rpc_handlers((servicer.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
        if self.config.reflect:
            names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        self._bind(server)
        return server

    def _bind(self, server: grpc.aio.Server) -> None:
        path = self.address.removeprefix("unix:")
        if self.address.startswith("unix:") and os.path.exists(path):
            remove_stale(path, socket.SOCK_STREAM)
        try:
            port = server.add_insecure_port(self.address)
        except RuntimeError as error:
            msg = f"cannot listen on {self.address}: {error}"
            raise InvalidArgument(msg, field="address") from error
        if not self.address.startswith("unix:"):
            self.address = f"{self.address.rpartition(':')[0]}:{port}"

    async def _prepare(
        self,
        workers: Workers,
        table: SessionTable,
        servicer: EnvironmentServicer,
        health_service: Any,
    ) -> None:
        """Import and describe the environment; a failure leaves the server up, NOT_SERVING, and says why."""
        status = health_pb2.HealthCheckResponse
        await _set_health(health_service, status.NOT_SERVING)
        try:
            await workers.start()
            spec = await workers.describe(self.config.options)
            table.default_options = dict(parse_option(spec.options, text) for text in self.config.options)
            servicer.spec = spec
        except OpenEnvError as error:
            servicer.failure = error
            log.error("NOT_SERVING: %s", error)
        else:
            await _set_health(health_service, status.SERVING)
        if self.config.ready is not None:
            self.config.ready(self, servicer.failure)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self.config.lifeline is not None:
            os.set_blocking(self.config.lifeline, False)
            loop.add_reader(self.config.lifeline, self._on_lifeline)

    def _on_lifeline(self) -> None:
        """Nothing is ever written to the lifeline, so readable means closed."""
        if self.config.lifeline is not None:
            asyncio.get_running_loop().remove_reader(self.config.lifeline)
        self._stop.set()

    def _remove_socket(self) -> None:
        if self.address.startswith("unix:"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.address.removeprefix("unix:"))


async def _set_health(health_service: Any, status: Any) -> None:
    for service in ("", SERVICE):
        await health_service.set(service, status)


def serve(config: ServerConfig) -> int:
    """Run a server until it is told to end; the exit status is returned.

    Raises:
        InvalidArgument: Unknown environment, impossible or taken address.
    """
    if config.isolation is not None:
        close_memory()
    keep_freed_memory()
    ask_for_slice(RELAY_SLICE_NS)

    async def main() -> int:
        return await App(config).run()

    return asyncio.run(main())


def keep_freed_memory() -> None:
    """Have glibc reuse the memory of frames instead of returning it to the kernel and faulting it in again.

    By default a block over 128 KiB is mapped afresh each time: for a batch of frames that costs as much as copying it.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for parameter, value in _MALLOC.items():
            libc.mallopt(parameter, value)
