"""The worker's side of a session, without I/O: frames in, frames out, environments in between.

The law of this file: a request is executed at most once (`seq`), refused before anything has changed or answered,
and an environment's failure is an answer, never the end of the loop.
"""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from openenv_grpc.codec import frame as frames
from openenv_grpc.codec import values
from openenv_grpc.errors import (
    DeadlineExceeded,
    EnvironmentFailed,
    InvalidArgument,
    MessageTooLarge,
    OpenEnvError,
    SequenceError,
    ServerDraining,
    Unsupported,
    to_status,
)
from openenv_grpc.session import rules
from openenv_grpc.session.actions import ActionReader
from openenv_grpc.session.packet import ENDED, FAILED, JOINT, Packet
from openenv_grpc.session.rules import LaneState
from openenv_grpc.session.transition import Rows, TransitionWriter
from openenv_grpc.specs import AutoresetMode, Capabilities, Limits, SessionSpec
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from openenv_grpc.codec.records import RecordSet

log = logging.getLogger(__name__)


class Interrupted(BaseException):
    """Raised inside environment code when its time is up. Not an Exception, so that environments don't swallow it."""


class Alarm(Protocol):
    """Interrupts environment code that runs too long."""

    def start(self, seconds: float) -> None:
        """Raise Interrupted in the environment call that runs, or begins, after so many seconds."""

    def stop(self) -> None:
        """Forget it."""

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call environment code, which may be interrupted."""


@dataclass
class Lane:
    """One environment and where it is in its life. `index` is numbered within the session."""

    index: int
    environment: Any
    state: LaneState = LaneState.FRESH


@dataclass(frozen=True)
class ShardConfig:
    """What was agreed when the session opened."""

    shard: int
    records: RecordSet
    spec: SessionSpec
    mode: AutoresetMode
    capabilities: Capabilities
    limits: Limits


class ShardCore:
    """Answers the requests of one shard, one after the other.

    Args:
        config: What was agreed.
        lanes: The shard's lanes, in order.
        writer: Writes answers to reset and step.
        alarm: Interrupts environment code.

    Attributes:
        writer: The same.
        draining: The server shuts down: what comes by the local lane is refused.
    """

    def __init__(
        self,
        config: ShardConfig,
        lanes: Sequence[Lane],
        writer: TransitionWriter,
        alarm: Alarm,
    ) -> None:
        """Begin before the first request."""
        self._config = config
        self._lanes = list(lanes)
        self.writer = writer
        self._alarm = alarm
        self.draining = False
        self._local = False
        self._actions = ActionReader(config.records, config.spec.action)
        self._seq = 0
        self._flags = 0
        self._last: Packet | None = None
        self._last_rows = 0
        self._verbs: dict[str, Callable[[Any, frames.Frame, int, Any], int]] = {
            "reset": self._reset,
            "step": self._step,
            "state": self._state,
            "snapshot": self._snapshot,
            "restore": self._restore,
        }

    def handle(self, data: bytes, slot: int, *, local: bool = False) -> Packet:
        """Answer one request, its payload in the given slot; `local` says that it came by the local lane."""
        try:
            frame = frames.decode(data, session_pb2.SessionRequest, self._config.limits.message_bytes)
        except OpenEnvError as error:
            return self._refusal(0, slot, error)
        request = frame.header
        if local and request.shard != self._config.shard:
            msg = f"{request.shard}, this is shard {self._config.shard}"
            return self._refusal(request.seq, slot, InvalidArgument(msg, field="shard"))
        if local and self.draining:
            msg = "the server is shutting down and takes no new request"
            return self._refusal(request.seq, slot, ServerDraining(msg, retry_after_s=1.0))
        if self._last is not None and request.seq == self._seq:
            return self._replay(self._last, slot, local=local)
        if request.seq != self._seq + 1:
            misplaced = SequenceError(f"{request.seq}, expected {self._seq + 1}", field="seq")
            return self._refusal(request.seq, slot, misplaced)
        self._seq, self._last_rows, self._local = request.seq, 0, local
        self._last = self._answer(request, frame, slot)
        return self._last

    def _replay(self, last: Packet, slot: int, *, local: bool) -> Packet:
        """The last answer again, its payload in another slot; joint memory is out of reach over gRPC."""
        joint = last.flags & JOINT if local else 0
        target = Packet(last.flags & ~JOINT | joint, slot, last.payload, last.frame)
        if last.payload and (slot, joint) != (last.slot, last.flags & JOINT):
            places = (last.slot, bool(last.flags & JOINT)), (slot, bool(joint))
            self.writer.move(*places, self._last_rows, last.payload)
        self._last = target
        return target

    def _answer(self, request: Any, frame: frames.Frame, slot: int) -> Packet:
        self._flags = 0
        response = session_pb2.SessionResponse(shard=self._config.shard, seq=request.seq)
        limits = self._config.limits
        budget = min(request.timeout_ms / 1000 or limits.step_time_s, limits.step_time_s)
        try:
            verb = self._verb(request.WhichOneof("verb"))
            deadline = time.monotonic() + budget
            self._set_deadline(deadline)
            self._alarm.start(budget)
            try:
                payload = verb(request, frame, slot, response)
            finally:
                self._alarm.stop()
            header = frames.encode_header(response, payload)
            if len(header) + payload > limits.message_bytes:
                msg = f"the answer has {len(header) + payload} bytes, the limit is {limits.message_bytes}"
                raise MessageTooLarge(msg)
        except OpenEnvError as error:
            return self._refusal(request.seq, slot, error)
        return Packet(self._flags, slot, payload, header)

    def _set_deadline(self, moment: float) -> None:
        for lane in self._lanes:
            lane.environment.deadline = moment

    def _verb(self, name: str | None) -> Callable[[Any, frames.Frame, int, Any], int]:
        if name == "extension":
            msg = "this revision has no extensions"
            raise Unsupported(msg, field="extension")
        if name not in self._verbs:
            msg = f"{name or 'nothing that this revision knows'} is no verb of an open session"
            raise InvalidArgument(msg, field="verb")
        return self._verbs[name]

    def _refusal(self, seq: int, slot: int, error: OpenEnvError) -> Packet:
        return Packet(FAILED, slot, 0, status_frame(self._config.shard, seq, error))

    # -- verbs ----------------------------------------------------------------------------------------------------

    def _reset(self, request: Any, frame: frames.Frame, slot: int, response: Any) -> int:
        verb = request.reset
        lanes = self._select(verb.lanes)
        seeds = self._seeds(verb.seeds, len(lanes))
        options = values.from_map(verb.options, "reset.options")
        rows = self._begin(slot, len(lanes), whole=not verb.lanes)
        self._reset_lanes(rows, lanes, seeds, options)
        response.reset.SetInParent()
        response.reset.lanes.extend(verb.lanes)
        return rows.finish(response.reset, len(lanes))

    def _step(self, request: Any, frame: frames.Frame, slot: int, response: Any) -> int:
        verb = request.step
        lanes = self._select(verb.lanes)
        if verb.chunk > self._config.limits.chunk:
            msg = f"{verb.chunk}, at most {self._config.limits.chunk}"
            raise InvalidArgument(msg, field="step.chunk")
        for lane in lanes:
            if lane.state is not LaneState.RUNNING:  # where every verb is legal
                rules.check("step", lane.index, lane.state, self._config.mode)
        count = max(verb.chunk, 1)
        actions = self._read_actions(verb.actions, frame, count * len(lanes))
        rows = self._begin(slot, count * len(lanes), whole=not (verb.lanes or verb.chunk))
        executed = self._play(rows, lanes, actions, count)
        answer = response.step
        answer.lanes.extend(verb.lanes)
        if verb.chunk:
            answer.chunk = verb.chunk
            answer.executed.extend(executed)
        else:
            answer.SetInParent()
        return rows.finish(answer, len(lanes))

    def _state(self, request: Any, frame: frames.Frame, slot: int, response: Any) -> int:
        records, name = self._config.records, self._config.records.state.full_name
        states = []
        for lane in self._checked("state", request.state.lanes):
            state = self._call(lane, lane.environment.state)
            try:
                states.append(records.encode(name, state).SerializeToString())
            except OpenEnvError as error:
                raise EnvironmentFailed(error.message, field=f"state.{error.field}".removesuffix(".None")) from None
        response.state.states.extend(states)
        return 0

    def _snapshot(self, request: Any, frame: frames.Frame, slot: int, response: Any) -> int:
        self._need_snapshot()
        lanes = self._checked("snapshot", request.snapshot.lanes)
        for lane in lanes:
            data = self._call(lane, lane.environment.save)
            if not isinstance(data, bytes):
                msg = f"save() gave {type(data).__name__}, expected bytes"
                raise EnvironmentFailed(msg, field="snapshot")
            response.snapshot.snapshots.append(bytes([lane.state is LaneState.DONE]) + data)
        return 0

    def _restore(self, request: Any, frame: frames.Frame, slot: int, response: Any) -> int:
        self._need_snapshot()
        lanes = self._checked("restore", request.restore.lanes)
        snapshots = request.restore.snapshots
        if len(snapshots) != len(lanes) or not all(data[:1] in (b"\0", b"\1") for data in snapshots):
            msg = f"expected {len(lanes)} snapshots as snapshot() gave them"
            raise InvalidArgument(msg, field="restore.snapshots")
        for lane, data in zip(lanes, snapshots, strict=True):
            self._call(lane, lane.environment.load, data[1:])
            lane.state = LaneState.DONE if data[0] else LaneState.RUNNING
        response.restore.done.extend(bool(data[0]) for data in snapshots)
        return 0

    # -- what verbs share -----------------------------------------------------------------------------------------

    def _select(self, lanes: Sequence[int]) -> list[Lane]:
        """The lanes that a request names; all when it names none."""
        if not lanes:
            return self._lanes
        first, last = self._lanes[0].index, self._lanes[-1].index
        if not (first <= lanes[0] and lanes[-1] <= last and all(a < b for a, b in itertools.pairwise(lanes))):
            msg = f"expected increasing lanes within {first}..{last}, the shard's own"
            raise InvalidArgument(msg, field="lanes")
        return [self._lanes[index - first] for index in lanes]

    def _checked(self, verb: str, lanes: Sequence[int]) -> list[Lane]:
        selected = self._select(lanes)
        for lane in selected:
            rules.check(verb, lane.index, lane.state, self._config.mode)
        return selected

    def _need_snapshot(self) -> None:
        if not self._config.capabilities.snapshot:
            msg = "this environment cannot be saved; see Describe's capabilities"
            raise Unsupported(msg)

    def _seeds(self, seeds: Sequence[Any], lanes: int) -> list[int | None]:
        if not seeds:
            return [None] * lanes
        if len(seeds) != lanes:
            msg = f"{len(seeds)} seeds for {lanes} lanes"
            raise InvalidArgument(msg, field="reset.seeds")
        found = [seed.value if seed.HasField("value") else None for seed in seeds]
        if not self._config.capabilities.seeds and any(seed is not None for seed in found):
            msg = "this environment cannot honour seeds; reset without one"
            raise Unsupported(msg, field="reset.seeds")
        return found

    def _begin(self, slot: int, rows: int, *, whole: bool) -> Rows:
        """Rows to write; in joint memory when they are all lanes once, for a client that sees it."""
        finals = len(self._lanes) if self._config.mode is AutoresetMode.SAME_STEP else 0
        size, limit = self.writer.size(rows, finals), self._config.limits.message_bytes
        if size > limit:
            msg = f"{rows} rows make {size} bytes, the limit is {limit}; ask for fewer"
            raise MessageTooLarge(msg, field="step.chunk")
        joint = whole and self._local and self.writer.joint is not None
        self._flags, self._last_rows = JOINT if joint else 0, rows
        return self.writer.begin(slot, rows, joint=joint)

    # -- lanes ----------------------------------------------------------------------------------------------------

    def _read_actions(self, actions: Sequence[bytes], frame: frames.Frame, rows: int) -> Any:
        return self._actions.read(actions, frame, rows)

    def _reset_lanes(
        self, rows: Any, lanes: Sequence[Lane], seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        for row, lane in enumerate(lanes):
            self._reset_lane(rows, row, lane, seeds[row], options)

    def _play(self, rows: Any, lanes: Sequence[Lane], actions: Any, count: int) -> list[int]:
        """Step each lane through its actions; how many each one executed is returned."""
        if count == 1:
            return [int(self._step_lane(rows, row, lane, actions[row])) for row, lane in enumerate(lanes)]
        executed = []
        width = len(lanes)
        for column, lane in enumerate(lanes):
            steps = 0
            while steps < count and self._step_lane(
                rows, steps * width + column, lane, actions[steps * width + column]
            ):
                steps += 1
                if lane.state is LaneState.DONE or rows.is_final(lane.index):
                    break
            for skipped in range(max(steps, 1), count):
                rows.clear(skipped * width + column)
            executed.append(steps)
        return executed

    def _step_lane(self, rows: Rows, row: int, lane: Lane, action: Any) -> bool:
        """One step of one lane, with whatever its autoreset mode adds; False when the lane failed."""
        if lane.state is LaneState.DONE:  # only AutoresetMode.NEXT_STEP lets it come here
            return self._reset_lane(rows, row, lane, None, {})
        environment = lane.environment
        environment.out = rows.out[row]
        try:
            result = self._call(lane, environment.step, action)
            if not rows.put(row, result):
                lane.state = LaneState.RUNNING
                return True
            lane.state = LaneState.DONE
            if self._config.mode is AutoresetMode.SAME_STEP:
                rows.set_final(row, lane.index)
                rows.put_observation(row, self._call(lane, environment.reset, seed=None, options={}))
                lane.state = LaneState.RUNNING
        except OpenEnvError as error:
            rows.fail(row, lane.index, error)
            return False
        return True

    def _reset_lane(self, rows: Rows, row: int, lane: Lane, seed: int | None, options: dict[str, Any]) -> bool:
        lane.environment.out = rows.out[row]
        try:
            result = self._call(lane, lane.environment.reset, seed=seed, options=options)
            lane.state = LaneState.DONE if rows.put(row, result) else LaneState.RUNNING
        except OpenEnvError as error:
            rows.fail(row, lane.index, error)
            return False
        return True

    def _call(self, lane: Lane, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call environment code; whatever it raises becomes one of our errors."""
        try:
            return self._alarm.call(function, *args, **kwargs)
        except Interrupted:
            lane.state = LaneState.INTERRUPTED
            msg = f"lane {lane.index} ran out of time and was interrupted; call reset()"
            raise DeadlineExceeded(msg) from None
        except OpenEnvError:
            raise
        except Exception as error:
            log.exception("lane %d raised in %s", lane.index, getattr(function, "__name__", function))
            name = type(error).__name__
            metadata = {"exception": name, "lane": str(lane.index)}
            msg = f"{name}: {str(error)[:2000]}"
            raise EnvironmentFailed(msg, metadata=metadata) from error


def status_frame(shard: int, seq: int, error: OpenEnvError, *, ended: bool = False) -> bytes:
    """An answer that says what went wrong."""
    response = session_pb2.SessionResponse(shard=shard, seq=seq, ended=ended, status=to_status(error))
    return frames.encode(response)


def status_packet(shard: int, seq: int, error: OpenEnvError) -> Packet:
    """The packet of an answer that ends the session."""
    return Packet(FAILED | ENDED, 0, 0, status_frame(shard, seq, error, ended=True))
