"""Every case can fail: a server with one fault makes exactly the case fail that is about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from openenv_grpc.testing import CASES, Case, Face, Target, run_cases, select
from tests.helpers.server import running
from tests.testing.broken import faults  # noqa: F401 - registers them
from tests.testing.broken.fault import FAULTS, Fault
from tests.testing.broken.proxy import broken
from tests.testing.subject import FULL, HINTS, PLAIN

TIMEOUT_S = 12.0
JOBS = 4
MESSAGE_BYTES = 2 << 20
"""What is beyond it passes through the proxy with every fault."""


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """Addresses of good servers, by what they run."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(running(name, message_bytes=MESSAGE_BYTES)).address for name in (FULL, PLAIN)}


def worth_running(fault: Fault) -> list[tuple[Case, Face]]:
    """The case that is to fail on all its faces, every other on one: which of the two changes from case to case."""
    chosen = []
    for index, case in enumerate(CASES.values()):
        for face in case.faces:
            if case.name == fault.case or face is case.faces[index % len(case.faces)]:
                chosen.append((case, face))
    return chosen


def run(address: str, fault: Fault | None, chosen: list[tuple[Case, Face]]) -> dict[str, str]:
    """Messages of the cases that fail, by case and face."""
    with broken(address, fault) as there:
        target = Target.connect(there, hints=HINTS, timeout_s=TIMEOUT_S)
        try:
            results = list(run_cases(target, chosen, JOBS))
        finally:
            target.close()
    skipped = [result.case.name for result in results if result.status == "skipped"]
    assert fault is None or fault.case not in skipped, "the case that is to fail was skipped"
    return {result.id: result.message for result in results if result.status == "failed"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_exactly_one_case_fails(servers: dict[str, str], fault: Fault):
    failures = run(servers[fault.environment], fault, worth_running(fault))
    expected = {f"{fault.case}-{face.value}" for face in CASES[fault.case].faces}
    assert set(failures) == expected, "\n".join(f"{name}: {message}" for name, message in failures.items())


@pytest.mark.parametrize("environment", [FULL, PLAIN])
def test_the_proxy_alone_breaks_nothing(servers: dict[str, str], environment: str):
    assert run(servers[environment], None, select()) == {}


def test_every_case_has_a_fault():
    select()
    assert {fault.case for fault in FAULTS.values()} == set(CASES)
