"""A session in plain Python: what each verb must answer, and what it leaves behind. No bytes, arrays or messages.

The law of this file: it is written from the documentation (the protocol's comments, docs/errors.md), and imports
nothing of the library. Errors are the names of their classes. Environments are those of FussyEnvironment.

Two views of a lane are kept, because there are two: `Lane.state` is the shard's, `Client.believed` is what the client
has learnt from the answers that it has read. A verb may be refused by either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

GOAL = 5
FAIL, REFUSE, BREAK = 9, -9, 8
"""Moves: the step raises; the step raises one of our errors; the next reset raises."""
BAD_SEED, SHORT_SEED = 13, 77
"""Seeds: the reset raises; the episode ends at once."""
FRESH, RUNNING, DONE, INTERRUPTED = "fresh", "running", "done", "interrupted"
NEXT_STEP, SAME_STEP, DISABLED = "NEXT_STEP", "SAME_STEP", "DISABLED"
UNLIMITED = 1 << 30


def is_refused(verb: str, state: str, mode: str) -> bool:
    """Whether a verb is illegal on a lane in this state."""
    if state == DONE:
        return verb == "step" and mode == DISABLED
    return verb in {FRESH: ("step", "state", "snapshot"), INTERRUPTED: ("step", "snapshot")}.get(state, ())


class Row(NamedTuple):
    """One lane's result of one step."""

    position: int = 0
    steps: int = 0
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    episode: int | None = None  # what its info says, if it has any

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated


class Failure(Exception):
    """A lane fails; its argument is the name of the error's class."""


@dataclass
class Lane:
    """One environment and where it is in its life."""

    index: int
    position: int = 0
    steps: int = 0
    episode: int = 0
    broken: bool = False
    state: str = FRESH

    def reset(self, seed: int | None) -> Row:
        if self.broken or seed == BAD_SEED:
            self.broken = False
            raise Failure("EnvironmentFailed")  # noqa: EM101 - a name, not a message
        self.position, self.steps, self.episode = seed or 0, 0, self.episode + 1
        return Row(self.position, terminated=seed == SHORT_SEED)

    def step(self, move: int) -> Row:
        if move in (FAIL, REFUSE):
            raise Failure("EnvironmentFailed" if move == FAIL else "InvalidArgument")
        self.broken = self.broken or move == BREAK
        self.position, self.steps = self.position + move, self.steps + 1
        ended, cut = self.position >= GOAL, self.position <= -GOAL
        return Row(self.position, self.steps, float(move), ended, cut, self.episode if ended or cut else None)

    def save(self) -> tuple[Any, ...]:
        return self.state == DONE, self.position, self.steps, self.episode, self.broken

    def load(self, saved: tuple[Any, ...]) -> None:
        done, self.position, self.steps, self.episode, self.broken = saved
        self.state = DONE if done else RUNNING


@dataclass
class Answer:
    """What one shard answers: an error, or items, or rows of which some lanes may lack some."""

    lanes: list[int]
    error: str | None = None
    items: list[Any] = field(default_factory=list)
    rows: dict[int, list[Row]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    finals: list[tuple[int, Row]] = field(default_factory=list)


class Shard:
    """One shard. Environments may be called `patience` times in a request before time is up."""

    def __init__(self, lanes: range, mode: str) -> None:
        self.lanes, self.mode = {index: Lane(index) for index in lanes}, mode
        self.patience = UNLIMITED

    def refuses(self, verb: str, lanes: Sequence[int]) -> bool:
        return any(is_refused(verb, self.lanes[lane].state, self.mode) for lane in lanes)

    def call(self, lane: Lane, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call an environment, unless time is up: then it is for all lanes that follow."""
        if self.patience <= 0:
            lane.state = INTERRUPTED
            raise Failure("DeadlineExceeded")  # noqa: EM101 - a name, not a message
        self.patience -= 1
        return function(*arguments)

    def reset(self, lanes: list[int], seeds: Sequence[int | None]) -> Answer:
        answer = Answer(lanes)
        for lane, seed in zip(lanes, seeds, strict=True):
            self._rows(answer, lane, [seed], self._reset_lane)
        return self._all_or_one(answer)

    def step(self, lanes: list[int], moves: Sequence[Sequence[int]], chunk: int) -> Answer:
        """`moves` are those of each lane."""
        if self.refuses("step", lanes):
            return Answer(lanes, "IllegalVerb")
        answer = Answer(lanes)
        for lane, mine in zip(lanes, moves, strict=True):
            self._rows(answer, lane, mine, lambda lane, move: self._step_lane(answer, lane, move))
        return answer if chunk else self._all_or_one(answer)

    def _rows(self, answer: Answer, index: int, arguments: Sequence[Any], play: Callable[[Lane, Any], Row]) -> None:
        """Play a lane until it fails, its episode ends, or there is nothing more to do."""
        rows = answer.rows[index] = []
        for argument in arguments:
            try:
                rows.append(play(self.lanes[index], argument))
            except Failure as failure:
                answer.failures[index] = str(failure)
                return
            if rows[-1].done:
                return

    def _reset_lane(self, lane: Lane, seed: int | None) -> Row:
        row: Row = self.call(lane, lane.reset, seed)
        lane.state = DONE if row.done else RUNNING
        return row

    def _step_lane(self, answer: Answer, lane: Lane, move: int) -> Row:
        if lane.state == DONE:
            return self._reset_lane(lane, None)
        row: Row = self.call(lane, lane.step, move)
        lane.state = DONE if row.done else RUNNING
        if row.done and self.mode == SAME_STEP:
            answer.finals.append((lane.index, Row(row.position, row.steps, episode=row.episode)))
            first: Row = self.call(lane, lane.reset, None)
            lane.state = RUNNING
            return row._replace(position=first.position, steps=first.steps, episode=None)
        return row

    def _all_or_one(self, answer: Answer) -> Answer:
        """Without chunks, an answer in which every lane failed is the first one's error."""
        if len(answer.failures) == len(answer.lanes):
            return Answer(answer.lanes, answer.failures[answer.lanes[0]])
        return answer

    def items(self, verb: str, lanes: list[int], arguments: Sequence[Any]) -> Answer:
        """state, snapshot, restore: one item per lane, or the first error that there is."""
        if self.refuses(verb, lanes):
            return Answer(lanes, "IllegalVerb")
        answer = Answer(lanes)
        for index, argument in zip(lanes, arguments, strict=True):
            lane = self.lanes[index]
            try:
                answer.items.append(self.call(lane, self._item, verb, lane, argument))
            except Failure as failure:
                return Answer(lanes, str(failure))
        return answer

    def _item(self, verb: str, lane: Lane, argument: Any) -> Any:
        if verb == "restore":
            lane.load(argument)
            return lane.state == DONE
        return lane.save() if verb == "snapshot" else (lane.position, lane.episode)


@dataclass
class Result:
    """What the caller gets: an error (with the part that went well), items, or rows."""

    error: str | None = None
    lane_errors: dict[int, str] = field(default_factory=dict)
    items: Any = None
    lanes: list[int] = field(default_factory=list)
    rows: list[list[Row]] = field(default_factory=list)  # of each lane, zeros where nothing was executed
    executed: list[int] | None = None
    finals: list[tuple[int, Row]] = field(default_factory=list)


class Client:
    """The client's view: which verbs it refuses by itself, and what it makes of the shards' answers."""

    def __init__(self, lanes: int, mode: str) -> None:
        self.believed, self.mode = [FRESH] * lanes, mode
        self.ended: str | None = None

    def refuses(self, verb: str, lanes: Sequence[int]) -> str | None:
        """The error of a verb that is not even sent."""
        if self.ended is not None:
            return "SessionClosed" if self.ended == "closed" else "SessionLost"
        illegal = any(is_refused(verb, self.believed[lane], self.mode) for lane in lanes)
        return "IllegalVerb" if illegal else None

    def items(self, verb: str, answers: Sequence[Answer]) -> Result:
        """The result of state, snapshot and restore."""
        for answer in answers:
            self._note(dict.fromkeys(answer.lanes, answer.error or ""))
        error = next((answer.error for answer in answers if answer.error), None)
        if error:
            return Result(error)
        items = [item for answer in answers for item in answer.items]
        if verb == "restore":
            for lane, done in zip((lane for answer in answers for lane in answer.lanes), items, strict=True):
                self.believed[lane] = DONE if done else RUNNING
            return Result()
        return Result(items=items)

    def rows(self, answers: Sequence[Answer], chunk: int) -> Result:
        """The result of reset and step."""
        errors: dict[int, str] = {}
        for answer in answers:
            errors |= dict.fromkeys(answer.lanes, answer.error) if answer.error else answer.failures
        self._note(errors)
        good = [answer for answer in answers if not answer.error]
        if not good:
            return Result(next(iter(errors.values())))
        result = Result(next(iter(errors.values()), None), errors)
        for answer in good:
            for lane in answer.lanes:
                rows = answer.rows[lane]
                result.lanes.append(lane)
                result.rows.append((rows + [Row()] * max(chunk, 1))[: max(chunk, 1)])
                if lane not in errors:
                    self.believed[lane] = DONE if rows[-1].done else RUNNING
        result.executed = [len(answer.rows[lane]) for answer in good for lane in answer.lanes] if chunk else None
        result.finals = [final for answer in good for final in answer.finals]
        return result

    def single(self, result: Result) -> Result:
        """What a client without vectors makes of it: only rows that were executed, no lanes, no last observations."""
        if result.executed is not None:
            result.rows = [result.rows[0][: result.executed[0]]]
        result.lane_errors, result.finals = {}, []
        return result

    def _note(self, errors: dict[int, str]) -> None:
        for lane, error in errors.items():
            if error == "DeadlineExceeded":
                self.believed[lane] = INTERRUPTED
