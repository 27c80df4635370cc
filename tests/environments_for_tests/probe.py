"""An environment that does what its action tells it to: raise, sleep, spin, crash, or answer nonsense."""

from __future__ import annotations

import ctypes
import dataclasses
import fcntl
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from openenv_probe import Mood, ProbeAction, ProbeObservation, ProbeState

from openenv_grpc.environment import Environment, StepResult
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import ArraySpec

Result = StepResult[ProbeObservation]
NOTHING = object()


class ProbeEnvironment(Environment[ProbeAction, ProbeObservation, ProbeState]):
    """Says back what it is told, unless the verb says otherwise."""

    def __init__(self, joints: int = 2, construct: str = "", note: str = "") -> None:
        """`construct` is a verb and its amount that are carried out at once; `note` is a file written at close."""
        self.joints, self.note = joints, note
        self.episode = self.steps = self.total = 0
        self.random = random.Random(0)
        if construct:
            verb, _, amount = construct.rpartition(":")
            self._do(verb, float(amount))

    def action_spec(self) -> Mapping[str, ArraySpec]:
        return {"force": ArraySpec(np.float32, (self.joints,), -1, 1)}

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        return {"force": ArraySpec(np.float32, (self.joints,))}

    def reset(self, *, seed: int | None, options: Mapping[str, Any]) -> Result:
        if seed is not None:
            self.random = random.Random(seed)
        self.episode, self.steps = self.episode + 1, 0
        self._do(options.get("verb", ""), float(options.get("amount", 0)))
        return StepResult(
            self._observe(blank("reset", self.joints)), info={"options": dict(options)} if options else {}
        )

    def step(self, action: ProbeAction) -> Any:
        self.total += 1
        made = self._do(action.verb, action.amount)
        if made is not None:
            return None if made is NOTHING else made
        self.steps += 1
        ended, cut = action.verb == "end", action.verb == "cut"
        info = {"episode": self.episode, "words": action.words} if ended or cut else {"level": action.level}
        return StepResult(self._observe(action), action.amount, ended, cut, info)

    def state(self) -> ProbeState:
        return ProbeState(
            episode=self.episode, steps=self.steps, total=self.total, pid=os.getpid(), modules=sorted(sys.modules)
        )

    def close(self) -> None:
        if self.note:
            Path(self.note).write_text(f"closed after {self.total} steps")

    def _observe(self, action: ProbeAction) -> ProbeObservation:
        return ProbeObservation(
            verb=action.verb,
            level=action.level,
            ratio=action.ratio,
            flag=action.flag,
            mood=action.mood,
            grid=action.grid,
            mask=action.mask,
            force=action.force,
            words=action.words,
            counts=action.counts,
            part=action.part,
            name=action.name,
            number=action.number,
            maybe=action.maybe,
            blob=action.blob,
            steps=self.steps,
            dice=self.random.randrange(1 << 30),
        )

    # -- verbs ----------------------------------------------------------------------------------------------------

    def _do(self, verb: str, amount: float) -> Any:
        """Carry out a verb; what it returns, if anything, is the step's answer."""
        name, _, detail = verb.partition(":")
        method = getattr(self, f"do_{name}", None)
        return method(detail, amount) if method else None

    def do_raise(self, detail: str, amount: float) -> None:
        raise ValueError(detail)

    def do_refuse(self, detail: str, amount: float) -> None:
        message = "not this one"
        raise InvalidArgument(message, field=detail)

    def do_sleep(self, detail: str, amount: float) -> None:
        """Sleep; `detail` names a file that says that it has begun."""
        if detail:
            Path(detail).touch()
        time.sleep(amount)

    def do_meet(self, detail: str, amount: float) -> None:
        """Wait in a directory until so many processes are there at the same time."""
        (Path(detail) / str(os.getpid())).touch()
        end = time.monotonic() + 10
        while len(os.listdir(detail)) < amount:
            if time.monotonic() > end:
                message = f"only {len(os.listdir(detail))} came"
                raise TimeoutError(message)
            time.sleep(0.01)

    def do_spin(self, detail: str, amount: float) -> None:
        end = time.monotonic() + amount
        while time.monotonic() < end:
            pass

    def do_deaf(self, detail: str, amount: float) -> None:
        """Like code in C that never comes back: no signal is seen."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        time.sleep(amount)

    def do_stubborn(self, detail: str, amount: float) -> None:
        """Swallows the interruption."""
        end = time.monotonic() + amount
        while time.monotonic() < end:
            try:
                time.sleep(amount)
            except BaseException:  # noqa: BLE001 - that is its vice
                continue

    def do_segfault(self, detail: str, amount: float) -> None:
        ctypes.string_at(0)

    def do_exit(self, detail: str, amount: float) -> None:
        os._exit(int(amount))

    def do_sysexit(self, detail: str, amount: float) -> None:
        sys.exit(int(amount))

    def do_kill(self, detail: str, amount: float) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def do_hog(self, detail: str, amount: float) -> None:
        """Ask for twice the memory that there is."""
        resource.setrlimit(resource.RLIMIT_AS, (int(amount), int(amount)))
        bytearray(2 * int(amount))

    def do_once(self, detail: str, amount: float) -> None:
        """Of all processes that do this, the first dies; the others take their time."""
        try:
            os.close(os.open(detail, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            time.sleep(amount)
        else:
            time.sleep(0.2)
            os._exit(3)

    def do_thread(self, detail: str, amount: float) -> None:
        """Start a thread that does nothing for so many seconds."""
        threading.Thread(target=time.sleep, args=(amount,), daemon=True).start()

    def do_process(self, detail: str, amount: float) -> None:
        """Start a process that does nothing for so many seconds."""
        subprocess.Popen(["sleep", str(amount)])

    def do_garble(self, detail: str, amount: float) -> None:
        """Write nonsense to every socket that the process has."""
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK)
                    os.write(fd, b"\xff" * 50)
            except OSError:
                continue
        time.sleep(amount)

    def do_quit(self, detail: str, amount: float) -> Result:
        """End at the next reset too."""
        return StepResult(self._observe(blank("quit", self.joints)), terminated=True, info={"quit": True})

    def do_wrong(self, detail: str, amount: float) -> Any:
        good = self._observe(blank("wrong", self.joints))
        fields = {field.name: getattr(good, field.name) for field in dataclasses.fields(good)}
        changes: dict[str, dict[str, Any]] = {
            "dtype": {"grid": np.zeros((2, 3), np.float64)},
            "shape": {"grid": np.zeros((3, 2), np.uint8)},
            "ragged": {"grid": [[1], [2, 3]]},
            "text": {"verb": 3},
            "surrogate": {"verb": "\ud800"},
            "number": {"level": "high"},
            "large": {"level": 1 << 40},
            "words": {"words": "abc"},
            "part": {"part": 7},
            "none": {"flag": None},
        }
        if detail in changes:
            return StepResult(ProbeObservation(**fields | changes[detail]))
        answers: dict[str, Any] = {
            "nothing": NOTHING,
            "tuple": (good, 0.0, False, False, {}),
            "action": StepResult(blank("x", self.joints)),  # type: ignore[arg-type]
            "reward": StepResult(good, reward="much"),  # type: ignore[arg-type]
            "infinite": StepResult(good, reward=10**400),
            "ends": StepResult(good, terminated=np.array([True, False])),  # type: ignore[arg-type]
            "info": StepResult(good, info=["a"]),  # type: ignore[arg-type]
            "key": StepResult(good, info={1: 2}),  # type: ignore[dict-item]
            "value": StepResult(good, info={"a": object()}),
            "huge": StepResult(good, info={"a": 1 << 80}),
        }
        return answers[detail]


class SeedlessEnvironment(ProbeEnvironment):
    """Cannot honour seeds."""

    seeds = False


class FragileEnvironment(ProbeEnvironment):
    """Says that it can be saved, and can't."""

    def save(self) -> Any:
        return "not bytes"

    def load(self, data: bytes) -> None:
        message = f"cannot load {data!r}"
        raise RuntimeError(message)


class UnbuildableEnvironment(ProbeEnvironment):
    """Cannot be built at all."""

    def __init__(self) -> None:
        message = "the engine is missing"
        raise RuntimeError(message)


def blank(verb: str, joints: int = 2, **changes: Any) -> ProbeAction:
    """An action with everything at its least."""
    fields: dict[str, Any] = {
        "verb": verb,
        "amount": 0.0,
        "level": 0,
        "ratio": 0.0,
        "flag": False,
        "mood": Mood.MOOD_UNSPECIFIED,
        "grid": np.zeros((2, 3), np.uint8),
        "mask": np.zeros(4, np.bool_),
        "force": np.zeros(joints, np.float32),
        "blob": b"",
    }
    return ProbeAction(**fields | changes)
