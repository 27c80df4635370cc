"""The packages of the tests' own environments, generated into a directory of this process."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path

from openenv_grpc.cli.generate import write

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "tests/environments_for_tests/proto"
PROBE = "tests.environments_for_tests.probe:ProbeEnvironment"
BARE = "tests.environments_for_tests.bare:BareEnvironment"
ARM = "tests.environments_for_tests.arm:ArmEnvironment"


@functools.cache
def generated() -> Path:
    """Where the packages lie, importable in this process; removed when it ends."""
    target = Path(tempfile.mkdtemp(prefix="openenv-tests-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    write([PROTOS / f"openenv_{name}/v1/{name}.proto" for name in ("probe", "bare", "arm")], [], target)
    sys.path.append(str(target))
    return target


def environ() -> dict[str, str]:
    """Variables of a process that finds the environments and their packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(generated()), str(ROOT)])}


generated()
