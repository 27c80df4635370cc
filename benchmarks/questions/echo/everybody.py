"""Everybody who can echo."""

from __future__ import annotations

from benchmarks import contestants as make
from benchmarks.harness import Contestant
from benchmarks.setting import Setting
from benchmarks.targets import Target

TARGETS = [
    Target(
        "echo, 1 lane: of a bare grpcio ping-pong of the same bytes",
        ("openenv-grpc, 1 lane, unix",),
        make.STREAM,
        0.6,
        0.7,
    ),
    Target(
        "echo, 1 lane, local lane: times a bare grpcio ping-pong of the same bytes",
        ("openenv-grpc, 1 lane, local lane",),
        make.STREAM,
        1.6,
        3,
    ),
]


def contestants(setting: Setting) -> list[Contestant]:
    """OpenEnv, controls, ours."""
    return [
        *make.openenv(setting, "echo", make.STREAM),
        make.websocket(setting, "echo", make.STREAM),
        *make.bare_grpc(setting, "echo", make.STREAM),
        make.ours_unary(setting, "echo", make.STREAM),
        make.ours(setting, "echo", 1, make.STREAM),
        make.ours(setting, "echo", 1, make.STREAM, tuned=True),
        make.ours(setting, "echo", 1, make.STREAM, tcp=True),
        make.ours(setting, "echo", 1, make.STREAM, transport="local"),
    ]
