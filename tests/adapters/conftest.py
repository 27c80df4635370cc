"""The tests' own environments must be generated before a test imports them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.packages import ARM
from tests.helpers.server import Server, running


@pytest.fixture(scope="module")
def arm() -> Iterator[Server]:
    with running(ARM) as server:
        yield server


@pytest.fixture(scope="module")
def atari() -> Iterator[Server]:
    with running("atari") as server:
        yield server
