"""The generator as a plugin of protoc, and as a command."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from openenv_grpc.cli import main
from openenv_grpc.cli.generate import package_texts
from openenv_grpc.codegen import protoc
from tests.codegen.kitchen import PROTO

ROOT = Path(__file__).parents[2]


def run_plugin(directory: Path, proto: str, root: Path) -> subprocess.CompletedProcess[str]:
    script = directory / "protoc-gen-openenv"
    script.write_text(f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m openenv_grpc.codegen\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    includes = [f"-I{path}" for path in (root, *protoc.library_roots())]
    options = [f"--plugin=protoc-gen-openenv={script}", f"--openenv_out={directory}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *options, proto]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_plugin_writes_what_the_command_writes(tmp_path: Path) -> None:
    done = run_plugin(tmp_path, "openenv_kitchen/v1/kitchen.proto", PROTO.parents[2])
    assert done.returncode == 0, done.stderr
    expected = {name: text for name, text in package_texts([PROTO], []).items() if "_pb2" not in name}
    assert {name: (tmp_path / name).read_text() for name in expected} == expected


def test_plugin_reports_a_bad_file(tmp_path: Path) -> None:
    done = run_plugin(tmp_path, "openenv_kitchen/v1/parts.proto", PROTO.parents[2])
    assert done.returncode != 0
    assert "openenv_kitchen/v1/parts.proto: no message whose name ends in Action" in done.stderr


def test_command_writes_and_lists_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["generate", str(PROTO), "--proto-path", str(PROTO.parents[2]), "--output", str(tmp_path)]
    assert main(arguments) == 0
    written = capsys.readouterr().out.split()
    assert str(tmp_path / "openenv_kitchen/types.py") in written
    assert all(Path(path).is_file() for path in written)


def test_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(tmp_path / "no.proto")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/no.proto: no such file\n"
