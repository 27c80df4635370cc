"""Ours over gRPC, frames in line."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting
from benchmarks.targets import Target

ORDER = 30
ONE_LANE = "openenv-grpc, 1 lane, unix"
TARGETS = [
    Target("1 lane in lock step: times OpenEnv's WebSocket client", (ONE_LANE,), make.OPENENV, 15, 20),
    Target("1 lane in lock step: of the loop in process", (ONE_LANE,), make.ONE, 0.27, 0.33),
    *(
        Target(
            f"32 lanes in one session, in line, {transport}: of the raw loop in two processes",
            (f"openenv-grpc, 32 lanes, {transport}", f"openenv-grpc, 32 lanes, 4 in flight, {transport}"),
            make.TWO,
            must,
            0.6,
        )
        for transport, must in (("unix", 0.47), ("TCP", 0.43))
    ),
]


def contestants(setting: Setting) -> list[Contestant]:
    """One lane, and many in one session."""
    found = [make.ours_unary(setting, "rgb", make.ONE)]
    for lanes, in_flight in ((1, 1), (8, 1), (32, 1), (32, 4)):
        ceiling = make.ONE if lanes == 1 else make.TWO
        found += [make.ours(setting, "rgb", lanes, ceiling, tcp=tcp, in_flight=in_flight) for tcp in (False, True)]
        if lanes != 8:
            found.append(make.ours(setting, "rgb", lanes, ceiling, in_flight=in_flight, tuned=True))
    return found
