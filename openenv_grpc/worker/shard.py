"""One worker: opens its lanes, then receives a packet, answers it, and receives the next."""

from __future__ import annotations

import array
import mmap
import os
import resource
import select
import socket
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.codec import values
from openenv_grpc.errors import InvalidArgument, MessageTooLarge, OpenEnvError
from openenv_grpc.scheduling import Spin
from openenv_grpc.session.local import JOINT_FROM, MAX_JOINT_BYTES
from openenv_grpc.session.packet import AWAKE, DRAIN, JOINT, RECV_SIZE, WAITING, Assembler, Packet, messages
from openenv_grpc.session.shard import Alarm, Lane, ShardConfig, ShardCore, log, status_packet
from openenv_grpc.session.transition import JointMemory, TransitionWriter
from openenv_grpc.specs import AutoresetMode, Layout, Limits
from openenv_grpc.v1 import session_pb2
from openenv_grpc.worker.alarm import SignalAlarm
from openenv_grpc.worker.describe import AnyEnvironment, capabilities_of, records_of, session_spec
from openenv_grpc.worker.lanes import add_lanes
from openenv_grpc.worker.memory import Memory, seal
from openenv_grpc.worker.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

NEXT_S = 0.000_5
"""How long after an answer the next request is waited for awake."""
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
        session_lanes: How many lanes all shards of the session host.
        local: The client has asked for the local lane, and may have it.
    """

    shard: int
    first_lane: int
    lanes: int
    slots: int
    limits: Limits
    core: int | None = None
    session_lanes: int = 0
    local: bool = False


class Channel:
    """The worker's end of a packet socket, blocking.

    Args:
        sock: Connected SOCK_SEQPACKET socket.
        limit: Bytes of the longest message of the wire.
    """

    def __init__(self, sock: socket.socket, limit: int) -> None:
        """Nothing is received yet."""
        self._sock = sock
        self._assembler = Assembler(limit + (1 << 20))

    def receive(self) -> Packet | None:
        """The next packet; None when the other end is gone."""
        while True:
            message = self._sock.recv(RECV_SIZE)
            if not message:
                return None
            packet = self._assembler.feed(message)
            if packet is not None:
                return packet

    def receive_fd(self) -> int | None:
        """A file descriptor, beside a message of no meaning; None when the other end is gone."""
        _, fds, _, _ = socket.recv_fds(self._sock, RECV_SIZE, 1)
        return fds[0] if fds else None

    def send(self, packet: Packet, fds: Sequence[int] = ()) -> None:
        """Send a packet, with file descriptors beside its first message."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
        for message in messages(packet):
            self._sock.sendmsg([message], rights)
            rights = []

    def fileno(self) -> int:
        """The socket's, for `select`."""
        return self._sock.fileno()

    def close(self) -> None:
        """Let go of the socket."""
        self._sock.close()


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
    alarm = SignalAlarm()
    try:
        core, memory, answer = open_shard(cls, assignment, opening.frame, lanes, alarm)
        alarm.watch(memory.set_clock)
        ours = _share(channel, core, memory, answer, assignment)
        placement = Placement(fixed=assignment.core is not None)
        local = None if ours is None else LocalLane(ours, assignment.slots, placement)
        _answer_all(channel, local, core, placement)
    except OpenEnvError as error:
        channel.send(status_packet(assignment.shard, 0, error))
    except ConnectionError:  # the session has ended while its last answer was on its way
        pass
    finally:
        for lane in lanes:
            _close(lane.environment)


def _share(
    channel: Channel, core: ShardCore, memory: Memory, answer: session_pb2.SessionResponse, assignment: Assignment
) -> Channel | None:
    """Answer Open, and hand over what a client needs of the local lane; our end of that is returned, if there is one.

    The first shard makes joint memory. The server hands it to the others, and seals it when all have mapped it.
    """
    fds, local, joint = [memory.fd], None, None
    if assignment.local and seal(memory.fd):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        local = Channel(ours, assignment.limits.message_bytes)
        fds.append(theirs.detach())
        answer.open.local_lane.slot_bytes.append(memory.slot_bytes)
        answer.open.local_lane.cores.append(-1 if assignment.core is None else assignment.core)
        size = core.writer.size(assignment.session_lanes, 0)
        several = assignment.lanes < assignment.session_lanes
        if several and JOINT_FROM <= size <= MAX_JOINT_BYTES:
            joint = Memory(assignment.slots, size) if assignment.shard == 0 else None
            answer.open.local_lane.joint_slot_bytes = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    if joint is not None:
        fds.append(joint.fd)
    channel.send(Packet(0, 0, 0, frames.encode(answer)), fds)
    if answer.open.local_lane.joint_slot_bytes and joint is None:
        fd = channel.receive_fd()
        if fd is None:
            raise ConnectionResetError
        fds.append(fd)
        joint = Memory(assignment.slots, answer.open.local_lane.joint_slot_bytes, fd)
        channel.send(Packet(JOINT, 0, 0, b""))
    if joint is not None:
        first, rows = assignment.first_lane, assignment.lanes
        core.writer.joint = JointMemory(joint.map, joint.slot_bytes, assignment.session_lanes, first, rows)
    for fd in fds:
        os.close(fd)
    return local


def _answer_all(link: Channel, local: LocalLane | None, core: ShardCore, placement: Placement) -> None:
    """Answer requests one by one, until the server is gone. A client that breaks the format loses its local lane."""
    poll = select.poll()
    poll.register(link, select.POLLIN)
    if local is not None:
        poll.register(local.channel, select.POLLIN)
    link_fd = link.fileno()
    while True:
        for fd, _ in local.wait(poll) if local is not None else ((link_fd, 0),):
            if fd == link_fd:
                packet = link.receive()
                if packet is None:
                    if local is not None:
                        local.channel.close()  # before environments are closed, which may take a while
                    return
                if packet.flags & DRAIN:
                    core.draining = True
                else:
                    placement.follow(-1)
                    link.send(core.handle(packet.frame, packet.slot))
            elif local is not None and not local.answer(core):
                poll.unregister(fd)
                local.channel.close()
                local = None


class LocalLane:
    """The worker's end of a local lane.

    Args:
        channel: Its socket.
        slots: Slots of the shard's memory.
        placement: Where this process runs.
    """

    def __init__(self, channel: Channel, slots: int, placement: Placement) -> None:
        """Nothing is answered yet."""
        self.channel = channel
        self._slots = slots
        self._placement = placement
        self._spin = Spin(NEXT_S)
        self._awake = False

    def wait(self, poll: select.poll) -> list[tuple[int, int]]:
        """What there is to read: awake for a while, if the last request came from a client that waits so."""
        found = self._spin.wait(poll) if self._awake and self._spin.is_worth_it() else []
        self._awake = False
        return found or poll.poll()

    def answer(self, core: ShardCore) -> bool:
        """Answer one request; False when nothing more can come by this lane."""
        try:
            packet = self.channel.receive()
        except (ConnectionError, ValueError):
            return False
        if packet is None or packet.slot >= self._slots:
            return False
        self._awake = bool(packet.flags & AWAKE)
        self._placement.follow(packet.payload if packet.flags & WAITING else -1, awake=self._awake)
        start = time.monotonic()
        answer = core.handle(packet.frame, packet.slot, local=True)
        self._placement.note(time.monotonic() - start)
        try:
            self.channel.send(answer)
        except ConnectionError:
            return False
        return True


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
    return core(config, lanes, writer, alarm), memory, answer


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
