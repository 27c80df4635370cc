"""What is kept to some cores stays on them, with all that it starts."""

from __future__ import annotations

import os
from contextlib import ExitStack

import psutil
import pytest

from benchmarks.contestants import ours
from benchmarks.harness import Question
from benchmarks.questions import echo
from benchmarks.questions.atari_cores.everybody import counts
from benchmarks.setting import Setting


@pytest.mark.parametrize(
    ("cores", "found"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])]
)
def test_powers_of_two_and_all(cores: int, found: list[int]):
    assert counts(cores) == found


def test_client_and_server_stay_on_their_cores():
    before = os.sched_getaffinity(0)
    question: Question = echo.question()
    with ExitStack() as stack:
        setting = Setting(stack, print)
        question.contestants = [ours(setting, "echo", 1, "", transport="local", cores=cores) for cores in (1, None)]
        list(question.start(stack))
        one, every = question.contestants
        assert one.name == "openenv-grpc, 1 lane, local lane, 1 core"
        for contestant, cores in ((one, {min(before)}), (every, before)):
            for pid in (contestant.child.pid, contestant.server.pid):
                family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
                assert {core for each in family for core in os.sched_getaffinity(each.pid)} <= cores
            assert os.sched_getaffinity(contestant.child.pid) == cores
    assert os.sched_getaffinity(0) == before
