"""What all tests share: how hypothesis runs.

The same examples each time, so that a run says something about the change and not about its luck. Health checks that
judge the generation of examples are off: records of the kitchen-sink schema are large, and machines are busy.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

SLOW_OR_LARGE = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=SLOW_OR_LARGE)
settings.load_profile("tests")

IMAGES_TIMEOUT_S = 600
"""For a test that may be the first to need an image."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("docker") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(IMAGES_TIMEOUT_S))
