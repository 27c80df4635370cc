"""What do hardened containers cost to start, to hold ready, and to keep? Against the engine's own `docker run`.

It needs a Docker engine and the images that `openenv-grpc build` makes of `echo` and `atari`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import openenv_grpc as oe
from benchmarks.figures import Figure
from benchmarks.setting import Setting
from benchmarks.targets import Target
from openenv_grpc.errors import OpenEnvError

COLD = "cold hardened container until the first observation: times docker run until healthy"
CLAIM = "echo: claim from the warm pool until the first observation"
IDLE = "memory of an idle hardened echo container"
SIZES = {"echo": 60.0, "atari": 120.0}
"""MB that an image may add to its base."""
TARGETS = [
    Target(COLD, (COLD,), "", 1.5, at_most=True),
    Target(CLAIM, (CLAIM,), "", 40.0, 25.0, at_most=True),
    Target(IDLE, (IDLE,), "", 60.0, 35.0, at_most=True),
    *(
        Target(f"image of {name}", (f"image of {name}, beyond its base",), "", most, at_most=True)
        for name, most in SIZES.items()
    ),
]
TURNS, QUICK_TURNS = 9, 3
FIFTY = 50
LOOK_S = 0.01
HEALTH_EVERY_NS = 100_000_000


def measure(setting: Setting, quick: bool) -> list[Figure]:
    """All of them; where there is no engine or no image, each says so."""
    names = [target.rows[0] for target in TARGETS]
    try:
        engine = _engine()
    except Exception as missing:  # noqa: BLE001 - whatever the SDK and the engine say, it is the reader's to judge
        return [Figure(name, "", (), skipped=f"no Docker engine: {missing}") for name in names]
    turns = QUICK_TURNS if quick else TURNS
    work: dict[str, Callable[[], list[Figure]]] = {
        COLD: lambda: _cold(engine, turns),
        CLAIM: lambda: _claim(5 * turns),
        IDLE: lambda: _idle(engine, turns),
        **{f"image of {name}, beyond its base": lambda name=name: _size(engine, name) for name in SIZES},
        **({} if quick else {f"{FIFTY} hardened echo containers, up and stepped": lambda: _fifty(engine)}),
    }
    found = []
    for name, each in work.items():
        try:
            found += each()
        except OpenEnvError as error:
            found.append(Figure(name, "", (), skipped=str(error)))
    return found


def _engine() -> Any:
    import docker

    return docker.from_env(timeout=120)


def _image(engine: Any, name: str) -> Any:
    try:
        return engine.images.get(f"openenv-{name}")
    except Exception as missing:  # noqa: BLE001 - as above
        msg = f"build it first (openenv-grpc build {name}): {missing}"
        raise OpenEnvError(msg) from None


def _cold(engine: Any, turns: int) -> list[Figure]:
    """In turns, so that both see the same machine."""
    ours, bare = [], []
    for _ in range(turns):
        bare.append(_bare_run(engine))
        ours.append(_first_observation())
    note = "echo; bare: engine's defaults, the image's own health check every 0.1 s"
    ratios = [mine / other for mine, other in zip(ours, bare, strict=True)]
    return [
        Figure("cold hardened container until the first observation", "s", ours, note="echo"),
        Figure("docker run of the same image until healthy", "s", bare, note=note),
        Figure(COLD, "×", ratios, note="pairs, in turns"),
    ]


def _first_observation() -> float:
    start = time.perf_counter()
    env = oe.make("echo", provider="docker")
    try:
        env.reset()
        return time.perf_counter() - start
    finally:
        env.close()


def _bare_run(engine: Any) -> float:
    check = {**_image(engine, "echo").attrs["Config"]["Healthcheck"], "Interval": HEALTH_EVERY_NS}
    start = time.perf_counter()
    container = engine.containers.run("openenv-echo", detach=True, healthcheck=check)
    try:
        while engine.api.inspect_container(container.id)["State"]["Health"]["Status"] != "healthy":
            time.sleep(LOOK_S)
        return time.perf_counter() - start
    finally:
        container.remove(force=True)


def _claim(times: int) -> list[Figure]:
    """Each from a pool that is full, and nothing starts meanwhile: what refilling costs is told by cold starts."""
    from openenv_grpc.providers.base import EnvironmentSource, find_provider
    from openenv_grpc.providers.docker.pool import DockerPool
    from openenv_grpc.providers.running import run

    provider: Any = find_provider("docker")
    pool = DockerPool(provider, EnvironmentSource("echo"), size=2)
    samples = []
    try:
        for _ in range(times):
            run(pool.fill())
            start = time.perf_counter()
            env = oe.make("echo", provider=pool)
            env.reset()
            samples.append((time.perf_counter() - start) * 1e3)
            env.close()
    finally:
        run(pool.close())
    return [Figure(CLAIM, "ms", samples, note="strict: a container for each claim; one was paused, and waited")]


def _idle(engine: Any, turns: int) -> list[Figure]:
    samples = []
    for _ in range(turns):
        with _containers(1) as (lease,):
            time.sleep(0.5)
            samples.append(_memory_mb(engine, lease))
    return [Figure(IDLE, "MB", samples, note="of its memory cgroup, without cache that may go: as `docker stats`")]


def _memory_mb(engine: Any, lease: Any) -> float:
    found = engine.api.stats(lease.details["container"], stream=False)["memory_stats"]
    facts = found["stats"]
    cache: int = facts.get("total_inactive_file", facts.get("inactive_file", 0))
    return float(found["usage"] - cache) / 1e6


def _size(engine: Any, name: str) -> list[Figure]:
    """The base is the largest image whose layers are the first of its own."""
    image = _image(engine, name)
    layers = image.attrs["RootFS"]["Layers"]

    def is_below(other: Any) -> bool:
        theirs = other.attrs["RootFS"].get("Layers") or []
        return bool(theirs) and len(theirs) < len(layers) and layers[: len(theirs)] == theirs

    base = max((other.attrs["Size"] for other in engine.images.list() if is_below(other)), default=0)
    if not base:
        msg = "its base is not here any more"
        raise OpenEnvError(msg)
    note = f"{image.attrs['Size'] / 1e6:.0f} MB with its base"
    return [Figure(f"image of {name}, beyond its base", "MB", [(image.attrs["Size"] - base) / 1e6], note=note)]


def _fifty(engine: Any) -> list[Figure]:
    start = time.perf_counter()
    with _containers(FIFTY) as leases:
        for lease in leases:
            with oe.connect(lease.address) as env:
                env.reset()
                env.step("here")
        took = time.perf_counter() - start
        memory = sum(_memory_mb(engine, lease) for lease in leases)
    note = f"one session each, one after the other; memory of all {memory:,.0f} MB"
    return [Figure(f"{FIFTY} hardened echo containers, up and stepped", "s", [took], note=note)]


@contextlib.contextmanager
def _containers(count: int) -> Iterator[list[Any]]:
    """So many hardened echo containers, started together."""
    from concurrent.futures import ThreadPoolExecutor

    from openenv_grpc.providers.base import EnvironmentSource, find_provider
    from openenv_grpc.providers.running import start

    provider = find_provider("docker")
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(start, provider, EnvironmentSource("echo"), 300.0) for _ in range(count)]
        leases = []
        for job in jobs:
            leases.append(job.result())
            stack.callback(leases[-1].destroy)
        yield leases
