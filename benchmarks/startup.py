"""What does it cost to import a client, and to open a session?"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

import openenv_grpc as oe
from openenv_grpc.providers.base import EnvironmentSource
from openenv_grpc.providers.local import LocalProvider

_IMPORT = """
import sys, time
start = time.perf_counter()
import openenv_atari
if "client" in sys.argv:
    openenv_atari.AtariEnv
seconds = time.perf_counter() - start
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(seconds, int(peak.split()[1]) / 1024)
"""


def import_cost(*args: str, times: int = 9) -> dict[str, Any]:
    """Median seconds and MB of importing the typed Atari package in a fresh interpreter."""
    found = []
    for _ in range(times):
        output = subprocess.run([sys.executable, "-c", _IMPORT, *args], capture_output=True, text=True, check=True)
        found.append([float(word) for word in output.stdout.split()])
    seconds, megabytes = zip(*found, strict=True)
    return {"seconds": round(statistics.median(seconds), 3), "rss_mb": round(statistics.median(megabytes), 1)}


def open_cost(times: int = 50) -> dict[str, Any]:
    """Median and worst milliseconds from `connect` to a client that can be reset, on a warm echo server."""
    lease = LocalProvider().create(EnvironmentSource("echo"))
    found = []
    try:
        for _ in range(times):
            start = time.perf_counter()
            env = oe.connect(lease.address)
            found.append((time.perf_counter() - start) * 1e3)
            env.close()
    finally:
        lease.destroy()
    return {"median_ms": round(statistics.median(found), 2), "max_ms": round(max(found), 2)}


def measure() -> dict[str, Any]:
    """All of it."""
    return {
        "import openenv_atari (types)": import_cost(),
        "import openenv_atari and its client": import_cost("client"),
        "open an echo session on a warm server": open_cost(),
    }
