"""Runs protoc, the one of grpcio-tools, in a process of its own so that its messages can be read."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from openenv_grpc.errors import InvalidArgument, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def describe(paths: Iterable[str], roots: Sequence[Path]) -> FileDescriptorSet:
    """Descriptors of files and all they import, comments included.

    Raises:
        InvalidArgument: protoc refuses a file; its own words are in the error.
        Unsupported: grpcio-tools is not installed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "files.binpb")
        _run([f"--descriptor_set_out={target}", "--include_imports", "--include_source_info", *paths], roots)
        return FileDescriptorSet.FromString(target.read_bytes())


def messages(paths: Iterable[str], roots: Sequence[Path]) -> dict[str, str]:
    """The modules that protoc writes for files: `_pb2.py` and `_pb2.pyi`, by path."""
    with tempfile.TemporaryDirectory() as scratch:
        _run([f"--python_out={scratch}", f"--pyi_out={scratch}", *paths], roots)
        written = sorted(path for path in Path(scratch).rglob("*") if path.is_file())
        return {path.relative_to(scratch).as_posix(): path.read_text(encoding="utf-8") for path in written}


def library_roots() -> list[Path]:
    """Where the library's own `.proto` files and those of google/rpc lie."""
    library = Path(__file__).parents[1]
    installed = library / "_proto"
    roots = [installed if installed.is_dir() else library.parent / "proto"]
    google = importlib.util.find_spec("google.rpc.status_pb2")
    if google is not None and google.origin is not None:
        roots.append(Path(google.origin).parents[2])
    return roots


def _run(arguments: list[str], roots: Sequence[Path]) -> None:
    if importlib.util.find_spec("grpc_tools") is None:
        message = "protoc is not installed: pip install 'openenv-grpc[generate]'"
        raise Unsupported(message)
    includes = [f"-I{root}" for root in dict.fromkeys(map(str, [*roots, *library_roots()]))]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"protoc: {done.stderr.strip()}"
        raise InvalidArgument(message)
