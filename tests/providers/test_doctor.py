"""What `openenv-grpc doctor` says of this machine, and of machines that lack something."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from openenv_grpc.providers.doctor import State, can_harden, engine, host
from tests.helpers.packages import ROOT, environ

NOWHERE = "unix:///nonexistent/docker.sock"
GOOD = {
    "ServerVersion": "27.1.0",
    "OSType": "linux",
    "OperatingSystem": "Debian",
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsQuota": True,
    "CpuCfsPeriod": True,
    "PidsLimit": True,
    "CgroupVersion": "2",
    "CgroupDriver": "systemd",
    "Driver": "overlay2",
    "Runtimes": {"runc": {}, "runsc": {}},
    "DefaultRuntime": "runc",
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
}


def doctor(*arguments: str, isolated: bool = False, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command, in a process of its own."""
    code = "import sys; from openenv_grpc.cli import main; sys.exit(main(sys.argv[1:]))"
    if isolated:  # as if it were not installed
        code = "import sys; sys.modules['docker'] = None; " + code
    command = [sys.executable, "-c", code, "doctor", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=environ() | variables, cwd=ROOT
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    told = json.loads(done.stdout)
    assert told["hardened"] == (done.returncode == 0)
    return {finding["name"]: finding for finding in told["findings"]}


@pytest.mark.docker
def test_this_machine():
    done = doctor("--json")
    found = findings(done)
    assert done.returncode == 0, done.stdout
    assert found["engine"]["state"] == "works"
    assert len(found) >= 18
    for finding in found.values():
        assert finding["found"]
        assert finding["advice"] or finding["state"] == "works"
    table = doctor(COLUMNS="100").stdout
    assert "The hardened profile can run here." in table
    assert all(name in table for name in found)
    assert all(len(line) <= 100 for line in table.splitlines())


def test_no_engine():
    done = doctor("--json", DOCKER_HOST=NOWHERE)
    found = findings(done)
    assert done.returncode == 1
    assert found["engine"]["state"] == "missing"
    assert "docker.io" in found["engine"]["advice"]
    assert found["kernel"]["state"] in ("works", "limited")
    assert "cannot run here: engine" in doctor(DOCKER_HOST=NOWHERE).stdout


def test_an_engine_elsewhere():
    found = findings(doctor("--json", DOCKER_HOST="tcp://127.0.0.1:1"))
    assert found["engine"]["state"] == "missing"
    assert "not this machine's" in found["engine"]["found"]


def test_no_sdk():
    done = doctor("--json", isolated=True)
    found = findings(done)
    assert done.returncode == 1
    assert found["docker SDK"] == found["docker SDK"] | {
        "state": "missing",
        "advice": "pip install 'openenv-grpc[docker]'",
    }


class Engine(http.server.BaseHTTPRequestHandler):
    """A server that answers what an engine would, with escapes for a terminal in it."""

    info: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        body = json.dumps({"ApiVersion": "1.41"} if self.path.endswith("/version") else self.info).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "unix"


class UnixServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)  # the base class wants a host and a port

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()[0], ("unix", 0)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "engine.sock")
    server = UnixServer(path, Engine)  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"unix://{path}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("changes", "name", "state", "advice"),
    [
        ({}, "hardened profile", "works", ""),
        ({"ServerVersion": "19.03.1"}, "engine", "limited", "20.10"),
        ({"OSType": "windows"}, "engine", "missing", "Linux containers"),
        ({"OperatingSystem": "\x1b]0;x\x07"}, "engine", "works", ""),
        ({"PidsLimit": False}, "limits", "limited", "processes"),
        ({"MemoryLimit": False}, "hardened profile", "missing", "memory"),
        ({"SecurityOptions": []}, "seccomp", "missing", "CONFIG_SECCOMP"),
        ({"SecurityOptions": ["name=seccomp", "name=rootless"]}, "hardened profile", "missing", "rootless"),
        ({"CgroupVersion": "1"}, "cgroups", "limited", "version 2"),
        ({"Driver": "btrfs"}, "storage driver", "works", ""),
        ({"Runtimes": {"runc": {}}}, "gVisor", "missing", "apt install runsc"),
        ({}, "gVisor", "works", ""),
    ],
    ids=str,
)
def test_engines(fake: str, changes: dict[str, Any], name: str, state: str, advice: str):
    Engine.info = GOOD | changes
    found = findings(doctor("--json", DOCKER_HOST=fake))
    assert found[name]["state"] == state, found
    assert advice in found[name]["advice"]
    assert "\x1b" not in json.dumps(found, ensure_ascii=False)


def test_the_host(tmp_path: Path):
    assert {finding.name for finding in host.examine() if finding.needed and finding.state is State.MISSING} == set()
    assert host.shared_memory(str(tmp_path)).state is State.LIMITED
    assert host.file_system("/proc") == "proc"
    assert host.memfd().state is host.fd_passing().state is State.WORKS


def test_programs_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert host.bubblewrap().state is State.MISSING
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\necho bubblewrap 9\n")
    os.chmod(program, 0o755)
    assert host.bubblewrap().found == "bubblewrap 9"


def test_what_is_not_needed_does_not_matter():
    optional = [finding for finding in host.examine() if not finding.needed]
    assert optional
    assert can_harden([*optional, engine.gvisor({})])
