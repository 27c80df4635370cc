"""The client's side of a session, without I/O: verbs in, frames out; frames in, results out.

Both shells (sync, asyncio) drive this one core. They send a call's frames in the order they got them, feed every
frame they receive to `receive`, and wait for `Call.done`. The core is not thread-safe; the shells are.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.codec import describe as wire
from openenv_grpc.codec import frame as frames
from openenv_grpc.codec import values
from openenv_grpc.errors import (
    InvalidArgument,
    MalformedFrame,
    MessageTooLarge,
    OpenEnvError,
    ServerFull,
    SessionClosed,
    SessionLost,
    Unsupported,
    from_status,
)
from openenv_grpc.session import rules
from openenv_grpc.session.actions import ActionWriter
from openenv_grpc.session.calls import Call, OpenRequest, check_shards, check_spec, read_mode
from openenv_grpc.session.local import LocalTerms, read_terms
from openenv_grpc.session.results import Rows, TransitionReader
from openenv_grpc.session.rules import LaneState
from openenv_grpc.specs import Capabilities, Limits, SessionSpec
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openenv_grpc.codec.columns import TransitionLayout
    from openenv_grpc.codec.records import RecordSet

MAX_PARSED = 64 << 20
"""Bytes of an answer that protobuf parses, which takes up to fifty times the memory. Arrays are not among them."""
MAX_STEPS = 64
"""Serialized steps that a session keeps, without actions: as many as it may have groups of lanes that step together."""


class ClientCore:
    """An open session as its client sees it.

    Args:
        records: The environment's records.
        capabilities: What the environment can do.
        request: What was asked for.
        answer: The frame that answered it.
        vector: Whether results are columns of all lanes, or the record of the only lane.
        max_message_bytes: The client's own limit.

    Attributes:
        local: How to reach the session's local lane; None where it was not asked for or there is none.

    Raises:
        OpenEnvError: The server refused, or its answer breaks the protocol.
    """

    def __init__(
        self,
        records: RecordSet,
        capabilities: Capabilities,
        request: OpenRequest,
        answer: bytes,
        *,
        vector: bool,
        max_message_bytes: int,
    ) -> None:
        """Read the answer to Open."""
        self.max_message_bytes = self._max = max_message_bytes
        if len(answer) > wire.MAX_DESCRIPTION_BYTES:
            msg = f"the answer to open has {len(answer)} bytes, at most {wire.MAX_DESCRIPTION_BYTES} are read"
            raise MessageTooLarge(msg)
        response = self._decode(answer).header
        if response.HasField("status"):
            raise from_status(response.status)
        if not response.HasField("open"):
            msg = "the answer to open is none"
            raise MalformedFrame(msg, field="result")
        opened = response.open
        self.records = records
        self.capabilities = capabilities
        self.session_id: str = opened.session_id
        self.spec: SessionSpec = wire.session_from_message(opened.spec)
        self.limits: Limits = wire.limits_from_message(opened.limits)
        self.mode = read_mode(opened.autoreset_mode)
        if len(opened.shards) > request.lanes:
            msg = f"{len(opened.shards)} shards for {request.lanes} lanes"
            raise MalformedFrame(msg, field="open.shards")
        self.shards = [range(shard.first_lane, shard.first_lane + shard.lanes) for shard in opened.shards]
        self.lanes = request.lanes
        self.fields = tuple(request.fields)
        check_shards(self.shards, request.lanes)
        check_spec(records, self.spec)
        self.local: LocalTerms | None = None
        if request.local_lane and opened.HasField("local_lane"):
            self.local = read_terms(opened.local_lane, self.shards, min(self.limits.message_bytes, self._max))
        self._vector = vector
        self._reader = TransitionReader(records, self.spec.observation, request.fields)
        self._writer = ActionWriter(records, self.spec.action)
        self._steps: dict[tuple[int, ...], tuple[bytes, bytes]] = {}
        self._seqs = [0] * len(self.shards)
        self._states = [LaneState.FRESH] * request.lanes
        self._pending: dict[tuple[int, int], tuple[Call, int]] = {}
        self._ended: OpenEnvError | None = None

    # -- verbs ----------------------------------------------------------------------------------------------------

    def reset(
        self,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
        lanes: Sequence[int] | None = None,
        timeout_s: float | None = None,
    ) -> Call:
        """Begin episodes. One seed for several lanes makes lane i use seed + i, as Gymnasium's vectors do."""
        chosen = self._choose("reset", lanes)
        seeds = self._seeds(seed, len(chosen))

        def fill(part: Sequence[int], at: int) -> tuple[bytes, bytes]:
            reset = session_pb2.Reset(lanes=_named(lanes, part))
            values.to_map(options or {}, reset.options, "options")
            for value in seeds[at : at + len(part)] if seeds else ():
                reset.seeds.add(value=value)
            return session_pb2.SessionRequest(reset=reset).SerializeToString(), b""

        call = self._call("reset", chosen, fill, self._transition("reset", chosen), timeout_s)
        for lane in chosen:
            self._states[lane] = LaneState.RUNNING
        return call

    def step(
        self, action: Any, lanes: Sequence[int] | None = None, timeout_s: float | None = None, *, chunk: int = 0
    ) -> Call:
        """Take one action per lane (with `chunk`, so many actions per lane, all lanes of the first action first)."""
        chosen = self._choose("step", lanes)
        if chunk > self.limits.chunk:
            msg = f"{chunk} actions, at most {self.limits.chunk} go into one request"
            raise InvalidArgument(msg, field="actions")
        batch = self._writer.batch(action, len(chosen), chunk) if self._vector else self._writer.single(action, chunk)

        def fill(part: Sequence[int], at: int) -> tuple[bytes, bytes]:
            actions, payload = self._writer.write(batch, at, len(part))
            return self._step_verb(_named(lanes, part), chunk, actions), payload

        return self._call("step", chosen, fill, self._transition("step", chosen, chunk), timeout_s)

    def check(self, verb: str, lanes: Sequence[int], shards: Iterable[int], each: Any = None) -> None:
        """Refuse what a series of requests would be refused for, before the first of them is sent.

        Args:
            verb: reset or step.
            lanes: Increasing lane numbers of all of them.
            shards: The shard of each request.
            each: For a step the actions of all these lanes; for a reset their seeds, or None.

        Raises:
            LocalError: As `reset` and `step`.
            ServerFull: They would be more than may wait for their answers.
        """
        self._choose(verb, lanes)
        waiting = Counter(shard for shard, _ in self._pending)
        waiting.update(shards)
        most, limit = max(waiting.values()), self.limits.in_flight
        if most > limit:
            msg = f"{most} calls would wait for their answers, the server's limit is {limit}"
            raise ServerFull(msg)
        if verb == "step":
            self._writer.batch(each, len(lanes), 0)
        else:
            self._seeds(each, len(lanes))

    def state(self, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> Call:
        """Ask for states."""
        return self._plain("state", lanes, timeout_s, lambda part: [self._record(data) for data in part.states])

    def snapshot(self, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> Call:
        """Save environments."""
        self._need_snapshot()
        return self._plain("snapshot", lanes, timeout_s, lambda part: list(part.snapshots))

    def restore(self, saved: Any, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> Call:
        """Put environments back."""
        self._need_snapshot()
        chosen = self._choose("restore", lanes)
        snapshots = list(saved) if self._vector else [saved]
        if len(snapshots) != len(chosen) or not all(isinstance(data, bytes) for data in snapshots):
            msg = f"expected {len(chosen)} snapshots (bytes) as snapshot() gave them"
            raise InvalidArgument(msg, field="saved")

        def fill(part: Sequence[int], at: int) -> tuple[bytes, bytes]:
            restore = session_pb2.Restore(lanes=_named(lanes, part), snapshots=snapshots[at : at + len(part)])
            return session_pb2.SessionRequest(restore=restore).SerializeToString(), b""

        def finish(parts: list[Any]) -> None:
            done = self._items("restore", chosen, parts, lambda answer: answer.done)
            for lane, flag in zip(chosen, done, strict=True):
                self._states[lane] = LaneState.DONE if flag else LaneState.RUNNING

        return self._call("restore", chosen, fill, finish, timeout_s)

    def close(self) -> Call:
        """End the session. It answers nothing."""
        self._check_open()
        frame = frames.encode(session_pb2.SessionRequest(close={}))
        call = Call("close", [frame], 5.0, lambda parts: None, [0], [None], 1)
        self._pending[0, 0] = call, 0
        self._ended = SessionClosed("the session was closed; open a new one")
        return call

    # -- sending --------------------------------------------------------------------------------------------------

    def _plain(
        self, verb: str, lanes: Sequence[int] | None, timeout_s: float | None, items: Callable[[Any], list[Any]]
    ) -> Call:
        """A verb without arguments that answers one item per lane."""
        chosen = self._choose(verb, lanes)

        def fill(part: Sequence[int], at: int) -> tuple[bytes, bytes]:
            asked: Any = {verb: {"lanes": _named(lanes, part)}}
            return session_pb2.SessionRequest(**asked).SerializeToString(), b""

        def finish(parts: list[Any]) -> Any:
            found = self._items(verb, chosen, parts, items)
            return found if self._vector else found[0]

        return self._call(verb, chosen, fill, finish, timeout_s)

    def _items(
        self, verb: str, chosen: Sequence[int], parts: Sequence[Any], items: Callable[[Any], Iterable[Any]]
    ) -> list[Any]:
        """One item per lane from all shards' answers; the first error that there is is raised."""
        for (_, lanes), (_, _, error) in zip(self._parts(chosen), parts, strict=True):
            for lane in lanes if error is not None else ():
                self._note_failure(lane, error)
        for _, _, error in parts:
            if error is not None:
                raise error
        for response, _, _ in parts:
            _check_result(response, verb)
        found = [item for part in parts for item in items(getattr(part[0], verb))]
        if len(found) != len(chosen):
            msg = f"{len(found)} answers for {len(chosen)} lanes"
            raise MalformedFrame(msg, field=verb)
        return found

    def _call(
        self,
        verb: str,
        chosen: Sequence[int],
        fill: Callable[[Sequence[int], int], tuple[bytes, bytes]],
        finish: Callable[[list[Any]], Any],
        timeout_s: float | None,
    ) -> Call:
        """Write one frame per shard concerned. Nothing is counted as sent before every frame is written.

        `fill` gives the verb, as the serialized fields of a request, and the payload of one shard's lanes.
        """
        if timeout_s is not None and not timeout_s > 0:
            msg = f"{timeout_s} is no time to wait"
            raise InvalidArgument(msg, field="timeout_s")
        most_s, limit = self.limits.step_time_s, self.limits.in_flight
        call = Call(verb, [], min(timeout_s or most_s, most_s), finish, [], [])
        timeout_ms = 0 if timeout_s is None else max(int(timeout_s * 1000), 1)
        at, keys = 0, []
        waiting = Counter(shard for shard, _ in self._pending) if len(self._pending) >= limit else {}
        for shard, part in self._parts(chosen):
            seq = self._seqs[shard] + 1
            if waiting.get(shard, 0) >= limit:
                msg = f"{limit} calls wait for their answers already, the server's limit"
                raise ServerFull(msg)
            verb_fields, payload = fill(part, at)
            frame = frames.assemble(_numbered(shard, seq, timeout_ms) + verb_fields, payload)
            if len(frame) > min(self.limits.message_bytes, self._max):
                msg = f"the request has {len(frame)} bytes, the limit is {self.limits.message_bytes}"
                raise MessageTooLarge(msg)
            call.frames.append(frame)
            call.shards.append(shard)
            keys.append((shard, seq))
            at += len(part)
        for index, key in enumerate(keys):
            self._seqs[key[0]] = key[1]
            self._pending[key] = call, index
        call.parts = [None] * len(keys)
        call.missing = len(keys)
        return call

    def _parts(self, chosen: Sequence[int]) -> Iterable[tuple[int, Sequence[int]]]:
        for shard, lanes in enumerate(self.shards):
            part = lanes if len(chosen) == self.lanes else [lane for lane in chosen if lane in lanes]
            if part:
                yield shard, part

    def _step_verb(self, lanes: Sequence[int], chunk: int, actions: Sequence[bytes]) -> bytes:
        """A step (field 8) of a request, serialized: lanes and chunk, which are kept, then the actions (field 3)."""
        varint = frames.varint
        key = (*lanes, chunk)
        kept = self._steps.get(key)
        if kept is None:
            fields = session_pb2.Step(lanes=lanes, chunk=chunk).SerializeToString()
            kept = fields, b"\x42" + varint(len(fields)) + fields
            if len(self._steps) < MAX_STEPS:
                self._steps[key] = kept
        if not actions:
            return kept[1]
        step = b"".join((kept[0], *(part for action in actions for part in (b"\x1a", varint(len(action)), action))))
        return b"\x42" + varint(len(step)) + step

    def _choose(self, verb: str, lanes: Sequence[int] | None) -> Sequence[int]:
        """The lanes of a call, each checked against the table of legal verbs."""
        self._check_open()
        if lanes is None and self._states.count(LaneState.RUNNING) == self.lanes:
            return range(self.lanes)  # where every verb is legal
        chosen: Sequence[int] = range(self.lanes) if lanes is None else [int(lane) for lane in lanes]
        if lanes is not None and (not chosen or list(chosen) != sorted({*chosen} & {*range(self.lanes)})):
            msg = f"expected increasing lanes within 0..{self.lanes - 1}"
            raise InvalidArgument(msg, field="lanes")
        for lane in chosen:
            if self._states[lane] is not LaneState.RUNNING:
                rules.check(verb, lane, self._states[lane], self.mode)
        return chosen

    def _check_open(self) -> None:
        if self._ended is not None:
            raise self._ended if isinstance(self._ended, SessionClosed) else _again(self._ended)

    def _need_snapshot(self) -> None:
        if not self.capabilities.snapshot:
            msg = "this environment cannot be saved"
            raise Unsupported(msg)

    def _seeds(self, seed: int | Sequence[int | None] | None, lanes: int) -> list[int | None]:
        if seed is None:
            return []
        try:
            each = list(seed) if isinstance(seed, Iterable) else [operator.index(seed) + lane for lane in range(lanes)]
            seeds = [None if value is None else operator.index(value) for value in each]
        except TypeError:
            msg = "a seed is an integer or None"
            raise InvalidArgument(msg, field="seed") from None
        if len(seeds) != lanes:
            msg = f"{len(seeds)} seeds for {lanes} lanes"
            raise InvalidArgument(msg, field="seed")
        if not all(value is None or -(1 << 63) <= value < 1 << 63 for value in seeds):
            msg = "a seed has 64 bits"
            raise InvalidArgument(msg, field="seed")
        if not self.capabilities.seeds:
            msg = "this environment cannot honour seeds; reset without one"
            raise Unsupported(msg, field="seed")
        return seeds

    # -- receiving ------------------------------------------------------------------------------------------------

    def _decode(self, data: bytes | frames.Apart) -> frames.Frame:
        if (size := frames.parsed_bytes(data)) > MAX_PARSED:
            msg = f"a header of {size} bytes, at most {MAX_PARSED} are read"
            raise MessageTooLarge(msg)
        try:
            if isinstance(data, bytes):
                return frames.decode(data, session_pb2.SessionResponse, self._max)
            return frames.decode_apart(data, session_pb2.SessionResponse, self._max)
        except InvalidArgument as error:  # text that is none: of a server that is a broken protocol
            raise MalformedFrame(error.message, field=error.field) from None

    def receive(self, data: bytes | frames.Apart) -> None:
        """Take one frame from the server. A frame that breaks the protocol fails the whole session."""
        try:
            frame = self._decode(data)
        except OpenEnvError as broken:
            self.fail(broken)
            return
        response = frame.header
        entry = self._pending.pop((response.shard, response.seq), None)
        error = from_status(response.status) if response.HasField("status") else None
        if entry is not None:
            call, index = entry
            call.parts[index] = (response, frame, error)
            call.missing -= 1
        elif not response.ended:
            self.fail(MalformedFrame(f"an answer to request {response.seq}, which is not waiting", field="seq"))
        if response.ended:
            self.fail(error or self._ended or SessionLost("the server ended the session"))

    def fail(self, error: OpenEnvError) -> None:
        """The session is over: every waiting call fails with this error, and later ones with SessionLost."""
        if self._ended is None:
            self._ended = error
        waiting = [call for call, _ in self._pending.values()]
        self._pending.clear()
        for call in waiting:
            call.error = None if call.verb == "close" else error
            call.missing = 0

    @property
    def layout(self) -> TransitionLayout:
        """Where the columns of an answer lie."""
        return self._reader.layout

    @property
    def numbers(self) -> list[int]:
        """How many requests each shard has been given."""
        return list(self._seqs)

    @property
    def ended(self) -> bool:
        """Whether the session is over, for whatever reason."""
        return self._ended is not None

    @property
    def waiting(self) -> bool:
        """Whether any call waits for an answer."""
        return bool(self._pending)

    def _record(self, data: bytes) -> Any:
        try:
            return self.records.decode(self.records.parse(self.records.state.full_name, data))
        except OpenEnvError as error:
            raise MalformedFrame(error.message, field=error.field) from None

    def _transition(self, verb: str, chosen: Sequence[int], chunk: int = 0) -> Callable[[list[Any]], Any]:
        """How the answers of a reset or step become its result."""

        def read(part: tuple[Any, frames.Frame, OpenEnvError | None], lanes: Sequence[int]) -> Rows:
            response, frame, error = part
            if error is not None:
                raise error
            _check_result(response, verb)
            return self._reader.read(getattr(response, verb), frame, lanes, chunk)

        def finish(parts: list[Any]) -> Any:
            if not self._vector:
                return self._finish_plain(verb, parts[0], chunk) or self._finish_single(read, parts[0])
            together = None if chunk else self._finish_together(verb, parts, chosen)
            return together or self._finish_vector(read, parts, chosen)

        return finish

    def _finish_plain(self, verb: str, part: tuple[Any, frames.Frame, OpenEnvError | None], chunk: int) -> Any:
        """The result of a single lane's single step; None when there is more to it, or something wrong."""
        response, frame, error = part
        if error is not None or chunk or response.WhichOneof("result") != verb:
            return None
        result = self._reader.plain(getattr(response, verb), frame)
        if result is not None:
            self._states[0] = LaneState.DONE if result.terminated or result.truncated else LaneState.RUNNING
        return result

    def _finish_together(self, verb: str, parts: list[Any], chosen: Sequence[int]) -> Any:
        """The result of one step of these lanes; None when there is more to it, or something wrong."""
        if any(error is not None or response.WhichOneof("result") != verb for response, _, error in parts):
            return None
        answers, frames = [getattr(response, verb) for response, _, _ in parts], [frame for _, frame, _ in parts]
        counts = [len(chosen)] if len(parts) == 1 else [len(lanes) for _, lanes in self._parts(chosen)]
        result = self._reader.together(answers, frames, counts, chosen)
        if result is not None:
            states = self._states
            for lane in chosen:
                states[lane] = LaneState.RUNNING
            if result.terminated.any() or result.truncated.any():
                for row in np.flatnonzero(result.done).tolist():
                    states[chosen[row]] = LaneState.DONE
        return result

    def _finish_single(self, read: Callable[[Any, Sequence[int]], Rows], part: Any) -> Any:
        try:
            rows = read(part, (0,))
        except OpenEnvError as error:
            self._note_failure(0, error)
            raise
        results = [self._reader.record(rows, row) for row in range(rows.executed[0] if rows.chunk else 1)]
        failure = rows.failures.get(0)
        if failure is not None:
            self._note_failure(0, failure)
            failure.partial = results
            raise failure
        self._states[0] = LaneState.DONE if results[-1].done else LaneState.RUNNING
        return results if rows.chunk else results[0]

    def _finish_vector(
        self, read: Callable[[Any, Sequence[int]], Rows], parts: list[Any], chosen: Sequence[int]
    ) -> Any:
        found: list[Rows] = []
        answered: list[int] = []
        failures: dict[int, OpenEnvError] = {}
        for (_, lanes), part in zip(self._parts(chosen), parts, strict=True):
            try:
                rows = read(part, lanes)
            except OpenEnvError as error:
                failures.update(dict.fromkeys(lanes, error))
                continue
            failures.update(rows.failures)
            found.append(rows)
            answered.extend(lanes)
        for lane, failure in failures.items():
            self._note_failure(lane, failure)
        if not found:
            raise next(iter(failures.values()))
        result = self._reader.merge(found, answered, found[0].chunk)
        done: Any = result.done.any(axis=0) if found[0].chunk else result.done
        for lane, ended in zip(answered, done, strict=True):
            if lane not in failures:
                self._states[lane] = LaneState.DONE if ended else LaneState.RUNNING
        if failures:
            first = next(iter(failures.values()))
            first.partial, first.lane_errors = result, failures
            raise first
        return result

    def _note_failure(self, lane: int, error: OpenEnvError) -> None:
        if error.reason == "DEADLINE_EXCEEDED":
            self._states[lane] = LaneState.INTERRUPTED


def _named(lanes: Sequence[int] | None, part: Sequence[int]) -> Sequence[int]:
    """The lanes that a request names: none where all of a shard are meant."""
    return () if lanes is None else part


def _numbered(shard: int, seq: int, timeout_ms: int) -> bytes:
    """The first fields of a request, serialized: shard (2), seq (3), timeout_ms (4)."""
    varint = frames.varint
    start = b"\x10" + varint(shard) + b"\x18" + varint(seq) if shard else b"\x18" + varint(seq)
    return start + b"\x20" + varint(timeout_ms) if timeout_ms else start


def _check_result(response: Any, verb: str) -> None:
    if response.WhichOneof("result") != verb:
        msg = f"the answer to {verb} is none"
        raise MalformedFrame(msg, field="result")


def _again(error: OpenEnvError) -> OpenEnvError:
    """The error of a call on a session that has ended before."""
    return SessionLost(f"the session has ended: {error.message}", metadata=error.metadata)
