"""Servers that the tests of one module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.client.environments import SLOW
from tests.helpers.packages import ARM
from tests.helpers.server import Server, running


@pytest.fixture(scope="module")
def slow() -> Iterator[Server]:
    with running(SLOW) as server:
        yield server


@pytest.fixture(scope="module")
def atari() -> Iterator[Server]:
    with running("atari") as server:
        yield server


@pytest.fixture(scope="module")
def echo() -> Iterator[Server]:
    with running("echo") as server:
        yield server


@pytest.fixture(scope="module")
def arm() -> Iterator[Server]:
    with running(ARM) as server:
        yield server
