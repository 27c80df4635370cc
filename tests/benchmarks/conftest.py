"""The benchmarks' tests run where the benchmarks' packages are: `.venv-bench`, which `scripts/bench` makes.

.venv-bench/bin/python -m pytest -p no:benchmark tests/benchmarks
"""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("websockets") and find_spec("matplotlib") else ["test_*.py"]
