"""Servers that lie, flood and never end: a client gets a typed error in bounded time, with bounded memory.

No container is needed for these: what a client is told comes through a socket, whoever holds the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.packages import ROOT, environ

MESSAGE_MIB = 256
COPIES = 4.5
"""gRPC and we keep up to four copies of a message while it hands it on."""
EXPECTED = {
    "describe_garbage": "ProtocolMismatch",
    "describe_nothing": "ProtocolMismatch",
    "describe_300_mb": "MessageTooLarge",
    "describe_long_documentation": "ProtocolMismatch",
    "describe_empty_columns": "ProtocolMismatch",
    "describe_many_columns": "ProtocolMismatch",
    "describe_columns": "SpecMismatch",
    "describe_empty_options": "ProtocolMismatch",
    "describe_options": "SpecMismatch",
    "describe_empty_files": "ProtocolMismatch",
    "describe_broken_files": "ProtocolMismatch",
    "describe_other_hash": "ProtocolMismatch",
    "describe_other_message": "ProtocolMismatch",
    "describe_old": "ProtocolMismatch",
    "describe_no_time": "ProtocolMismatch",
    "wrong_columns": "SpecMismatch",
    "wrong_shards": "MalformedFrame",
    "many_shards": "MessageTooLarge",
    "more_shards": "MalformedFrame",
    "session_silent": "ServerUnavailable",
    "session_ends": "SessionLost",
    "session_garbage": "MalformedFrame",
    "endless_before": "MalformedFrame",
    "endless_unasked": "MalformedFrame",
    "endless_ended": "MalformedFrame",
    "answer_garbage": "MalformedFrame",
    "answer_nothing": "MalformedFrame",
    "answer_other": "MalformedFrame",
    "answer_no_payload": "MalformedFrame",
    "answer_long": "MalformedFrame",
    "answer_too_long": "MessageTooLarge",
    "answer_empty_infos": "MessageTooLarge",
    "answer_escapes": "RemoteError",
    "limits_for_ever": "SessionLost",
}
LARGE = {"describe_300_mb", "describe_long_documentation", "describe_empty_columns", "describe_empty_options"} | {
    "answer_long", "answer_too_long", "answer_empty_infos"
}  # fmt: skip
ASYNCIO = [
    "describe_empty_columns",
    "session_silent",
    "endless_before",
    "endless_unasked",
    "endless_ended",
    "answer_nothing",
]


@contextlib.contextmanager
def serving(mode: str, directory: Path, *arguments: str) -> Iterator[str]:
    """A hostile server for as long as the block lasts; its address."""
    address = f"unix:{directory}/env.sock"
    variables = environ()
    variables["PYTHONPATH"] = os.pathsep.join([str(ROOT / "tests/attacks"), variables.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "hostile.server", mode, address, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=variables) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            yield address
        finally:
            process.kill()


def ask(address: str, shell: str = "sync") -> dict[str, Any]:
    """What a client in a process of its own makes of it."""
    command = [sys.executable, "-m", "tests.attacks.client", address, shell]
    found = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True, env=environ(), cwd=ROOT)
    answer: dict[str, Any] = json.loads(found.stdout)
    return answer


ALWAYS = {"describe_empty_columns", "endless_unasked", "answer_escapes"}
"""Of those that were holes, a quick one of each kind; the others are left to -m exhaustive."""


@pytest.mark.parametrize(
    "mode", [mode if mode in ALWAYS else pytest.param(mode, marks=pytest.mark.exhaustive) for mode in EXPECTED]
)
def test_a_client_gets_a_typed_error(tmp_path: Path, mode: str):
    with serving(mode, tmp_path) as address:
        found = ask(address)
    assert found["error"] == EXPECTED[mode], found
    assert found["took_s"] < 20, found
    assert found["grown_mib"] < (MESSAGE_MIB * COPIES if mode in LARGE else 200), found
    assert "\x1b" not in found["message"]


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", ASYNCIO)
def test_so_does_one_of_asyncio(tmp_path: Path, mode: str):
    with serving(mode, tmp_path) as address:
        found = ask(address, "asyncio")
    assert found["error"] in {EXPECTED[mode], "SessionLost"}, found
    assert found["took_s"] < 20, found
    assert found["grown_mib"] < (MESSAGE_MIB * COPIES if mode in LARGE else 200), found


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", ["describe_300_mb", "answer_too_long"])
def test_what_is_small_until_it_is_unpacked(tmp_path: Path, mode: str):
    """300 MB of zeros are 300 KB on the wire: the limit counts what comes out."""
    with serving(mode, tmp_path, "gzip") as address:
        found = ask(address)
    assert found["error"] == "MessageTooLarge", found
    assert found["grown_mib"] < MESSAGE_MIB * COPIES, found
