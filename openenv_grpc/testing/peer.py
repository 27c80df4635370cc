"""The peer: a client that speaks the bare protocol, knows a server by Describe alone, and can send anything.

It shares no code with the library's own clients, so that neither can hide the other's mistakes.
"""

from __future__ import annotations

import contextlib
import functools
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from openenv_grpc.codec import values
from openenv_grpc.testing.actions import Actions
from openenv_grpc.testing.answers import Answer
from openenv_grpc.testing.carriers import Stream, Unary
from openenv_grpc.testing.case import Face, NotApplicable, Violation
from openenv_grpc.testing.local import Local, lane_path
from openenv_grpc.testing.rows import Observations, Row
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from openenv_grpc.testing.target import Target

REVISION = 1
MOST_STEPS = 200
"""Steps after which a case gives up waiting for an episode's end."""


class Closable(Protocol):
    """What a case leaves to its peer to end."""

    def close(self) -> None:
        """End it."""


ClosableT = TypeVar("ClosableT", bound=Closable)


class Peer:
    """What a case drives a server with.

    Args:
        target: The server.
        face: The face that this run of the case is about.
    """

    def __init__(self, target: Target, face: Face) -> None:
        """Nothing is open yet."""
        self.target = target
        self.face = face
        self._kept: list[Closable] = []
        self._sessions: list[Session] = []

    def keep(self, found: ClosableT) -> ClosableT:
        """Close this with the case."""
        self._kept.append(found)
        return found

    def at(self, target: Target, face: Face | None = None) -> Peer:
        """A peer of another server, on the same face if none is given; ended with the case."""
        return self.keep(Peer(target, face or self.face))

    def carrier(self) -> Stream | Unary:
        """A new carrier of this run's face, ended with the case."""
        target = self.target
        if self.face is Face.LOCAL:
            path = lane_path(target.address) or ""
            return self.keep(Local(target.channel, path, target.answer_timeout_s, target.metadata))
        kind = Stream if self.face is Face.STREAM else Unary
        return self.keep(kind(target.channel, target.answer_timeout_s, target.metadata))

    def stream(self) -> Stream:
        """A new stream, whichever the face; ended with the case."""
        return self.keep(Stream(self.target.channel, self.target.answer_timeout_s, self.target.metadata))

    def opening(self, lanes: int = 1, **fields: Any) -> session_pb2.Open:
        """A good Open message of one shard, with the target's options; `fields` replace what it says."""
        usual = {"lanes": lanes, "shards": 1, "protocol_revision": REVISION, "local_lane": self.face is Face.LOCAL}
        opening = session_pb2.Open(**usual | fields)
        values.to_map(self.target.options, opening.options, "options")
        return opening

    def by_id(self, session_id: str) -> Session:
        """A session that is known by its id alone, driven by unary calls, whichever the face."""
        carrier = self.keep(Unary(self.target.channel, self.target.answer_timeout_s, self.target.metadata))
        session = Session(self, carrier, session_pb2.Open())
        session.opened.session_id = session_id
        return session

    def send_open(self, opening: session_pb2.Open | None = None, **fields: Any) -> Callable[[], tuple[Answer, Session]]:
        """Ask for a session; a function that waits for the answer is returned. Keywords are fields of Open."""
        request = session_pb2.SessionRequest(open=opening or self.opening(**fields))
        session = Session(self, self.carrier(), request.open)
        self._sessions.append(session)
        answer = session.send("open", request)
        return lambda: session.opened_by(answer())

    def try_open(self, opening: session_pb2.Open | None = None, **fields: Any) -> tuple[Answer, Session]:
        """Open a session that may be refused. Keywords are fields of Open."""
        return self.send_open(opening, **fields)()

    def open(self, **fields: Any) -> Session:
        """Open a session. Keywords are fields of Open.

        Raises:
            Violation: It is refused.
        """
        answer, session = self.try_open(**fields)
        answer.ok()
        return session

    def begin(self, *, seed: int = 1, **fields: Any) -> Session:
        """Open a session and reset all its lanes, with the seed where seeds are honoured."""
        session = self.open(**fields)
        seeds = [seed] * max(session.opening.lanes, 1) if self.target.capabilities.seeds else []
        session.reset(seeds).ok()
        return session

    def close(self) -> None:
        """End everything that the case has opened."""
        for session in self._sessions:
            session.abandon()
        for found in self._kept:
            found.close()


class Session:
    """One session. It numbers its requests itself, shard by shard.

    Attributes:
        opening: What was asked for.
        opened: What was granted; empty when it was refused.
        carrier: Its stream, or the unary calls.
    """

    def __init__(self, peer: Peer, carrier: Stream | Unary, opening: session_pb2.Open) -> None:
        """Not open yet."""
        self.peer = peer
        self.carrier = carrier
        self.opening = opening
        self.opened = session_pb2.Opened()
        self.seqs: dict[int, int] = defaultdict(int)
        self._actions: Actions | None = None

    def opened_by(self, answer: Answer) -> tuple[Answer, Session]:
        """Take over what an answer to Open grants."""
        self.opened = answer.response.open
        return answer, self

    @property
    def actions(self) -> Actions:
        """Makes actions for this session."""
        if self._actions is None:
            target = self.peer.target
            self._actions = Actions(target.messages.action, self.opened.spec.action, target.hints.actions)
        return self._actions

    @property
    def observations(self) -> Observations:
        """Reads the answers of this session."""
        wanted = self.opening.fields
        columns = [column for column in self.opened.spec.observation if not wanted or column.name in wanted]
        return Observations(self.peer.target.messages.observation, columns)

    # -- requests -------------------------------------------------------------------------------------------------

    def request(
        self, verb: str, message: Any = None, *, shard: int = 0, seq: int | None = None, **fields: Any
    ) -> session_pb2.SessionRequest:
        """The next request of a shard. `fields` are those of SessionRequest (`payload`, `timeout_ms`, …).

        Args:
            verb: What to do.
            message: The verb's message, or a mapping of its fields.
            shard: Index of the shard.
            seq: A number of its own, which then does not count.
            fields: Further fields of SessionRequest.
        """
        if seq is None:
            self.seqs[shard] += 1
            seq = self.seqs[shard]
        fields.setdefault("session_id", self.opened.session_id)
        return session_pb2.SessionRequest(**fields | {"shard": shard, "seq": seq, verb: message or {}})

    def send(self, verb: str, request: session_pb2.SessionRequest | bytes, rows: int = 0) -> Callable[[], Answer]:
        """Send one request, or bytes in its place.

        Args:
            verb: What it asks for.
            request: It.
            rows: How many rows the answer must have; 0 where it has none to read.

        Returns:
            A function that waits for the answer; on a stream, for the next one that comes, whosever it is.
        """
        if isinstance(self.carrier, Stream):
            self.carrier.send(request)
            wait = functools.partial(self.carrier.receive, f"an answer to {verb}")
        else:
            wait = functools.partial(self.carrier.finish, self.carrier.begin(verb, request))
        return lambda: Answer(verb, wait(), self.observations if rows else None, rows)

    def exchange(self, verb: str, request: session_pb2.SessionRequest | bytes, rows: int = 0) -> Answer:
        """Send one request, or bytes in its place, and wait for the answer."""
        return self.send(verb, request, rows)()

    def ask(self, verb: str, message: Any = None, **fields: Any) -> Answer:
        """Ask for one verb; see `request`."""
        return self.exchange(verb, self.request(verb, message, **fields))

    def reset(self, seeds: Sequence[int | None] = (), lanes: Sequence[int] = (), **fields: Any) -> Answer:
        """Reset lanes; all of the shard's when none is named."""
        given = [session_pb2.Seed() if seed is None else session_pb2.Seed(value=seed) for seed in seeds]
        reset = session_pb2.Reset(lanes=lanes, seeds=given)
        request = self.request("reset", reset, **fields)
        return self.exchange("reset", request, len(lanes) or self.opened.shards[request.shard].lanes)

    def step(
        self,
        actions: Sequence[Any] | None = None,
        lanes: Sequence[int] = (),
        chunk: int = 0,
        *,
        whole: bool = False,
        **fields: Any,
    ) -> Answer:
        """Step lanes; see `stepping`."""
        return self.send_step(actions, lanes, chunk, whole=whole, **fields)()

    def send_step(self, *args: Any, **kwargs: Any) -> Callable[[], Answer]:
        """Send what `step` sends, and return as `send` does."""
        request, rows = self.stepping(*args, **kwargs)
        return self.send("step", request, rows)

    def stepping(
        self,
        actions: Sequence[Any] | None = None,
        lanes: Sequence[int] = (),
        chunk: int = 0,
        *,
        whole: bool = False,
        **fields: Any,
    ) -> tuple[session_pb2.SessionRequest, int]:
        """The next request to step, and the rows of its answer. Valid actions are made up when none are given.

        Args:
            actions: One Action message per row: all lanes of the first action first.
            lanes: Lanes to step; all of the shard's when none is named.
            chunk: Actions per lane; 0 for one, without a chunk axis.
            whole: Write actions as whole records instead of columns.
            fields: As `request` takes them.
        """
        rows = (len(lanes) or self.opened.shards[fields.get("shard", 0)].lanes) * max(chunk, 1)
        if actions is None:
            actions = [self.actions.sample() for _ in range(rows)]
        payload, rest = self.actions.write(actions)
        if whole:
            payload, rest = b"", [action.SerializeToString() for action in actions]
        step = session_pb2.Step(lanes=lanes, chunk=chunk, actions=rest)
        return self.request("step", step, payload=payload, **fields), rows

    # -- what cases share -----------------------------------------------------------------------------------------

    def act(self, hint: Mapping[str, Any]) -> Any:
        """The action of a hint."""
        return self.actions.make(hint)

    def send_slow(self, **fields: Any) -> Callable[[], Answer]:
        """Send a step of all lanes with the slow action, and return as `send` does."""
        lanes = self.opened.shards[fields.get("shard", 0)].lanes
        return self.send_step([self.act(self.peer.target.hints.slow_action or {})] * lanes, **fields)

    def trace(self, actions: Sequence[Any]) -> list[Row]:
        """Rows of stepping the only lane through actions, up to the end of its episode."""
        rows: list[Row] = []
        for action in actions:
            rows.append(self.step([action]).row)
            if rows[-1].done:
                break
        return rows

    def play_to_end(self, hint: str = "ending_action") -> Answer:
        """Step all lanes until the first one's episode ends; the answer that says so is returned.

        Args:
            hint: Name of the hint whose action is repeated; without that hint valid actions are made up.

        Raises:
            NotApplicable: No episode ended.
        """
        target = self.peer.target
        if "endless" in target.notes:
            raise NotApplicable(target.notes["endless"])
        wanted, lanes = getattr(target.hints, hint), self.opened.shards[0].lanes
        for _ in range(MOST_STEPS):
            answer = self.step(None if wanted is None else [self.act(wanted)] * lanes)
            if answer.row.done:
                return answer
        if wanted is not None:
            msg = f"an end of the episode within {MOST_STEPS} steps of the {hint}"
            raise Violation(msg, "none")
        target.notes["endless"] = f"no episode ended within {MOST_STEPS} random steps: give the hint ending_action"
        raise NotApplicable(target.notes["endless"])

    def check_usable(self) -> None:
        """Reset and step once: the session is as good as before.

        Raises:
            Violation: It is not.
        """
        self.reset().ok()
        self.step().ok()

    def abandon(self) -> None:
        """End the session, whatever state it is in."""
        if isinstance(self.carrier, Unary) and self.opened.session_id:
            with contextlib.suppress(Violation):
                self.ask("close")
