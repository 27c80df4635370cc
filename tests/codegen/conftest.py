"""Fixtures of the generator's tests."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.codegen.kitchen import load


@pytest.fixture(scope="session")
def kitchen() -> ModuleType:
    return load()
