"""Fuzz targets for a while, one process each after the other, and say what came of it.

    scripts/fuzz [--minutes N] [--inputs N] [--target NAME]... [--engine random|atheris] [--seed N]

Exits with 1 when there were findings. Each finding is an input in a file, with its traceback beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = (
    "packet",
    "lane",
    "values",
    "errors",
    "records",
    "columns",
    "request_frame",
    "response_frame",
    "describe",
    "spaces",
    "sequences",
)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run_target(name: str, directory: Path, seconds: float, inputs: int, engine: str, seed: int) -> int:
    """Fuzz one target in a process of its own; answers how many findings there were."""
    directory.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(directory), str(seconds), str(inputs)]
    with (directory / "log").open("w") as log:
        ended = subprocess.run(
            [*command, "--engine", engine, "--seed", str(seed)], stdout=log, stderr=subprocess.STDOUT, check=False
        )
    path = directory / "figures.json"
    figures = json.loads(path.read_text()) if path.exists() else {"inputs": 0, "seconds": 0.0, "findings": {}}
    findings = dict(figures["findings"])
    if ended.returncode != 0:
        findings[f"the process ended with {ended.returncode}; its last input is in `current`, see `log`"] = 1
    rate = figures["inputs"] / figures["seconds"] if figures["seconds"] else 0.0
    speed = f"{figures['seconds']:>8.1f} s {rate:>8,.0f}/s"
    _say(f"{name:15} {figures['inputs']:>10,} inputs {speed} {len(findings):>3} findings")
    for place, times in findings.items():
        _say(f"    {place} (x{times})")
    return len(findings)


def main() -> int:
    """Fuzz the targets that the command line names."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzz the wire.")
    parser.add_argument("--minutes", type=float, help="for each target (default: 1, unless --inputs says when to end)")
    parser.add_argument("--inputs", type=int, help="at most, for each target")
    parser.add_argument("--target", action="append", choices=TARGETS, help="may be repeated (default: all)")
    parser.add_argument("--engine", choices=("random", "atheris"), default="random", help="default: random")
    parser.add_argument("--seed", type=int, default=1, help="other seeds make other inputs (default: 1)")
    given = parser.parse_args()
    minutes = given.minutes or (1 if given.inputs is None else 1 << 20)
    inputs = 1 << 62 if given.inputs is None else given.inputs
    directory = Path(tempfile.mkdtemp(prefix="openenv-fuzz-"))
    _say(f"Findings go to {directory}")
    found = [
        run_target(name, directory / name, minutes * 60, inputs, given.engine, given.seed)
        for name in given.target or TARGETS
    ]
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
