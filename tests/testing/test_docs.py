"""docs/conformance.md lists every case with its rule."""

from __future__ import annotations

from openenv_grpc.testing import CASES
from tests.helpers.packages import ROOT


def test_the_table_of_cases_is_current():
    table = (ROOT / "docs/conformance.md").read_text().partition("## Cases\n")[2]
    wanted = [
        f"| `{case.name}` | {', '.join(face.value for face in case.faces)} | {case.rule} |" for case in CASES.values()
    ]
    assert table.strip().splitlines()[2:] == wanted
