"""Builders of contestants that several questions have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import openenv_grpc as oe
from benchmarks.harness import Contestant
from benchmarks.peers import PeerUnavailable
from benchmarks.players.ours import OPTIONS, to_action
from benchmarks.processes import Server, start_servers
from benchmarks.setting import Setting
from benchmarks.targets import Target
from openenv_grpc.cli import GRPC_EXPERIMENTS
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.session.calls import Call
from openenv_grpc.specs import ArraySpec

PLAYERS, SERVERS = "benchmarks.players", "benchmarks.servers"
OPENENV = "OpenEnv, WebSocket"
ONE, TWO = "raw loop, 1 process", "raw loop, 2 processes"
GYMNASIUM = "Gymnasium, 1 environment"
STREAM = "bare grpcio, stream"
MANY = tuple(f"openenv-grpc, 32 lanes, {middle}local lane" for middle in ("", "2 in flight, ", "4 in flight, "))
POOL = "AtariVectorEnv, 32 lanes"
NO_WIRE = "shared memory"
"""In place of the contestant that sends the same bytes."""
TUNED = {"GRPC_EXPERIMENTS": GRPC_EXPERIMENTS}
"""How our server runs; a client's process only if its owner asks for it."""


def environment_of(world: str) -> str:
    """The name of our environment."""
    return "echo" if world == "echo" else "atari"


def openenv(setting: Setting, world: str, ceiling: str, *, plain: bool = True, http: bool = False) -> list[Contestant]:
    """OpenEnv as shipped over WebSocket; if asked, without deflate, and over HTTP."""
    note = "sync client; observation as a list, not an array"
    post = "a POST per step; the server builds the environment anew for each, so only a first step is compared"
    found = {("deflate", "websocket"): Contestant(OPENENV, note=note)}
    if plain:
        found["plain", "websocket"] = Contestant(f"{OPENENV}, no deflate", note=note)
    if http:
        found["deflate", "http"] = Contestant("OpenEnv, HTTP", check_steps=1, note=post)
    try:
        python = setting.peer("openenv")
    except PeerUnavailable as error:
        for contestant in found.values():
            contestant.skipped = str(error)
        return list(found.values())
    kinds = list(dict.fromkeys(kind for kind, _ in found))
    started = start_servers(setting.stack, [[f"{SERVERS}.openenv", world, kind] for kind in kinds], python)
    servers = dict(zip(kinds, started, strict=True))
    for (kind, transport), contestant in found.items():
        contestant.python, contestant.server, contestant.ceiling = python, servers[kind], ceiling
        contestant.client = [f"{PLAYERS}.openenv", servers[kind].address, world, transport]
    return list(found.values())


def websocket(setting: Setting, world: str, ceiling: str) -> Contestant:
    """The fair alternative to gRPC."""
    (server,) = start_servers(setting.stack, [[f"{SERVERS}.websocket", world]])
    return Contestant(
        "binary WebSocket, no deflate",
        [f"{PLAYERS}.websocket", server.address, world],
        server,
        ceiling=ceiling,
        note="control: raw bytes, asyncio server; no isolation: the environment runs in it",
    )


def bare_grpc(setting: Setting, world: str, ceiling: str) -> list[Contestant]:
    """What gRPC costs for the very bytes of our frames."""
    request, answer, _ = step_frames(setting, world)
    command = [[f"{SERVERS}.pingpong", str(len(answer))]]
    (server,), (tuned,) = start_servers(setting.stack, command), start_servers(setting.stack, command, variables=TUNED)
    note = f"control: {len(request)} bytes there, {len(answer):,} back, no environment; unix socket"

    def contestant(name: str, kind: str, server: Server, variables: dict[str, str]) -> Contestant:
        client = [f"{PLAYERS}.pingpong", server.address, kind, str(len(request))]
        return Contestant(name, client, server, ceiling=ceiling, reference=None, note=note, variables=variables)

    return [
        contestant(STREAM, "stream", server, {}),
        contestant(f"{STREAM}, both tuned", "stream", tuned, TUNED),
        contestant("bare grpcio, unary", "unary", server, {}),
    ]


def ours(
    setting: Setting,
    world: str,
    lanes: int,
    ceiling: str,
    *,
    tcp: bool = False,
    in_flight: int = 1,
    tuned: bool = False,
    transport: str = "grpc",
    cores: int | None = None,
    provider: str = "local",
) -> Contestant:
    """Our clients on the stream, as they are or in a process that is tuned for gRPC; or on the local lane."""
    name = ours_name(
        lanes, tcp=tcp, in_flight=in_flight, tuned=tuned, transport=transport, cores=cores, provider=provider
    )
    try:
        server = setting.ours(environment_of(world), tcp=tcp, cores=cores, provider=provider)
    except OpenEnvError as error:
        return Contestant(name, lanes=lanes, cores=cores, ceiling=ceiling, skipped=str(error))
    client = "EnvClient" if lanes == 1 else "VectorEnvClient, one session"
    unix = ours_name(lanes, in_flight=in_flight, tuned=tuned)
    return Contestant(
        name,
        [f"{PLAYERS}.ours", server.address, world, str(lanes), str(in_flight), transport],
        server,
        lanes,
        ceiling,
        f"{client}, lock step" if in_flight == 1 else f"VectorEnv, {in_flight} batches of {lanes // in_flight} lanes",
        cores=cores,
        wire_as=NO_WIRE if transport == "local" else unix if tcp else "",
        variables=TUNED if tuned else {},
    )


def ours_name(
    lanes: int,
    *,
    tcp: bool = False,
    in_flight: int = 1,
    tuned: bool = False,
    transport: str = "grpc",
    cores: int | None = None,
    provider: str = "local",
) -> str:
    """What `ours` is called."""
    way = "local lane" if transport == "local" else "TCP" if tcp else "unix"
    words = ["openenv-grpc", f"{lanes} lane{'s' * (lanes > 1)}", f"{in_flight} in flight" * (in_flight > 1)]
    words += ["tuned client" * tuned, way, "hardened container" * (provider == "docker")]
    return ", ".join(word for word in words if word) + _on(cores)


def many_lanes(setting: Setting, world: str) -> list[Contestant]:
    """32 lanes by the local lane: in lock step, and with more than one batch under way."""
    return [ours(setting, world, 32, TWO, in_flight=count, transport="local") for count in (1, 2, 4)]


def many_lanes_targets(game: str) -> list[Target]:
    """What they must reach."""
    start = f"32 lanes of {game}, local lane"
    return [
        Target(f"{start}: of the raw loop in two processes", MANY, TWO, 0.88, 0.95),
        Target(f"{start}: times AtariVectorEnv in process", MANY, POOL, 1.05, 1.2),
        Target(f"{start}: times EnvPool in process", MANY, "EnvPool, 32 lanes", 1.4, 1.7),
    ]


def ours_unary(setting: Setting, world: str, ceiling: str) -> Contestant:
    """Our server by unary calls."""
    server = setting.ours(environment_of(world))
    return Contestant(
        "openenv-grpc, unary, unix",
        [f"{PLAYERS}.unary", server.address, world],
        server,
        ceiling=ceiling,
        note="a minimal client of the benchmark's own: unary calls with the library's frames",
    )


def ceilings(world: str, *, gymnasium: bool = True) -> list[Contestant]:
    """The emulator in process: without any library, in one process and in two; and as Gymnasium has it."""
    gym = Contestant(GYMNASIUM, [f"{PLAYERS}.gym", world], ceiling=ONE)
    gym.note = "in process, its usual wrappers"
    return [raw(world, 1), raw(world, 2), *[gym] * gymnasium]


def raw(world: str, processes: int, cores: int | None = None) -> Contestant:
    """The emulator alone, in so many processes."""
    name = f"raw loop, {processes} process{'es' * (processes > 1)}{_on(cores)}"
    client = [f"{PLAYERS}.raw", world, str(processes)]
    note = "in process, no library"
    return Contestant(name, client, lanes=processes, ceiling=name, note=note, cores=cores)


def ale_pool(world: str, lanes: int, ceiling: str = TWO, cores: int | None = None) -> Contestant:
    """AtariVectorEnv, in process."""
    client = [f"{PLAYERS}.vectors", "ale", str(lanes), world]
    name = f"AtariVectorEnv, {lanes} lane{'s' * (lanes > 1)}{_on(cores)}"
    return Contestant(name, client, lanes=lanes, ceiling=ceiling, note="in process", cores=cores)


def _on(cores: int | None) -> str:
    return "" if cores is None else f", {cores} core{'s' * (cores > 1)}"


def envpool(setting: Setting, world: str, lanes: int) -> Contestant:
    """EnvPool, in process; it is compared with an emulator that does what it cannot do without."""

    def pooled(seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        from benchmarks.emulator import Emulator  # needs ale-py, which a machine without Atari may lack

        emulator = Emulator(world, pool=True)
        return [emulator.play(seed, each, noops=1) for seed, each in zip(seeds, actions, strict=True)]

    contestant = Contestant(f"EnvPool, {lanes} lanes", lanes=lanes, ceiling=TWO, reference=pooled)
    contestant.note = "in process; one no-op at reset, maximum of two screens (it can't do without): compared with that"
    try:
        contestant.python = setting.peer("envpool")
    except PeerUnavailable as error:
        contestant.skipped = str(error)
    contestant.client = [f"{PLAYERS}.vectors", "envpool", str(lanes), world]
    return contestant


class Exchange(NamedTuple):
    """The bytes that our client sends for a step and receives for it, and the columns of an observation."""

    request: bytes
    answer: bytes
    observation: Mapping[str, ArraySpec]


def step_frames(setting: Setting, world: str) -> Exchange:
    """Have a real server answer a step, and listen."""
    frames: list[bytes] = []

    with oe.connect(setting.ours(environment_of(world)).address, transport="grpc", **OPTIONS[world]) as env:
        env.reset(seed=0)
        carrier: Any = env._carrier
        send, receive = carrier.send, carrier.receive

        def note_sent(call: Call) -> None:
            frames.extend(call.frames)
            send(call)

        def note_received() -> bytes:
            frames.append(receive())
            return frames[-1]

        carrier.send, carrier.receive = note_sent, note_received
        env.step(to_action(world, 1))
        carrier.send, carrier.receive = send, receive
        return Exchange(*frames, env.spec.observation)
