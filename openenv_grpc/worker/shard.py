"""One worker: opens its lanes, then receives a packet, answers it, and receives the next."""

from __future__ import annotations

import array
import fcntl
import mmap
import os
import resource
import socket
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeVar

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.codec import values
from openenv_grpc.errors import InvalidArgument, MessageTooLarge, OpenEnvError
from openenv_grpc.session.packet import RECV_SIZE, Assembler, Packet, messages
from openenv_grpc.session.shard import Alarm, Lane, ShardConfig, ShardCore, log, status_packet
from openenv_grpc.session.transition import TransitionWriter
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from openenv_grpc.v1 import session_pb2
from openenv_grpc.worker.alarm import SignalAlarm
from openenv_grpc.worker.describe import AnyEnvironment, capabilities_of, records_of, session_spec
from openenv_grpc.worker.lanes import add_lanes

EnumT = TypeVar("EnumT", bound=IntEnum)


@dataclass(frozen=True)
class Assignment:
    """What the server tells a worker before the client's Open request.

    Attributes:
        shard: Index of the shard in its session.
        first_lane: Its first lane, numbered within the session.
        lanes: How many lanes it hosts.
        slots: Slots of its memory, each for the payload of one answer.
        limits: Limits in force.
        core: The core it keeps to, or None to leave that to the kernel.
    """

    shard: int
    first_lane: int
    lanes: int
    slots: int
    limits: Limits
    core: int | None = None


class Channel:
    """The worker's end of the packet socket, blocking."""

    def __init__(self, sock: socket.socket, limit: int) -> None:
        """Take a connected SOCK_SEQPACKET socket."""
        self._sock = sock
        self._assembler = Assembler(limit + (1 << 20))

    def receive(self) -> Packet | None:
        """The next packet; None when the server is gone."""
        while True:
            message = self._sock.recv(RECV_SIZE)
            if not message:
                return None
            packet = self._assembler.feed(message)
            if packet is not None:
                return packet

    def send(self, packet: Packet, fd: int | None = None) -> None:
        """Send a packet, with a file descriptor beside its first message."""
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]).tobytes())]
        for message in messages(packet):
            self._sock.sendmsg([message], rights)
            rights = []


class Memory:
    """The shard's memory: slots in a sealed memfd that the server maps too."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        """Create and map it. Pages that are never written cost nothing."""
        self.slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        size = slots * self.slot_bytes
        self.fd = os.memfd_create("openenv-shard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self.map = mmap.mmap(self.fd, size)

    def copy_slot(self, source: int, target: int, size: int) -> None:
        """Copy the first bytes of one slot to another."""
        if source != target and size:
            self.map.move(target * self.slot_bytes, source * self.slot_bytes, size)


def serve(sock: socket.socket, cls: type[AnyEnvironment], assignment: Assignment) -> None:
    """Host one shard until the server closes the socket."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if assignment.core is not None:
        os.sched_setaffinity(0, {assignment.core})
    channel = Channel(sock, assignment.limits.message_bytes)
    opening = channel.receive()
    if opening is None:
        return
    lanes: list[Lane] = []
    try:
        core, memory, answer = open_shard(cls, assignment, opening.frame, lanes, SignalAlarm())
        channel.send(Packet(0, 0, 0, frames.encode(answer)), memory.fd)
        os.close(memory.fd)
        while (packet := channel.receive()) is not None:
            channel.send(core.handle(packet.frame, packet.slot))
    except OpenEnvError as error:
        channel.send(status_packet(assignment.shard, 0, error))
    except ConnectionError:  # the session has ended while its last answer was on its way
        pass
    finally:
        for lane in lanes:
            _close(lane.environment)


def open_shard(
    cls: type[AnyEnvironment], assignment: Assignment, opening: bytes, lanes: list[Lane], alarm: Alarm
) -> tuple[ShardCore, Memory, session_pb2.SessionResponse]:
    """Construct the lanes, which are added to `lanes` one by one, and everything around them.

    Raises:
        OpenEnvError: The request is wrong, or an environment cannot be built.
    """
    request = frames.decode(opening, session_pb2.SessionRequest, assignment.limits.message_bytes).header.open
    records = records_of(cls)
    alarm.start(assignment.limits.step_time_s)
    options = values.from_map(request.options, "open.options")
    mode = _member(AutoresetMode, request.autoreset_mode or AutoresetMode.NEXT_STEP, "open.autoreset_mode")
    core = add_lanes(lanes, cls, assignment.first_lane, assignment.lanes, mode, options, alarm)
    alarm.stop()
    config = ShardConfig(
        shard=assignment.shard,
        records=records,
        spec=session_spec(records, lanes[0].environment),
        mode=mode,
        capabilities=capabilities_of(cls),
        limits=assignment.limits,
    )
    known = [field.name for field in records.observation.fields]
    unknown = [name for name in request.fields if name not in known]
    if unknown:
        msg = f"no such observation field {unknown[0]!r}; there are {', '.join(known)}"
        raise InvalidArgument(msg, field="open.fields")
    layout = _member(Layout, request.layout or Layout.COLUMNS, "open.layout")
    memory, writer = _memory(config, assignment, request.fields, layout)
    answer = session_pb2.SessionResponse(shard=assignment.shard)
    answer.open.spec.CopyFrom(wire.session_to_message(config.spec))
    answer.open.autoreset_mode = int(config.mode)  # type: ignore[assignment]
    return core(config, lanes, writer, alarm, memory.copy_slot), memory, answer


def _member(kind: type[EnumT], number: int, field: str) -> EnumT:
    try:
        return kind(number)
    except ValueError:
        msg = f"{number} is none of {', '.join(f'{member.value} ({member.name})' for member in kind)}"
        raise InvalidArgument(msg, field=field) from None


def _memory(
    config: ShardConfig, assignment: Assignment, fields: Any, layout: Layout
) -> tuple[Memory, TransitionWriter]:
    """Memory that holds the longest chunk which still fits into one message."""
    limits, specs = assignment.limits, config.spec.observation
    sizing = TransitionWriter(config.records, specs, fields, layout, b"", 0)
    finals = assignment.lanes if config.mode is AutoresetMode.SAME_STEP else 0
    smallest = sizing.size(assignment.lanes, finals)
    if smallest > limits.message_bytes:
        msg = (
            f"{assignment.lanes} lanes make answers of up to {smallest} bytes, the limit is {limits.message_bytes}; "
            "ask for fewer lanes or more shards"
        )
        raise MessageTooLarge(
            msg,
            field="open.lanes",
        )
    slot_bytes = min(sizing.size(assignment.lanes * limits.chunk, finals), limits.message_bytes)
    memory = Memory(assignment.slots, max(slot_bytes, 1))
    return memory, TransitionWriter(config.records, specs, fields, layout, memory.map, memory.slot_bytes)


def _close(environment: AnyEnvironment) -> None:
    try:
        environment.close()
    except Exception:  # noqa: BLE001 - the environment's own code; the worker ends either way
        log.exception("close() raised")
