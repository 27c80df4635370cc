"""What a server says of its isolation, who is believed, and the lifeline that is a socket's path."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import openenv_grpc as oe
from openenv_grpc.codec.describe import isolation_from_message, isolation_to_message
from openenv_grpc.errors import EnvironmentFailed, InvalidArgument, ServerUnavailable
from openenv_grpc.providers.lifeline import MAX_LINE, failure_of, harmless
from openenv_grpc.specs import Isolation
from openenv_grpc.v1 import environment_pb2
from tests.cli.running import Cli
from tests.helpers.packages import ROOT, environ
from tests.helpers.processes import until
from tests.helpers.server import running

CLAIM = Isolation("hardened", "runc", 1 << 30, 1.5, 64, True, "none")


def test_a_provider_says_what_holds_its_server():
    with oe.make("echo") as env, oe.make_vec("echo", 2) as vector:
        assert env.isolation == vector.isolation == Isolation("process")


def test_a_server_says_what_it_was_told_and_its_lease_is_believed_before_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("OPENENV_ISOLATION", json.dumps(vars(CLAIM)))
    with running("echo") as server:
        with oe.connect(server.address) as env:
            assert env.isolation == CLAIM
        shown = Cli(capsys)("describe", server.address)
        assert "hardened (runc): memory 1,024 MiB, cpus 1.5, processes 64, read-only, network none" in " ".join(
            shown.out.split()
        )
    with oe.make("echo") as env:  # its server claims the same
        assert env.isolation == Isolation("process")


def test_a_server_that_was_told_nothing():
    with running("echo") as server, oe.connect(server.address) as env:
        assert env.isolation is None


@pytest.mark.parametrize("text", ["{", "[]", '{"walls": 4}', '{"profile": "x", "pids": "many"}'])
def test_a_server_that_was_told_nonsense_does_not_start(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("OPENENV_ISOLATION", text)
    done = Cli(capsys)("serve", "echo", "--address", "127.0.0.1:0")
    assert done.status == 1
    assert "OPENENV_ISOLATION" in done.err


def test_a_description_survives_the_wire_and_a_hostile_one_is_harmless():
    assert isolation_from_message(isolation_to_message(CLAIM)) == CLAIM
    hostile = environment_pb2.Isolation(profile="\x1b[2J", runtime="x" * 65, cpus=float("nan"))
    assert isolation_from_message(hostile) == Isolation("?", "?", network="")


class TestLifeline:
    """`serve --lifeline PATH`."""

    @staticmethod
    def serve(directory: Path, environment: str = "echo") -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "openenv_grpc.server", environment, "--address", f"unix:{directory}/env.sock"]
        arguments = ["--lifeline", f"{directory}/lifeline.sock"]
        return subprocess.Popen([*command, *arguments], env=environ(), cwd=ROOT, stderr=subprocess.DEVNULL)

    @staticmethod
    def listen(directory: Path) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{directory}/lifeline.sock")
        listener.listen(1)
        listener.settimeout(30)
        return listener

    def test_it_tells_and_ends_with_its_owner(self, tmp_path: Path):
        with self.listen(tmp_path) as listener, self.serve(tmp_path) as server:
            thread, _ = listener.accept()
            with thread:
                assert failure_of(thread.makefile("rb").readline()) is None
                with oe.connect(f"unix:{tmp_path}/env.sock") as env:
                    env.reset()
            until(lambda: server.poll() is not None, 8, "the server's end")
            assert server.returncode == 0
            assert os.listdir(tmp_path) == ["lifeline.sock"]

    def test_it_tells_why_it_does_not_serve(self, tmp_path: Path):
        with self.listen(tmp_path) as listener, self.serve(tmp_path, "nope") as server:
            thread, _ = listener.accept()
            with thread:
                failure = failure_of(thread.makefile("rb").readline())
            assert isinstance(failure, InvalidArgument)
            assert "no environment 'nope' is installed" in failure.message
            server.wait(8)

    def test_nobody_listens(self, tmp_path: Path):
        with self.serve(tmp_path) as server:
            assert server.wait(20) == 1


def line(**changes: Any) -> bytes:
    return json.dumps({"address": "", "failure": {"reason": "X", "field": None, "message": "m"} | changes}).encode()


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff\xfe",
        b"[" * MAX_LINE,
        b"null",
        b"{}",
        b'{"failure": 1}',
        b'{"failure": "x"}',
        b'{"failure": {}}',
        line(message=1),
        line(reason=None),
        line(field=["x"]),
        line(message=None),
    ],
)
def test_a_hostile_first_line(hostile: bytes):
    with pytest.raises(ServerUnavailable, match="none that it may write"):
        failure_of(hostile)


def test_a_hostile_message_is_short_and_harmless():
    found = failure_of(line(message="x" * 9000 + "\x1b[2Jend", field="f\n\x00"))
    assert isinstance(found, EnvironmentFailed)
    assert len(str(found)) < 4300
    assert str(found).endswith("�[2Jend")
    assert "\x00" not in str(found)
    assert harmless(b"a\xff\r\x1b]0;t\x07\tb\n") == "a���]0;t�\tb\n"
