"""Policies for `rollout --policy`."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import numpy as np

LOG: list[dict[str, Any]] = []


def say_step(observation: Any, info: dict[str, Any]) -> list[str]:
    """Says which step of which episode it is; keeps what it saw."""
    LOG.append({"observation": list(observation.message)} | {name: list(info[name]) for name in info})
    if "POLICY_LOG" in os.environ:
        with open(os.environ["POLICY_LOG"], "a") as log:
            log.write(json.dumps({name: info[name].tolist() for name in ("lane", "episode", "step")}) + "\n")
    return [f"{episode}:{step}" for episode, step in zip(info["episode"], info["step"], strict=True)]


def think(observation: Any, info: dict[str, Any]) -> list[str]:
    """Acts for 0.1 s; the environment then works for 0.05 s. Keeps when it acted, and what it saw."""
    began = time.monotonic()
    time.sleep(0.1)
    LOG.append(dict(info) | {"began": began, "ended": time.monotonic()})
    return ["sleep 0.05"] * len(observation.message)


def up(observation: Any) -> np.ndarray:
    """Presses the third button of an Atari game."""
    assert observation.screen.dtype == np.uint8
    return np.full(len(observation.screen), 2)


def too_few(observation: Any) -> list[str]:
    return ["x"]


def raising(observation: Any) -> list[str]:
    message = "the network is missing"
    raise ZeroDivisionError(message)


def nothing() -> None:
    """Takes no observation."""


class Stateful:
    def __call__(self, observation: Any, info: dict[str, Any] | None = None) -> list[str]:
        return ["x"] * len(observation.message)


stateful = Stateful()
