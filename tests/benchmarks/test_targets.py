"""What a run must reach is read from its own rows: met, missed, or not measured."""

from __future__ import annotations

import pytest
from rich.console import Console

from benchmarks import figures, questions
from benchmarks.report import target_line
from benchmarks.targets import Target, evaluate, evaluate_all

RATIO = Target("a of b", ("a", "a2"), "b", 0.5, 0.7)
BOUND = Target("short", ("open",), "", 15.0, 10.0, at_most=True)


@pytest.mark.parametrize(
    ("target", "values", "value", "met", "goal_met"),
    [
        (RATIO, {"a": 60, "b": 100}, 0.6, True, False),
        (RATIO, {"a": 10, "a2": 80, "b": 100}, 0.8, True, True),
        (RATIO, {"a": 49, "b": 100}, 0.49, False, False),
        (RATIO, {"a": 49}, None, None, None),
        (RATIO, {"b": 100}, None, None, None),
        (BOUND, {"open": 15.0}, 15.0, True, False),
        (BOUND, {"open": 9.0}, 9.0, True, True),
        (BOUND, {"open": 15.1}, 15.1, False, False),
        (BOUND, {}, None, None, None),
    ],
)
def test_a_target_is_met_missed_or_not_measured(target, values, value, met, goal_met):
    found = evaluate(target, values)
    assert (found["value"], found["met"], found["goal_met"]) == (value, met, goal_met)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(target_line(found))
    word = {True: " met ", False: "MISSED", None: "not measured"}[met]
    assert word in capture.get()


def test_targets_look_at_their_own_question_alone():
    rows = [
        {"question": "one", "contestant": "a", "steps_per_s": 10.0},
        {"question": "two", "contestant": "b", "steps_per_s": 10.0},
        {"question": "one", "contestant": "c", "skipped": "no"},
    ]
    (found,) = evaluate_all([("one", RATIO)], rows, [{"figure": "open", "value": 1.0}])
    assert found["met"] is None
    (found,) = evaluate_all([("", BOUND)], rows, [{"figure": "open", "value": 1.0}])
    assert found["met"] is True


def test_every_file_of_a_question_is_found():
    atari = ("breakout", "cores", "gray", "lanes", "ram", "rgb", "seaquest", "wall")
    assert questions.names() == [*(f"atari_{name}" for name in atari), "echo"]
    assert figures.names() == ["codec", "containers", "imports", "opening", "transport"]
    texts = [target.text for name in questions.names() for target in questions.targets(name)]
    texts += [target.text for name in figures.names() for target in figures.targets(name)]
    assert len(texts) == len({*texts}) == 30
