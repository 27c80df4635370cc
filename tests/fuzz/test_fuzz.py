"""A short run of every fuzz target: the corpus, and random changes of it that are the same each time."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.engine import CORPUS, corpus_of, load
from tests.fuzz.run import TARGETS, run_target
from tests.fuzz.spoil import mutate

MANY = 300


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Environments that fail write a traceback each."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_every_target_has_a_corpus_and_every_corpus_a_target():
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(corpus_of(name) for name in TARGETS)
    assert sum(path.stat().st_size for name in TARGETS for path in corpus_of(name)) < 1 << 20


@pytest.mark.parametrize("path", [path for name in TARGETS for path in corpus_of(name)], ids=lambda path: path.name)
def test_the_corpus_has_no_findings(path: Path):
    load(path.parent.name)(path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_random_changes_of_the_corpus_have_no_findings(name: str):
    chance, one_input = random.Random(f"short run of {name}"), load(name)
    pool = [path.read_bytes() for path in corpus_of(name)]
    for _ in range(MANY):
        data = mutate(chance, chance.choice(pool), pool)
        try:
            one_input(data)
        except Exception as error:
            error.args = (*error.args, f"input {data.hex()}")
            raise


def test_a_run_counts_its_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_target("packet", tmp_path / "packet", 30, 500, "random", 7) == 0
    assert "500 inputs" in capsys.readouterr().out


def test_a_finding_is_kept_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_target("no_such_target", tmp_path / "x", 30, 500, "random", 7) == 1
    assert "the process ended with 1" in capsys.readouterr().out
