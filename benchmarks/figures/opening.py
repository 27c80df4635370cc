"""What does it cost to open a session on a server that is warm?"""

from __future__ import annotations

import time

import openenv_grpc as oe
from benchmarks.figures import Figure
from benchmarks.setting import Setting
from benchmarks.targets import Target

ECHO = "open an echo session on a warm server"
TARGETS = [Target(ECHO, (ECHO,), "", 15.0, 10.0, at_most=True)]


def measure(setting: Setting, quick: bool) -> list[Figure]:
    """Milliseconds from `connect` to a client that can be reset; an end to the session follows untimed."""
    address = setting.ours("echo").address
    samples = []
    for _ in range(31 if quick else 101):
        start = time.perf_counter()
        env = oe.connect(address)
        samples.append((time.perf_counter() - start) * 1e3)
        env.close()
    return [Figure(ECHO, "ms", samples[1:], note="unix socket, connection and description included")]
