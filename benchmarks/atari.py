"""How close to the emulator's own limit are environments in other processes?

Pong, RGB 210×160×3, frameskip 4, random actions. The raw loops are `ale.act` and `getScreenRGB` in process, without
any library. Before anything is timed, the observations of all contestants are compared byte for byte.
"""

from __future__ import annotations

import multiprocessing as mp
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

import openenv_grpc as oe
from benchmarks.harness import Contestant, Question
from openenv_grpc.providers.base import EnvironmentSource
from openenv_grpc.providers.local import LocalProvider

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

GAME = "pong"
LANES = 32
CHUNK = 64


class RawLoop:
    """One ALE in this process."""

    def __init__(self, seed: int = 0) -> None:
        """Load the game and reset it."""
        from ale_py import ALEInterface, LoggerMode, roms

        ALEInterface.setLoggerMode(LoggerMode.Error)
        self.ale = ALEInterface()
        self.ale.setInt("random_seed", seed)
        self.ale.setFloat("repeat_action_probability", 0.25)
        self.ale.setInt("max_num_frames_per_episode", 108000)
        self.ale.loadROM(roms.get_rom_path(GAME))
        self.ale.reset_game()
        self.actions = self.ale.getMinimalActionSet()
        self.screen = np.empty((*self.ale.getScreenDims(), 3), np.uint8)
        self.random = np.random.default_rng(seed)

    def step(self, action: int) -> None:
        """One step of four frames, and its screen."""
        for _ in range(4):
            self.ale.act(self.actions[action])
        self.ale.getScreenRGB(self.screen)

    def steps(self, count: int) -> int:
        """So many steps with random actions."""
        for action in self.random.integers(0, len(self.actions), count).tolist():
            self.step(action)
            if self.ale.game_over(with_truncation=True):
                self.ale.reset_game()
        return count


def _raw_process(pipe: Connection, seed: int) -> None:
    loop = RawLoop(seed)
    while (count := pipe.recv()) is not None:
        pipe.send(loop.steps(count))


class RawProcesses:
    """Several raw loops, each in a process of its own, which work at the same time."""

    def __init__(self, processes: int, stack: ExitStack) -> None:
        """Start them."""
        self.pipes: list[Connection] = []
        self.pids: list[int] = []
        context = mp.get_context("spawn")
        for seed in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_raw_process, args=(theirs, seed), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(ours.send, None)
            self.pipes.append(ours)
            self.pids.append(process.pid or 0)

    def steps(self) -> int:
        """Let all work for a while."""
        for pipe in self.pipes:
            pipe.send(CHUNK * 4)
        return sum(pipe.recv() for pipe in self.pipes)


def check_equal(single: Any, vector: Any) -> None:
    """The same seed and actions must give the same screens everywhere, byte for byte."""
    raw = RawLoop(seed=5)
    one = single.reset(seed=5)
    many = vector.reset(seed=[5] * LANES)
    for action in np.random.default_rng(0).integers(0, len(raw.actions), 60).tolist():
        raw.step(action)
        one = single.step(action)
        many = vector.step(np.full(LANES, action))
        same = np.array_equal(raw.screen, one.observation.screen)
        if not same or not all(np.array_equal(raw.screen, screen) for screen in many.observation.screen):
            message = "observations differ between contestants; nothing was timed"
            raise RuntimeError(message)


def build(stack: ExitStack) -> Question:
    """Set up all contestants."""
    raw = RawLoop()
    pair = RawProcesses(2, stack)
    lease = LocalProvider().create(EnvironmentSource("atari"))
    stack.callback(lease.destroy)
    server = (int(lease.details["pid"]),)
    single = stack.enter_context(oe.connect(lease.address, game=GAME))
    vector = stack.enter_context(oe.connect_vec(lease.address, LANES, game=GAME))
    check_equal(single, vector)
    single.reset(seed=0)
    vector.reset(seed=0)
    random = np.random.default_rng(1)

    def lock_step() -> int:
        for action in random.integers(0, 6, 16).tolist():
            if single.step(action).done:
                single.reset()
        return 16

    def batch() -> int:
        vector.step(random.integers(0, 6, LANES))
        return LANES

    groups = [range(low, low + LANES // 4) for low in range(0, LANES, LANES // 4)]
    threads = stack.enter_context(ThreadPoolExecutor(len(groups)))

    def play(group: range) -> int:
        own = np.random.default_rng(group.start)
        for _ in range(4):
            vector.step(own.integers(0, 6, len(group)), lanes=group)
        return 4 * len(group)

    def pipelined() -> int:
        return sum(threads.map(play, groups))

    return Question(
        f"Atari {GAME}, RGB in line over a unix socket: how close to the emulator's limit?",
        "raw loop, 2 processes",
        [
            Contestant("raw loop, 1 process", lambda: raw.steps(CHUNK), note="in process, no library"),
            Contestant("raw loop, 2 processes", pair.steps, tuple(pair.pids), note="no library"),
            Contestant("1 lane, lock step, gRPC", lock_step, server, note="EnvClient"),
            Contestant(f"{LANES} lanes, gRPC", batch, server, note="VectorEnvClient, one session, lock step"),
            Contestant(
                f"{LANES} lanes, gRPC, 4 in flight",
                pipelined,
                server,
                note="4 threads of 8 lanes each",
            ),
        ],
    )
