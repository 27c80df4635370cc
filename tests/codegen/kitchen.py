"""The kitchen: an environment with one field of every kind, generated for the tests into a directory of their own."""

from __future__ import annotations

import atexit
import functools
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from openenv_grpc.cli.generate import write

PROTO = Path(__file__).parent / "proto/openenv_kitchen/v1/kitchen.proto"


@functools.cache
def directory() -> Path:
    """Where the package was generated; removed when the process ends."""
    target = Path(tempfile.mkdtemp(prefix="openenv-kitchen-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    write([PROTO], [], target)
    return target


@functools.cache
def load() -> ModuleType:
    """Its module of types."""
    sys.path.insert(0, str(directory()))
    try:
        return importlib.import_module("openenv_kitchen.types")
    finally:
        sys.path.remove(str(directory()))
