"""The tests' own environments must be generated before a test imports them."""

import tests.helpers.packages  # noqa: F401
