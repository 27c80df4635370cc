"""The command as a whole, `serve` and `describe`: what they say, and how they end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from openenv_grpc import connect
from openenv_grpc.cli import GRPC_EXPERIMENTS
from tests.cli.running import COMMAND, Cli, start
from tests.helpers.packages import ROOT, environ
from tests.helpers.processes import alive, descendants, until
from tests.helpers.server import running

COMMANDS = ["serve", "describe", "check", "rollout", "generate", "init"]


def test_help_names_every_command(cli: Cli):
    for flag in ("--help", "-h"):
        status, out, err = cli(flag)
        assert (status, err) == (0, "")
        assert "Usage: " in out
        for command in COMMANDS:
            assert command in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(cli: Cli, command: str):
    status, out, err = cli(command, "--help")
    assert (status, err) == (0, "")
    assert f"{command} [OPTIONS]" in out
    assert "lifeline" not in out
    assert "scratch" not in out
    assert ("OPENENV_TOKEN" in out) == (command in ("serve", "describe", "check", "rollout"))


def test_help_says_how_to_write_a_policy(cli: Cli):
    out = cli("rollout", "--help").out
    for part in ("policy(observation, info) -> actions", "lane, episode", "same seed", "--max-steps", "130"):
        assert part in out


@pytest.mark.parametrize("given", [None, "tcp_rcv_lowat"])
def test_grpc_reads_its_settings_when_it_is_imported_and_a_users_own_are_kept(given: str | None):
    code = (
        "import os, sys; from openenv_grpc import cli; early = 'grpc' in sys.modules;"
        "cli.main(['--version']); print(early, os.environ['GRPC_EXPERIMENTS'])"
    )
    env = {key: value for key, value in environ().items() if key != "GRPC_EXPERIMENTS"}
    env |= {"GRPC_EXPERIMENTS": given} if given else {}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True, env=env, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == f"False {given or GRPC_EXPERIMENTS}"


def test_the_version(cli: Cli):
    assert cli("--version") == (0, metadata.version("openenv-grpc") + "\n", "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["rollout"], "Missing argument"),
        (["serve", "echo", "--bogus"], "unrecognized arguments: --bogus"),
        (["rollout", "echo", "--episodes", "0"], "--episodes"),
        (["rollout", "echo", "--episodes", "many"], "--episodes"),
        (["rollout", "echo", "--num-envs", "0"], "--num-envs"),
        (["rollout", "echo", "--num-envs", "-1"], "--num-envs"),
        (["rollout", "echo", "--seed", "-1"], "--seed"),
        (["rollout", "echo", "--max-steps", "0"], "--max-steps"),
        (["rollout", "echo", "--output", "pyproject.toml"], "--output"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(cli: Cli, arguments: list[str], hint: str):
    status, out, err = cli(*arguments)
    assert status == 2
    assert out == ""
    assert hint in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["serve", "nope"], "no environment 'nope' is installed (installed: atari, echo)"),
        (["serve", "echo", "--address", "nowhere"], "'nowhere' is neither unix:/path nor host:port"),
        (["serve", "echo", "--address", "0.0.0.0:0"], "0.0.0.0 is not loopback"),
        (["serve", "echo", "--address", "localhost:²"], "neither"),
        (["serve", "echo", "--address", "unix:relative"], "absolute path"),
        (["serve", "echo", "--limit", "sesions=1"], "no such limit; there are sessions"),
        (["serve", "echo", "--limit", "sessions=0"], "must be positive"),
        (["serve", "echo", "--limit", "sessions=x"], "'x' is no int"),
        (["describe", "http://x"], "is a URL"),
        (["describe", "127.0.0.1:1"], "no server answers at 127.0.0.1:1"),
        (["describe", "unix:/none.sock"], "there is no such socket"),
    ],
    ids=" ".join,
)
def test_our_errors_are_one_line_and_end_with_1(cli: Cli, arguments: list[str], hint: str):
    status, _, err = cli(*arguments)
    assert status == 1
    assert hint in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def served(process: subprocess.Popen[str]) -> tuple[str, int]:
    """Address and pid that a server prints when it serves."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"\w+ serving at (\S+) \(pid (\d+)\); Ctrl-C ends it\n", line)
    assert found, line
    return found[1], int(found[2])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_on_a_unix_socket_until_a_signal(tmp_path: Path, number: signal.Signals):
    path = tmp_path / "s"
    with start("serve", "atari", "--address", f"unix:{path}", "--option", "game=breakout") as process:
        address, pid = served(process)
        assert (address, pid) == (f"unix:{path}", process.pid)
        with connect(address) as env:
            assert env.reset(seed=1).info["lives"] == 5
        family = descendants(process.pid)
        process.send_signal(number)
        assert process.wait(10) == 0
        until(lambda: not alive(family))
        assert not path.exists()


def test_serve_on_a_free_port():
    with start("serve", "echo", "--address", "127.0.0.1:0", "--limit", "sessions=3") as process:
        address, _ = served(process)
        host, port = address.split(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        with connect(address) as env:
            assert env.limits.sessions == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_python_m_is_the_same():
    command = [sys.executable, "-m", "openenv_grpc.server", "nope"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ(), cwd=ROOT, timeout=20, check=False)
    assert done.returncode == 1
    assert "no environment 'nope'" in done.stderr


def test_a_socket_in_use(tmp_path: Path, cli: Cli):
    with running("echo") as server:
        status, _, err = cli("serve", "echo", "--address", server.address)
        assert status == 1
        assert "another server listens on" in err
        status, _, err = cli("describe", server.address)
        assert status == 0


def test_a_stale_socket_is_replaced(tmp_path: Path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with start("serve", "echo", "--address", f"unix:{path}") as process:
        served(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_file_is_not_replaced(tmp_path: Path, cli: Cli):
    path = tmp_path / "s"
    path.write_text("precious")
    status, _, err = cli("serve", "echo", "--address", f"unix:{path}")
    assert status == 1
    assert "is no socket" in err
    assert path.read_text() == "precious"


def test_describe_shows_what_there_is(cli: Cli):
    with running("atari", "--option", "game=breakout", sessions=7) as server:
        status, out, err = cli("describe", server.address)
    assert (status, err) == (0, "")
    for part in ("atari", "action_id", "[210, 160, 3]", "obs_type", "rgb, grayscale, ram", "frameskip", "isolation"):
        assert part in out
    assert re.search(r"action *│ action_id *│ int64 *│ \[\] *│ 0 … 3", out), out
    assert re.search(r"sessions +7\n", out)


def test_the_command_is_installed():
    done = subprocess.run([COMMAND, "--version"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == metadata.version("openenv-grpc") + "\n"
