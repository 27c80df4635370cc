"""Ours by the local lane, with the server as a process of this machine and in a hardened container; the raw loop."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting
from benchmarks.targets import Target

PROVIDERS = ("local", "docker")
MANY = {provider: make.ours_name(32, in_flight=2, transport="local", provider=provider) for provider in PROVIDERS}
WALLED = "32 lanes through a hardened container"
TARGETS = [
    Target(f"{WALLED}: of the local provider", (MANY["docker"],), MANY["local"], 0.97),
    Target(f"{WALLED}: of the raw loop in two processes", (MANY["docker"],), make.TWO, 0.88),
]


def contestants(setting: Setting) -> list[Contestant]:
    """32 lanes with two batches under way, and one lane in lock step; of each provider."""
    lanes = [(32, 2, make.TWO), (1, 1, make.ONE)]
    return [
        *(
            make.ours(setting, "rgb", count, ceiling, in_flight=flying, transport="local", provider=provider)
            for count, flying, ceiling in lanes
            for provider in PROVIDERS
        ),
        *make.ceilings("rgb", gymnasium=False),
    ]
