"""Measures contestants fairly: all are set up first, checked against one another, then they take turns.

Each contestant's client is a process of its own (`benchmarks.player`); its server, if it has one, another. CPU time is
that of the process and all its descendants. Medians over the rounds are quoted, with the lowest and highest round.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from benchmarks.player import WORLDS
from benchmarks.processes import BrokenContestant, Child, Server, cpu_s, on_cores, resident_mb
from benchmarks.relay import relay

CHECK_SEED = 5
CHECK_STEPS = 40
WIRE_SECONDS = 0.2

Outcomes = Callable[[list[int], list[list[int]]], list[list[str]]]
"""Plays lanes (seeds, actions) without any contestant: what all must equal, as `Player.play`."""


class ObservationsDiffer(RuntimeError):
    """A contestant does other work than the others: nothing is timed."""


@dataclass
class Contestant:
    """One way to do the work.

    Attributes:
        name: Shown in the table; one of a kind within its question.
        client: Module and arguments of the client's program.
        server: Its server; None for what runs in the client's process.
        lanes: Environments that it steps.
        ceiling: Name of the contestant that could not be beaten, for the ratio.
        note: Conditions, for the reader.
        python: The client's interpreter.
        variables: Added to the client's environment.
        reference: What its observations must equal where that is not the question's reference; None compares nothing.
        check_steps: How many steps can be compared.
        cores: How many cores its client may use, and its server was started with; None for all.
        wire_as: The contestant whose bytes per step stand for its own, which differ in nothing but the socket.
        skipped: Why it can't take part, if it can't.
    """

    name: str
    client: list[str] = field(default_factory=list)
    server: Server | None = None
    lanes: int = 1
    ceiling: str = ""
    note: str = ""
    python: str = sys.executable
    variables: dict[str, str] = field(default_factory=dict)
    reference: Outcomes | str | None = "question"
    check_steps: int = CHECK_STEPS
    cores: int | None = None
    wire_as: str = ""
    skipped: str = ""
    rates: list[float] = field(default_factory=list)
    client_us: list[float] = field(default_factory=list)
    server_us: list[float] = field(default_factory=list)
    wire: tuple[float, float] | None = None
    memory_mb: list[float | None] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    child: Child | None = None

    @property
    def rate(self) -> float:
        """Median env-steps per second; 0 before the first round."""
        return statistics.median(self.rates) if self.rates else 0.0

    def measure(self, seconds: float) -> None:
        """One turn."""
        assert self.child is not None
        client, server = cpu_s(self.child.pid), self._server_cpu_s()
        found = self.child.ask("measure", seconds=seconds)
        client, server = cpu_s(self.child.pid) - client, self._server_cpu_s() - server
        played = found["steps"] + found["warm_up_steps"]  # its CPU time is in both differences
        self.client_us.append(client / played * 1e6)
        self.server_us.append(server / played * 1e6)
        self.rates.append(found["steps"] / found["seconds"])

    def _server_cpu_s(self) -> float:
        return cpu_s(self.server.pid) if self.server else 0.0

    def weigh(self) -> None:
        """How many bytes travel per step, through a relay that counts; and the memory of both sides."""
        assert self.child is not None
        self.memory_mb = [resident_mb(self.child.pid), resident_mb(self.server.pid) if self.server else None]
        if self.server is None or self.wire_as:
            return
        with relay(self.server.address) as counter:
            self.child.ask("open", address=counter.address)
            self.child.ask("measure", address=counter.address, seconds=0.0)  # the first reset is over after it
            sent, received = counter.sent, counter.received
            found = self.child.ask("measure", address=counter.address, seconds=WIRE_SECONDS)
            steps = found["steps"] + found["warm_up_steps"]
            self.wire = (counter.sent - sent) / steps, (counter.received - received) / steps
            self.child.ask("close", address=counter.address)

    def row(self) -> dict[str, Any]:
        """What was found, without ratios."""
        if self.skipped:
            return {"contestant": self.name, "lanes": self.lanes, "cores": self.cores, "skipped": self.skipped}
        client_mb, server_mb = (None if mb is None else round(mb) for mb in self.memory_mb)
        return {
            "contestant": self.name,
            "lanes": self.lanes,
            "cores": self.cores,
            "steps_per_s": round(self.rate, 1),
            "spread": [round(min(self.rates), 1), round(max(self.rates), 1)],
            "rounds": [round(rate, 1) for rate in self.rates],
            "client_cpu_us_per_step": round(statistics.median(self.client_us), 1),
            "server_cpu_us_per_step": round(statistics.median(self.server_us), 1) if self.server else None,
            "wire_bytes_per_step": None if self.wire is None else [round(self.wire[0], 1), round(self.wire[1], 1)],
            "memory_mb": {"client": client_mb, "server": server_mb},
            "checked": self.reference is not None,
            "versions": self.versions,
            "note": self.note,
        }


@dataclass
class Question:
    """A question and those who answer it.

    Attributes:
        name: Its directory's.
        title: The question.
        conditions: What is the same for everybody.
        world: What is played: a key of `WORLDS`.
        baseline: Name of the contestant that "× OpenEnv" is against.
        reference: What all observations must equal.
        contestants: In the order of the table.
    """

    name: str
    title: str
    conditions: str
    world: str
    baseline: str
    reference: Outcomes
    contestants: list[Contestant] = field(default_factory=list)

    @property
    def active(self) -> list[Contestant]:
        """Those that take part."""
        return [contestant for contestant in self.contestants if not contestant.skipped]

    def start(self, stack: ExitStack) -> Iterator[str]:
        """Start all clients, at once; yields the name of each as it is ready."""
        for contestant in self.active:
            with on_cores(contestant.cores):
                contestant.child = Child(stack, contestant.client, contestant.python, contestant.variables)
            contestant.child.tell("open")
        for contestant in self.active:
            assert contestant.child is not None
            contestant.versions = contestant.child.hear()["versions"]
            yield contestant.name

    def check(self) -> Iterator[str]:
        """Compare observations, rewards and ends, lane by lane and step by step, with the reference.

        Raises:
            ObservationsDiffer: Names the contestant, the lane and the step.
        """
        lanes = max(contestant.lanes for contestant in self.active)
        draw = random.Random(CHECK_SEED)
        actions = [draw.choices(range(WORLDS[self.world]), k=CHECK_STEPS) for _ in range(lanes)]
        seeds = [CHECK_SEED + lane for lane in range(lanes)]
        expected = self.reference(seeds, actions)
        for contestant in self.active:
            if contestant.reference is not None:
                count = contestant.lanes
                mine = [each[: contestant.check_steps] for each in actions[:count]]
                theirs = expected[:count]
                if callable(contestant.reference):
                    theirs = contestant.reference(seeds[:count], mine)
                _compare(contestant, seeds[:count], mine, theirs)
            yield contestant.name

    def rows(self) -> list[dict[str, Any]]:
        """One row per contestant that was measured or skipped, with its ratios."""
        rates = {contestant.name: contestant.rate for contestant in self.contestants}
        wires = {contestant.name: contestant.wire for contestant in self.contestants}
        base = rates.get(self.baseline)
        rows = []
        for contestant in self.contestants:
            if not contestant.rates and not contestant.skipped:
                continue
            contestant.wire = contestant.wire or wires.get(contestant.wire_as)
            top = rates.get(contestant.ceiling)
            ratios = {
                "x_openenv": round(contestant.rate / base, 3) if base and contestant.rates else None,
                "of_ceiling": round(contestant.rate / top, 3) if top and contestant.rates else None,
                "ceiling": contestant.ceiling,
            }
            rows.append({"question": self.name, **contestant.row(), **ratios})
        return rows


def _compare(contestant: Contestant, seeds: list[int], actions: list[list[int]], expected: list[list[str]]) -> None:
    assert contestant.child is not None
    found = contestant.child.ask("play", seeds=seeds, actions=actions)["outcomes"]
    for lane, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        for step, (one, other) in enumerate(zip(mine, theirs, strict=False)):
            if one != other:
                msg = f"{contestant.name}: lane {lane} differs at step {step}: {one}, expected {other}"
                raise ObservationsDiffer(msg)
        if len(mine) != len(actions[lane]) + 1:
            msg = f"{contestant.name}: lane {lane} answered {len(mine)} outcomes to {len(actions[lane])} actions"
            raise ObservationsDiffer(msg)


__all__ = ["BrokenContestant", "Contestant", "ObservationsDiffer", "Outcomes", "Question"]
