"""docs/conformance.md lists every case with its rule; the examples of docs/vector.md run."""

from __future__ import annotations

import re
import subprocess
import sys

from openenv_grpc.testing import CASES
from tests.helpers.packages import ROOT


def test_the_table_of_cases_is_current():
    table = (ROOT / "docs/conformance.md").read_text().partition("## Cases\n")[2]
    wanted = [
        f"| `{case.name}` | {', '.join(face.value for face in case.faces)} | {case.rule} |" for case in CASES.values()
    ]
    assert table.strip().splitlines()[2:] == wanted


def test_the_examples_of_vectors_run():
    code = "".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs/vector.md").read_text(), re.DOTALL))
    assert code.count("make_vec") == 4
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
