"""Packages as byte code alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from openenv_grpc.image.compiled import replace_by_byte_code

MODULE = '''"""A module's docstring."""


def fail(
    value,
):
    """A function's docstring."""
    assert value != 7
    return (1 /
            value)
'''
ASK = """
import sys, traceback
sys.path.insert(0, sys.argv[1])
from small import module
import alone
assert alone.fail(7)
assert module.__doc__ == module.fail.__doc__ == ""
try:
    module.fail(0)
except ZeroDivisionError as error:
    last = error.__traceback__.tb_next
    print(traceback.format_tb(last)[0])
    if sys.version_info >= (3, 11):
        assert {position[2:] for position in last.tb_frame.f_code.co_positions()} <= {(None, None), (0, 0)}
"""


def test_without_sources_docstrings_assertions_and_columns(tmp_path: Path):
    package = tmp_path / "small"
    package.mkdir()
    (package / "__init__.py").touch()
    for path in (package / "module.py", tmp_path / "alone.py"):
        path.write_text(MODULE)
    replace_by_byte_code(package)
    replace_by_byte_code(tmp_path / "alone.py")
    assert not list(tmp_path.rglob("*.py"))
    command = [sys.executable, "-c", ASK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f'  File "{package}/module.py", line 9, in fail\n\n'
