"""Running the command, in this process or in one of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from openenv_grpc.cli import main
from tests.helpers.packages import ROOT, environ

COMMAND = str(Path(sys.executable).with_name("openenv-grpc"))


class Output(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


class Cli:
    """Runs commands in this process, on a terminal of 110 columns that is none."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Output:
        self._capsys.readouterr()
        status = main(list(arguments))
        return Output(status, *self._capsys.readouterr())


# A suite that a shell started in the background ignores SIGINT, and what it starts would inherit that.
_HEED_CTRL_C = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
)


def start(*arguments: str, cwd: Path = ROOT, extra: Sequence[tuple[str, str]] = ()) -> subprocess.Popen[str]:
    """Start the command in a process of its own, without a terminal."""
    return subprocess.Popen(
        [sys.executable, "-c", _HEED_CTRL_C, COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ() | {"COLUMNS": "110", "PYTHONUNBUFFERED": "1"} | dict(extra),
        cwd=cwd,
    )
