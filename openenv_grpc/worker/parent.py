"""The warm parent: imports the environment once and forks a worker for each shard.

It never loads grpc, asyncio or a client's data, and runs no thread, so what it forks is clean. It talks to the server
over one SOCK_SEQPACKET socket: JSON messages, a worker's socket as a passed file descriptor.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from openenv_grpc.codec import describe as wire
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.protection import ISOLATION, close_memory, die_with_parent
from openenv_grpc.scheduling import DEFAULT_SLICE_NS, ask_for_slice
from openenv_grpc.session.options import check_options, parse_option
from openenv_grpc.session.packet import Packet
from openenv_grpc.session.shard import status_packet
from openenv_grpc.specs import Limits
from openenv_grpc.worker.alarm import SignalAlarm
from openenv_grpc.worker.describe import AnyEnvironment, describe, load, options_of
from openenv_grpc.worker.lanes import construct
from openenv_grpc.worker.shard import Assignment, Channel, serve

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_MESSAGE = 1 << 16


class WarmParent:
    """Forks workers on the server's demand and reports how they end.

    Args:
        control: Connected SOCK_SEQPACKET socket to the server.
        cls: The environment.
        name: Its name.
    """

    def __init__(self, control: socket.socket, cls: type[AnyEnvironment], name: str) -> None:
        """Take over SIGCHLD."""
        self._control = control
        self._cls = cls
        self._name = name
        self._children: set[int] = set()
        self._wakeup, wakeup = socket.socketpair()
        self._wakeup.setblocking(False)
        wakeup.setblocking(False)
        self._signal_end = wakeup
        signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> None:
        """Serve until the server is gone, then end all workers."""
        self._tell({"op": "ready"})
        gc.collect()
        gc.freeze()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        alive = True
        while alive:
            for fd, _ in poll.poll():
                if fd == self._wakeup.fileno():
                    self._reap()
                else:
                    alive = self._receive()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _tell(self, message: Mapping[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())

    def _receive(self) -> bool:
        """Carry out one message; False when the server is gone."""
        data, fds, _, _ = socket.recv_fds(self._control, _MAX_MESSAGE, 1)
        if not data:
            return False
        message = json.loads(data)
        if message["op"] == "kill":
            if message["pid"] in self._children:  # not reaped yet, so the number is still this child's
                os.kill(message["pid"], signal.SIGKILL)
            return True
        try:
            pid = os.fork()
        except OSError as error:
            self._tell({"op": "unforked", "id": message["id"], "message": str(error)})
        else:
            if pid == 0:
                self._child(socket.socket(fileno=fds[0]), message)
            self._children.add(pid)
            self._tell({"op": "forked", "id": message["id"], "pid": pid})
        for fd in fds:
            os.close(fd)
        return True

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wakeup.recv(256):
                pass
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid not in self._children:  # the environment's own child
                continue
            self._children.discard(pid)
            self._tell({"op": "exit", "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _child(self, sock: socket.socket, message: Mapping[str, Any]) -> NoReturn:
        """Be a worker until the end."""
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            die_with_parent()
            for inherited in (self._control, self._wakeup, self._signal_end):
                inherited.close()
            if message["op"] == "describe":
                self._describe(sock, message["options"])
            else:
                limits = Limits(**message["limits"])
                keys = ("shard", "first_lane", "lanes", "slots", "core", "session_lanes", "local")
                serve(sock, self._cls, Assignment(**{key: message[key] for key in keys}, limits=limits))
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except (ConnectionError, KeyboardInterrupt):
            code = 0
        except BaseException:
            logging.getLogger(__name__).exception("worker ended")
        finally:
            logging.shutdown()
            os._exit(code)

    def _describe(self, sock: socket.socket, options: list[str]) -> None:
        """Construct one environment with the server's default options and send what it says about itself."""
        channel = Channel(sock, wire.MAX_DESCRIPTOR_BYTES)
        try:
            specs = options_of(self._cls)
            given = check_options(specs, dict(parse_option(specs, text) for text in options))
            environment = construct(self._cls, given, SignalAlarm())
            spec = wire.environment_to_message(describe(self._cls, self._name, environment))
            channel.send(Packet(0, 0, 0, spec.SerializeToString()))
            environment.close()
        except OpenEnvError as error:
            channel.send(status_packet(0, 0, error))


def main(control_fd: int, path: str, name: str) -> None:
    """Load the environment and run; a failure to load is told to the server."""
    logging.basicConfig(level=logging.INFO, format=f"%(levelname)s {name} worker: %(message)s")
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all processes at once, but the server's to handle;
        signal.signal(number, lambda *_: None)  # SIG_IGN would be inherited by programs that an environment starts
    die_with_parent()
    if os.environ.get(ISOLATION):
        close_memory()  # workers inherit it
    ask_for_slice(DEFAULT_SLICE_NS)  # the server's short ones are inherited
    control = socket.socket(fileno=control_fd)
    try:
        parent = WarmParent(control, load(path), name)
    except OpenEnvError as error:
        control.send(json.dumps({"op": "failed", "message": str(error)[:4000]}).encode())
        sys.exit(1)
    with contextlib.suppress(ConnectionError):
        parent.run()
