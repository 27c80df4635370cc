"""Emulators in one process or in several at once, without a library: `python -m benchmarks.players.raw rgb 2`."""

from __future__ import annotations

import multiprocessing as mp
import sys
from typing import TYPE_CHECKING

from benchmarks.emulator import EmulatorLoop
from benchmarks.player import run

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CHUNK = 128


def _work(pipe: Connection, world: str, seed: int) -> None:
    loop = EmulatorLoop(world, seed)
    while (request := pipe.recv()) is not None:
        pipe.send(loop.step(request) if isinstance(request, int) else loop.play(*request))


class Processes:
    """A player: several emulators, each in a process of its own, which work at the same time."""

    def __init__(self, world: str, count: int) -> None:
        """Start them."""
        context = mp.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        for seed in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, world, seed), daemon=True)
            process.start()
            self._processes.append(process)
            self._pipes.append(ours)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`; one lane per process."""
        for pipe, seed, each in zip(self._pipes, seeds, actions, strict=True):
            pipe.send(([seed], [each]))
        return [lane for pipe in self._pipes for lane in pipe.recv()]

    def step(self) -> int:
        """See `Player`."""
        for pipe in self._pipes:
            pipe.send(CHUNK)
        return sum(pipe.recv() for pipe in self._pipes)

    def close(self) -> None:
        """See `Player`."""
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()


if __name__ == "__main__":
    WORLD, COUNT = sys.argv[1], int(sys.argv[2])
    run(lambda _: EmulatorLoop(WORLD) if COUNT == 1 else Processes(WORLD, COUNT), "", ("ale-py",))
