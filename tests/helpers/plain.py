"""Plain stubs: what grpc_tools makes of the .proto files, in a directory where nothing else of the library is."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.packages import PROTOS, ROOT

SOURCES = [
    "openenv_grpc/v1/array.proto",
    "openenv_grpc/v1/environment.proto",
    "openenv_grpc/v1/session.proto",
    "openenv_grpc/v1/spec.proto",
    "openenv_grpc/v1/value.proto",
    "openenv_bare/v1/bare.proto",
]


@functools.cache
def stubs() -> Path:
    """The directory; its packages hide the library's own from whoever has it in front of PYTHONPATH."""
    target = Path(tempfile.mkdtemp(prefix="openenv-plain-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"-I{PROTOS}"]
    google = subprocess.run(
        [sys.executable, "-c", "import google.rpc.status_pb2 as m; print(m.__file__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    command += [f"-I{Path(google.stdout.strip()).parents[2]}", f"--python_out={target}", f"--grpc_python_out={target}"]
    subprocess.run([*command, *SOURCES], check=True)
    for package in ("openenv_grpc", "openenv_grpc/v1", "openenv_bare", "openenv_bare/v1"):
        (target / package / "__init__.py").touch()
    return target


def environ() -> dict[str, str]:
    """Variables of a process that finds the plain stubs, and nothing else of ours."""
    return {**os.environ, "PYTHONPATH": str(stubs())}
