"""Everybody who can show memory."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting


def contestants(setting: Setting) -> list[Contestant]:
    """OpenEnv, controls, ours, ceilings."""
    return [
        *make.openenv(setting, "ram", make.ONE, plain=False),
        make.websocket(setting, "ram", make.ONE),
        make.ours(setting, "ram", 1, make.ONE),
        make.ours(setting, "ram", 8, make.TWO),
        make.ours(setting, "ram", 32, make.TWO),
        *make.ceilings("ram"),
    ]
