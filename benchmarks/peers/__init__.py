"""Other people's packages, pinned, each in a virtual environment of its own under `build/`.

`python_of("openenv")` makes the environment on first use and says why where it can't: the benchmark then shows a row
that was skipped, with the reason. Standard library alone: programs in these environments import this package too.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "peers"
INSTALL_TIMEOUT_S = 900


class PeerUnavailable(RuntimeError):
    """A peer's packages can't be had here; the message says why."""


def python_of(peer: str, tell: Callable[[str], None], build: Path = BUILD, requirements: Path = HERE) -> str:
    """The interpreter of a peer's environment, made if it is missing or was made from other requirements.

    Args:
        peer: Name of a file of requirements, without its suffix.
        tell: Takes a line for the reader before something slow begins.
        build: Where environments lie.
        requirements: Where files of requirements lie.

    Raises:
        PeerUnavailable: It can't be installed.
    """
    wanted_file = requirements / f"{peer}.txt"
    directory = build / f"{peer}-{sys.version_info.major}.{sys.version_info.minor}"
    stamp, python = directory / "installed-from.txt", directory / "bin" / "python"
    wanted = wanted_file.read_text()
    if stamp.is_file() and stamp.read_text() == wanted and python.exists():
        return str(python)
    tell(f"first use: installing {peer} into {directory} (a minute or two)")
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(directory)], peer)
    _run(
        [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-input",
            "-r",
            str(wanted_file),
        ],
        peer,
    )
    stamp.write_text(wanted)
    return str(python)


def _run(command: list[str], peer: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        msg = f"{peer} was not installed within {INSTALL_TIMEOUT_S} s"
        raise PeerUnavailable(msg) from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [done.stderr[-300:].strip()]
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        msg = f"{peer} can't be installed for Python {version}: {errors[-1]}"
        raise PeerUnavailable(msg)
