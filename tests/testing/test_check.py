"""`openenv-grpc check`: what it shows, what it writes, how it ends."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openenv_grpc.testing import BOTH, CASES, Face, Peer, Target, run_case, run_cases, select
from tests.cli.running import Cli
from tests.helpers.server import Server, running
from tests.testing.broken import faults  # noqa: F401 - registers them
from tests.testing.broken.fault import FAULTS, Fault
from tests.testing.broken.proxy import broken
from tests.testing.subject import FULL


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("TERM", "dumb")
    return Cli(capsys)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(FULL) as found:
        yield found


def test_a_good_server_by_its_name(cli: Cli, tmp_path: Path):
    path = tmp_path / "found.json"
    status, out, err = cli("check", "echo", "--case", "verbs", "--json", str(path))
    assert (status, err) == (0, "")
    assert "skipped: the environment cannot be saved\n  snapshot_before_reset\n" in out
    assert "0 failed, 6 skipped" in out
    found = json.loads(path.read_text())
    assert (found["environment"], found["target"], found["protocol_revision"]) == ("echo", "echo", 1)
    assert {item["name"] for item in found["cases"]} == {case.name for case in CASES.values() if case.topic == "verbs"}
    assert {item["face"] for item in found["cases"]} == {"stream", "unary", "local"}
    assert found["totals"] == {"passed": len(found["cases"]) - 6, "failed": 0, "skipped": 6}
    assert all(item["rule"] and item["seconds"] >= 0 for item in found["cases"])


def test_a_broken_server_by_its_address(cli: Cli, server: Server, tmp_path: Path):
    path = tmp_path / "found.json"
    with broken(server.address, FAULTS["steps_what_was_never_reset"]) as there:
        status, out, err = cli("check", there, "--case", "ste*", "--face", "unary", "--json", str(path))
    assert (status, err) == (1, "")
    for line in (
        "FAILED step_before_reset-unary",
        "  rule      A step before the first reset is refused with ILLEGAL_VERB",
        "  expected  step refused with FAILED_PRECONDITION (ILLEGAL_VERB)",
        "  got       the result step",
    ):
        assert line in out
    (item,) = json.loads(path.read_text())["cases"]
    assert (item["name"], item["status"], item["got"]) == ("step_before_reset", "failed", "the result step")


def test_hints_and_options_are_heeded(cli: Cli, server: Server):
    hint = 'ending_action={"verb": "end"}'
    status, out, _ = cli("check", server.address, "--case", "terminated_is_told", "--hint", hint, "-o", "joints=3")
    assert status == 0
    assert "3 passed, 0 failed, 0 skipped" in out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nope"], "no environment 'nope' is installed"),
        (["unix:/nowhere.sock"], "no server answers at unix:/nowhere.sock (there is no such socket)"),
        (["localhost:99999"], "is neither host:port nor unix:/path"),
        (["echo", "--case", "nope"], "no case matches 'nope'"),
        (["echo", "--face", "both"], "'both' is none of stream, unary, local"),
        (["echo", "--hint", "ending_action"], "write it as name=JSON"),
        (["echo", "--hint", "ending_action={"], "the value is not JSON"),
        (["echo", "--hint", "nope=1"], "no such hint; there are actions, ending_action"),
        (["echo", "--option", "nope=1"], "options.nope: no such option"),
        (["echo", "--timeout-s", "0"], "--timeout-s"),
        (["echo", "--case", "limits_are_limits", "--json", "/nowhere/found.json"], "cannot write /nowhere/found.json"),
        ([], "Missing argument"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_checked_ends_with_2(cli: Cli, arguments: list[str], hint: str):
    status, _, err = cli("check", *arguments)
    assert status == 2
    assert hint in err
    assert "Traceback" not in err


def test_a_server_that_hangs_is_a_failed_case(server: Server):
    """It swallows every step: the checker must end, in time, and say what it waited for."""
    mute = Fault("mute", "", FULL, {"request": lambda talk, request: [] if request.HasField("step") else None})
    with broken(server.address, mute) as there:
        target = Target.connect(there, timeout_s=1.5)
        results = list(run_cases(target, select("double_reset", BOTH)))
        target.close()
    assert [result.status for result in results] == ["failed", "failed"]
    assert all(result.seconds < 3 for result in results)
    assert "nothing within 0.5 s" in results[0].message


def test_somebody_else_who_listens_ends_with_2(cli: Cli):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=lambda: listener.accept()[0].close(), daemon=True).start()
        status, _, err = cli("check", f"127.0.0.1:{listener.getsockname()[1]}", "--timeout-s", "3")
    assert status == 2
    assert "no server answers" in err


def test_a_server_that_describes_itself_in_other_bytes_ends_with_2(cli: Cli, server: Server):
    babble = Fault("babble", "", FULL, {"Describe": lambda request, answer: b"\xff"})
    with broken(server.address, babble) as there:
        status, _, err = cli("check", there)
    assert status == 2
    assert "answers Describe with something else" in err
    assert "Traceback" not in err


def test_answers_that_are_none_fail_a_case(server: Server):
    babble = Fault("babble", "", FULL, {"answer": lambda talk, request, answer: [b"\xff" * 5]})
    with broken(server.address, babble) as there:
        target = Target.connect(there)
        result = run_case(target, CASES["double_reset"], Face.STREAM)
        target.close()
    assert (result.status, result.expected, result.got) == ("failed", "a SessionResponse", "5 bytes that are none")


def test_a_case_that_runs_on_is_given_up(server: Server):
    case = CASES["double_reset"]

    def forever(peer: Peer) -> None:
        peer.open()
        threading.Event().wait(2)

    target = Target.connect(server.address, timeout_s=0.5)
    result = run_case(target, dataclasses.replace(case, run=forever), Face.STREAM)
    target.close()
    assert (result.status, result.expected) == ("failed", "an end within 0.5 s")
