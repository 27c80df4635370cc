"""The images that tests with Docker run on: made once, and again only when what goes into them has changed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.packages import ROOT

BASE = os.environ.get("OPENENV_TEST_BASE") or ("openenv-base" if os.geteuid() == 0 else "python:3.11-slim")
ECHO = "openenv-echo:test"
ATARI = "openenv-atari:test"
STATE = ROOT / "build" / "test-images"
SOURCES = ("openenv_grpc", "clients", "servers", "proto", "pyproject.toml", "scripts/base-image")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """While this lasts, no other process of the tests builds anything. Not to be nested."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def need_engine() -> None:
    """Skip the test where no Docker engine answers."""
    try:
        subprocess.run(["docker", "version"], capture_output=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("needs a Docker engine that answers")


def base() -> str:
    """The name of the base image, which is there when this returns."""
    need_engine()
    with alone():
        _make_base()
    return BASE


def image(environment: str) -> str:
    """The name of the image of `echo` or `atari`, which is there when this returns."""
    need_engine()
    name = {"echo": ECHO, "atari": ATARI}[environment]
    with alone():
        _make_base()
        built_from = f"{_id(BASE)} {_sources()}"
        note = STATE / f"{environment}.json"
        if not note.is_file() or json.loads(note.read_text()) != [_id(name), built_from]:
            build(environment, "--base", BASE, "--tag", name)
            note.write_text(json.dumps([_id(name), built_from]))
    return name


def _make_base() -> None:
    if BASE == "openenv-base":
        _run(str(ROOT / "scripts" / "base-image"), BASE)


def build(*arguments: str) -> str:
    """What `openenv-grpc build` says."""
    return _run(str(Path(sys.executable).with_name("openenv-grpc")), "build", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=540, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _id(name: str) -> str:
    done = subprocess.run(["docker", "image", "inspect", "--format={{.Id}}", name], capture_output=True, check=False)
    return done.stdout.decode().strip()


def _sources() -> str:
    """A digest of what goes into the images."""
    digest = hashlib.sha256()
    for root in (ROOT / source for source in SOURCES):
        for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
