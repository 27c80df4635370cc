"""A session and its model, side by side: each verb is carried out by both, and both must say the same.

The session is the real client core and the real shard cores, joined without a network (`tests/helpers/pair.py`). Two
drivers choose the verbs: hypothesis (`test_model.py`) and the bytes of an input (`targets/sequences.py`).
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from openenv_grpc.errors import OpenEnvError, SessionLost
from openenv_grpc.session.calls import Call
from openenv_grpc.session.shard import status_frame
from openenv_grpc.specs import AutoresetMode, Limits
from tests.fuzz import model
from tests.fuzz.environments import FussyEnvironment
from tests.fuzz.model import Answer, Client, Result, Shard
from tests.fuzz.readings import name_of, read
from tests.helpers.pair import Pair, Request, Response

LIMITS = Limits(chunk=4, in_flight=3, message_bytes=1 << 12)
MOVES = (1, -1, 3, -3, 5, -5, 0, model.BREAK, model.FAIL, model.REFUSE)
WRONG_ACTION = b"\x08\x16"  # 11, one more than the rule allows
WRONG_REQUESTS: list[tuple[dict[str, Any], str]] = [
    ({}, "InvalidArgument"),
    ({"open": {"lanes": 1, "protocol_revision": 1}}, "InvalidArgument"),
    ({"close": {}}, "InvalidArgument"),  # the server's business: it never reaches a shard
    ({"extension": {"type_url": "x/y"}}, "Unsupported"),
    ({"reset": {"lanes": [99]}}, "InvalidArgument"),
    ({"reset": {"seeds": [{}] * 9}}, "InvalidArgument"),
    ({"restore": {"snapshots": [b"\7"]}}, "InvalidArgument"),
    ({"state": {"lanes": [1, 0]}}, "InvalidArgument"),
    ({"step": {"chunk": 5}}, "InvalidArgument"),
]
Sent = tuple[Call, list[tuple[int, bytes]], Callable[[], Result]]


class Conversation:
    """One session.

    Args:
        mode: Its autoreset mode.
        lanes: Its lanes.
        shards: Its shards, at most as many.
        vector: Whether the client wants columns; it always does where there are several lanes.
    """

    def __init__(self, mode: AutoresetMode, lanes: int, shards: int, vector: bool) -> None:
        self.lanes, self.vector = lanes, vector or lanes > 1
        self.pair = _pair(mode, lanes, shards, self.vector)
        self.pair.rewind()
        self.client = Client(lanes, mode.name)
        self.shards = [Shard(part, mode.name) for part in self.pair.client.shards]
        self.saved: list[tuple[bytes, tuple[Any, ...]]] = []
        self._last: list[tuple[bytes, bytes] | None] = [None] * shards
        self._waiting: deque[Sent] = deque()

    # -- verbs ----------------------------------------------------------------------------------------------------

    def reset(self, lanes: Sequence[int] | None, seeds: Sequence[int | None], **how: Any) -> None:
        """Reset lanes, one seed each; no seeds at all when the first is None."""
        chosen = self._chosen(lanes)
        given = None if seeds[0] is None else list(seeds[: len(chosen)])
        each = given or [None] * len(chosen)

        def answer(shard: Shard, part: list[int]) -> Answer:
            return shard.reset(part, [each[chosen.index(lane)] for lane in part])

        def sent() -> None:
            for lane in chosen:
                self.client.believed[lane] = model.RUNNING

        call = {"seed": given, "lanes": lanes}
        self._run("reset", chosen, call, answer, lambda answers: self.client.rows(answers, 0), sent=sent, **how)

    def step(self, lanes: Sequence[int] | None, moves: Sequence[Sequence[int]], chunk: int, **how: Any) -> None:
        """Step lanes; `moves` has a row per action, with a move for each lane there is."""
        chosen = self._chosen(lanes)
        rows = [list(row[: len(chosen)]) for row in moves[: max(chunk, 1)]]

        def answer(shard: Shard, part: list[int]) -> Answer:
            return shard.step(part, [[row[chosen.index(lane)] for row in rows] for lane in part], chunk)

        actions: Any = rows if self.vector else [row[0] for row in rows]
        call = {"action": actions if chunk else actions[0], "chunk": chunk, "lanes": lanes}
        self._run("step", chosen, call, answer, lambda answers: self.client.rows(answers, chunk), **how)

    def state(self, lanes: Sequence[int] | None, **how: Any) -> None:
        """Ask for states."""
        self._items("state", lanes, [], **how)

    def snapshot(self, lanes: Sequence[int] | None, **how: Any) -> None:
        """Save lanes; what the client gets can be restored later."""
        self._items("snapshot", lanes, [], **how)

    def restore(self, lanes: Sequence[int] | None, which: Sequence[int], **how: Any) -> None:
        """Put lanes back to snapshots that were taken before, of whatever lane."""
        if self.saved:
            self._items("restore", lanes, [self.saved[index % len(self.saved)] for index in which], **how)

    def _items(
        self, verb: str, lanes: Sequence[int] | None, saved: list[tuple[bytes, tuple[Any, ...]]], **how: Any
    ) -> None:
        chosen = self._chosen(lanes)
        call: dict[str, Any] = {"lanes": lanes}
        if verb == "restore":
            given = [data for data, _ in saved[: len(chosen)]]
            call["saved"] = given if self.vector else given[0]

        def answer(shard: Shard, part: list[int]) -> Answer:
            return shard.items(verb, part, [saved[chosen.index(lane)][1] if saved else None for lane in part])

        self._run(verb, chosen, call, answer, lambda answers: self.client.items(verb, answers), **how)

    def wrong(self, verb: str, how: int) -> None:
        """A call that the client refuses for its arguments, whatever the state."""
        refusal = self.client.refuses(verb, range(self.lanes))
        choices: list[dict[str, Any]] = [{"lanes": [1, 0]}, {"lanes": []}, {"lanes": [self.lanes]}, {"timeout_s": -1}]
        asked = choices[how % 4]
        if "lanes" in asked:  # checked before the lanes' states
            refusal = refusal if refusal in ("SessionClosed", "SessionLost") else "InvalidArgument"
        if verb == "step":
            asked = {"action": [0] * self.lanes if self.vector else 0, **asked}
        self._refused(verb, asked, refusal or "InvalidArgument")

    def _chosen(self, lanes: Sequence[int] | None) -> list[int]:
        return list(range(self.lanes)) if lanes is None else list(lanes)

    # -- how a verb is carried out --------------------------------------------------------------------------------

    def _run(
        self,
        verb: str,
        chosen: list[int],
        asked: dict[str, Any],
        answer: Callable[[Shard, list[int]], Answer],
        finish: Callable[[list[Answer]], Result],
        *,
        sent: Callable[[], None] = lambda: None,
        patience: int = model.UNLIMITED,
        wrong: int | None = None,
        ahead: bool = False,
    ) -> None:
        """Call, execute, and unless it is sent ahead of its answer, read the answer.

        `patience` is how many calls of environments go well before time is up; `wrong` replaces the request of the
        first shard by one that is refused.
        """
        refusal = self.client.refuses(verb, chosen)
        if refusal is None and any(self._in_flight(shard) >= LIMITS.in_flight for shard in self._concerned(chosen)):
            refusal = "ServerFull"
        if refusal is not None:
            self._refused(verb, asked, refusal)
            return
        call: Call = getattr(self.pair.client, verb)(**asked)
        sent()
        answers, frames = [], []
        for index, (shard, frame) in enumerate(zip(self._concerned(chosen), call.frames, strict=True)):
            part = [lane for lane in chosen if lane in self.shards[shard].lanes]
            if wrong is not None and index == 0:
                frame, error = _wrong_frame(frame, wrong)
                answers.append(Answer(part, error))
            else:
                self.shards[shard].patience = patience
                answers.append(answer(self.shards[shard], part))
            frames.append((shard, self._execute(shard, frame, patience)))
        self._waiting.append((call, frames, lambda: finish(answers)))
        if not ahead:
            self.receive()

    def _concerned(self, chosen: Sequence[int]) -> list[int]:
        return [index for index, shard in enumerate(self.shards) if any(lane in shard.lanes for lane in chosen)]

    def _in_flight(self, shard: int) -> int:
        return sum(index == shard for _, frames, _ in self._waiting for index, _ in frames)

    def _refused(self, verb: str, asked: dict[str, Any], name: str) -> None:
        numbers = self.pair.client.numbers
        try:
            getattr(self.pair.client, verb)(**asked)
        except OpenEnvError as error:
            found = name_of(error)
        else:
            found = "nothing"
        assert found == name, f"{verb} {asked}: {found}, expected {name}"
        assert self.pair.client.numbers == numbers, "a refused call took a number"

    def _execute(self, shard: int, frame: bytes, patience: int) -> bytes:
        alarm = self.pair.shards[shard].alarm
        alarm.calls_left = patience
        answer = self.pair.shards[shard].handle(frame)
        alarm.stop()
        self._last[shard] = frame, answer
        self.check()
        return answer

    def receive(self) -> None:
        """Hand all answers to the client, in order, and compare what it makes of them."""
        while self._waiting:
            call, frames, expect = self._waiting.popleft()
            for _, frame in frames:
                assert not call.done
                self.pair.client.receive(frame)
            assert call.done
            expected = expect() if self.vector else self.client.single(expect())
            found, saved = read(call, self.vector)
            assert found == expected, f"{call.verb}: {found}, expected {expected}"
            if saved:
                self.saved.extend(zip(saved, expected.items, strict=True))
        assert self.client.ended or not self.pair.client.waiting

    # -- what goes wrong on the way -------------------------------------------------------------------------------

    def repeat(self, shard: int, same: bool) -> None:
        """The last request again, or another one of its number: the last answer again, and nothing happens."""
        last = self._last[shard % len(self.shards)]
        if last is not None:
            frame, answer = last
            if not same:
                frame = Request(seq=Response.FromString(answer).seq, reset={}).SerializeToString()
            assert self.pair.shards[shard % len(self.shards)].handle(frame) == answer
            self.check()

    def skip(self, shard: int, by: int) -> None:
        """A number that is neither the last nor the next one, or no frame at all: refused, and nothing happens."""
        shard %= len(self.shards)
        seq = self.pair.client.numbers[shard] + by
        if by in (0, 1) or seq < 0:
            seq, data, name = 0, b"\xff", "MalformedFrame"
        else:
            data, name = Request(seq=seq, reset={}).SerializeToString(), "SequenceError"
        answer = Response.FromString(self.pair.shards[shard].handle(data))
        assert (answer.seq, answer.shard, name_of(answer.status)) == (seq, shard, name)
        self.check()

    def close(self) -> None:
        """The client ends the session: what waits goes unanswered."""
        if self.client.ended is None:
            self.receive()
            self.pair.client.close()
            self.client.ended = "closed"

    def end(self) -> None:
        """The server ends the session: calls that wait fail, and so do all later ones."""
        if self.client.ended is None:
            self.pair.client.receive(status_frame(0, 0, SessionLost("the worker is gone"), ended=True))
            self.client.ended = "lost"
            for call, _, _ in self._waiting:
                assert call.done
                assert name_of(call.error) == "SessionLost"
            self._waiting.clear()

    def check(self) -> None:
        """The shards' lanes and environments are those of the model."""
        for ours, theirs in zip(self.shards, self.pair.shards, strict=True):
            for lane, real in zip(ours.lanes.values(), theirs.lanes, strict=True):
                it = real.environment
                found = (real.index, it.position, it.steps, it.episode, it.broken, real.state.value)
                assert found == (lane.index, lane.position, lane.steps, lane.episode, lane.broken, lane.state)


@functools.cache
def _pair(mode: AutoresetMode, lanes: int, shards: int, vector: bool) -> Pair:
    return Pair(FussyEnvironment, lanes, shards, mode=mode, vector=vector, limits=LIMITS)


def _wrong_frame(frame: bytes, which: int) -> tuple[bytes, str]:
    """Another request of the same number, which its shard refuses, and the error."""
    request = Request.FromString(frame)
    fields, error = WRONG_REQUESTS[which % len(WRONG_REQUESTS)]
    return Request(shard=request.shard, seq=request.seq, **fields).SerializeToString(), error
