"""The HTTP baseline, and controls: what a clean binary protocol and what gRPC alone would make of it."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting

ORDER = 10


def contestants(setting: Setting) -> list[Contestant]:
    """OpenEnv as shipped, a WebSocket without JSON, gRPC without an environment."""
    return [
        *make.openenv(setting, "rgb", make.ONE, http=True),
        make.websocket(setting, "rgb", make.ONE),
        *make.bare_grpc(setting, "rgb", make.ONE),
    ]
