"""One target in one process: feeds it inputs until there were enough, and keeps those that it fails on.

    python -m tests.fuzz.engine TARGET DIRECTORY SECONDS INPUTS [--engine atheris|random] [--seed N]

With atheris the inputs are guided by the coverage of `openenv_grpc`; without it they are random changes of the corpus.
A finding does not end the run: an exception that a target lets through is written down, with its input, once per place
in the code. An input that takes longer than HANG_S of processor time raises Hang from within; one that needs more than
MEMORY bytes gets a MemoryError; one that kills the process lies in `current`, which is shared memory.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib
import json
import logging
import mmap
import os
import random
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.fuzz.spoil import mutate

CORPUS = Path(__file__).parent / "corpus"
HANG_S = 5
MEMORY = 1 << 30
MAX_INPUT = 4096


class Hang(BaseException):
    """The input takes too long. Not an Exception, so that nothing between here and there swallows it."""


def corpus_of(name: str) -> list[Path]:
    """The inputs that are kept for a target."""
    return sorted((CORPUS / name).glob("*"))


def load(name: str) -> Callable[[bytes], None]:
    """A target."""
    return importlib.import_module(f"tests.fuzz.targets.{name}").one_input  # type: ignore[no-any-return]


class Watch:
    """Passes inputs on to a target, counts them and keeps the findings.

    Args:
        target: The function under test.
        directory: Where findings and figures are written.
        seconds: When to end.
        inputs: After how many to end.
    """

    def __init__(self, target: Callable[[bytes], None], directory: Path, seconds: float, inputs: int) -> None:
        self._target, self._directory, self._most = target, directory, inputs
        self._began = time.monotonic()
        self._end = self._began + seconds
        self.count, self._seen, self._ticks = 0, -1, 0
        self._findings: dict[str, int] = {}
        with (directory / "current").open("wb+") as file:
            file.truncate(8 + MAX_INPUT)
            self._current = mmap.mmap(file.fileno(), 8 + MAX_INPUT)

    def __call__(self, data: bytes) -> None:
        if self.count >= self._most or (self.count % 64 == 0 and time.monotonic() >= self._end):
            self.write()
            sys.stderr.flush()
            os._exit(0)
        self._current[: 8 + len(data)] = struct.pack("<Q", len(data)) + data
        try:
            self._target(data)
        except (Exception, Hang) as error:  # noqa: BLE001 - any exception that comes out of a target is a finding
            self._keep(data, error)
        self.count += 1
        if self.count % 4096 == 0:
            self.write()

    def _keep(self, data: bytes, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        inner = next((frame for frame in reversed(frames) if "openenv_grpc/" in frame.filename), frames[-1])
        check = frames[-1] if "tests/fuzz" in frames[-1].filename else inner
        place = f"{type(error).__name__}-{Path(check.filename).stem}-{check.lineno}"
        first = place not in self._findings
        self._findings[place] = self._findings.get(place, 0) + 1
        if first:
            stem = f"{place}-{hashlib.sha256(data).hexdigest()[:8]}"
            (self._directory / stem).write_bytes(data)
            (self._directory / f"{stem}.txt").write_text("".join(traceback.format_exception(error)))
            print(f"\nFINDING {self._directory / stem}: {error!r:.300}", file=sys.stderr)  # noqa: T201 - the log of a run

    def write(self) -> None:
        """Write the figures down."""
        figures = {"inputs": self.count, "seconds": time.monotonic() - self._began, "findings": self._findings}
        (self._directory / "figures.json").write_text(json.dumps(figures))

    def tick(self, number: int, frame: FrameType | None) -> None:
        """Once per second of processor time: is it still the same input?"""
        self._ticks = self._ticks + 1 if self.count == self._seen else 0
        self._seen = self.count
        if self._ticks >= HANG_S:
            self._ticks = 0
            message = f"one input takes longer than {HANG_S} s"
            raise Hang(message)


def _limit_memory() -> None:
    """What the process has now and MEMORY more; allocations beyond raise MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * mmap.PAGESIZE + MEMORY, resource.RLIM_INFINITY))


def run_random(watch: Watch, name: str, seed: int) -> None:
    """Random changes of the corpus, for as long as the watch says."""
    chance = random.Random(seed)
    pool = [path.read_bytes()[:MAX_INPUT] for path in corpus_of(name)] or [b""]
    for data in pool:
        watch(data)
    while True:
        watch(mutate(chance, chance.choice(pool), pool))


def run_atheris(watch: Watch, name: str, directory: Path, seed: int) -> None:
    """Run libFuzzer's loop, guided by coverage. New inputs go to a corpus beside the findings."""
    import atheris

    grown = directory / "corpus"
    grown.mkdir(exist_ok=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    arguments = ["-timeout=0", "-rss_limit_mb=0", f"-max_len={MAX_INPUT}", "-len_control=20", "-use_value_profile=0"]
    arguments += ["-handle_alrm=0", "-print_final_stats=1", f"-seed={seed}", f"-artifact_prefix={directory}/"]
    atheris.Setup([sys.argv[0], *arguments, str(grown), str(CORPUS / name)], watch)
    atheris.Fuzz()


def main() -> None:
    """Run one target."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("directory", type=Path)
    parser.add_argument("seconds", type=float)
    parser.add_argument("inputs", type=int)
    parser.add_argument("--engine", default="atheris")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)  # each failing environment would write a traceback
    if arguments.engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["openenv_grpc"]):
            target = load(arguments.target)
    else:
        target = load(arguments.target)
    for path in corpus_of(arguments.target)[:1]:
        target(path.read_bytes())  # which builds what is built once
    gc.freeze()  # that is no garbage: it need not be looked at again and again
    gc.set_threshold(20_000)
    watch = Watch(target, arguments.directory, arguments.seconds, arguments.inputs)
    signal.signal(signal.SIGVTALRM, watch.tick)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1, 1)
    _limit_memory()
    if arguments.engine == "atheris":
        run_atheris(watch, arguments.target, arguments.directory, arguments.seed)
    else:
        run_random(watch, arguments.target, arguments.seed)


if __name__ == "__main__":
    main()
