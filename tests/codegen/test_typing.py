"""What a type checker knows of generated code: mypy --strict infers observations and rejects wrong actions."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.codegen import kitchen as kitchen_package

pytestmark = pytest.mark.xdist_group("mypy")  # one process runs it, once
ROOT = Path(__file__).parents[2]

GOOD = """
import numpy as np
from collections.abc import Sequence
from numpy.typing import NDArray
from typing_extensions import assert_type
from openenv_atari import AtariAction, AtariActionColumns, AtariEnv, AtariVectorEnv, AsyncAtariEnv
from openenv_kitchen import Dish, Doneness, KitchenEnv, KitchenObservation

env = AtariEnv.connect("x")
action = AtariAction(action_id=1)
reveal_type(env.step(action).observation)
assert_type(env.step(action).observation.screen, NDArray[np.uint8])
reveal_type(env.reset(seed=1).observation)
reveal_type(env.state())
vector = AtariVectorEnv.connect("x", num_envs=2)
reveal_type(vector.step(AtariActionColumns(action_id=np.zeros(2, np.int64))).observation)

async def later(env: AsyncAtariEnv) -> None:
    reveal_type((await env.step(action)).observation)

def look(seen: KitchenObservation) -> None:
    assert_type(seen.by_dish, Dish | None)
    assert_type(seen.list, Sequence[str])
    assert_type(seen.maybe_done, Doneness | None)
"""

REVEALED = [
    "openenv_atari.types.AtariObservation",
    "openenv_atari.types.AtariObservation",
    "openenv_atari.types.AtariState",
    "openenv_atari.types.AtariObservationColumns",
    "openenv_atari.types.AtariObservation",
]

BAD = """
from openenv_atari import AtariAction, AtariEnv
from openenv_echo import EchoAction

env = AtariEnv.connect("x")
env.step(EchoAction(message="hello"))
env.step(7)
AtariAction(action_id="left")
AtariAction()
env.step(AtariAction(action_id=1)).observation.screeen
import openenv_atari
openenv_atari.AtariEmv
from typing_extensions import assert_type
assert_type(env.step(AtariAction(action_id=1)).observation.screen, int)
"""

REJECTED = {
    6: "arg-type",
    7: "arg-type",
    8: "arg-type",
    9: "call-arg",
    10: "attr-defined",
    12: "attr-defined",
    14: "assert-type",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of both snippets and of the whole kitchen: one run, because it is slow to start."""
    directory = tmp_path_factory.mktemp("typing")
    (directory / "good.py").write_text(GOOD)
    (directory / "bad.py").write_text(BAD)
    paths = [str(ROOT), str(ROOT / "clients"), str(kitchen_package.directory()), str(directory)]
    options = ["--strict", "--explicit-package-bases", "--config-file", os.devnull]
    options += ["--cache-dir", str(directory / "cache"), "-m", "good", "-m", "bad", "-p", "openenv_kitchen"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": ":".join(paths)},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_observations_are_inferred(report: list[str]) -> None:
    pattern = re.compile(r'.*good\.py:\d+: note: Revealed type is "(.*)"')
    assert [found[1] for found in map(pattern.fullmatch, report) if found] == REVEALED


def test_good_code_and_generated_code_are_accepted(report: list[str]) -> None:
    own = [line for line in report if "bad.py" not in line and "_pb2.pyi" not in line]  # protoc's stubs are not strict
    assert [line for line in own if ": error:" in line] == []


def test_bad_code_is_rejected(report: list[str]) -> None:
    pattern = re.compile(r".*bad\.py:(\d+): error: .*\[([a-z-]+)\]")
    assert {int(found[1]): found[2] for found in map(pattern.fullmatch, report) if found} == REJECTED
