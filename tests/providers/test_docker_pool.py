"""Pools of warm containers: nobody gets another's, nothing is left, and those who wait hear why."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

import openenv_grpc as oe
from openenv_grpc.errors import InvalidArgument, ServerFull, ServerUnavailable, Unauthenticated
from openenv_grpc.providers.base import EnvironmentSource, Lease, LeaseState
from openenv_grpc.providers.docker import DockerProvider, box
from openenv_grpc.providers.docker.pool import DockerPool, pool_of
from openenv_grpc.providers.running import run
from tests.helpers.containers import engine
from tests.helpers.processes import until
from tests.providers.conftest import IMAGE, Docker

pytestmark = pytest.mark.docker
SOURCE = EnvironmentSource("echo", image=IMAGE)


class Pool:
    """A pool with the calls of a caller that waits."""

    def __init__(self, docker: Docker, size: int, tcp: bool = False, **arguments: Any) -> None:
        self.source = replace(SOURCE, tcp=tcp)
        self.pool = DockerPool(docker.docker, self.source, size, **arguments)
        run(self.pool.fill())

    def take(self, timeout_s: float = 60.0, **changes: Any) -> Lease:
        return run(self.pool.create(replace(self.source, **changes), time.monotonic() + timeout_s))

    def wait_until_full(self) -> None:
        until(lambda: len(self.pool._ready) >= self.pool._size and not self.pool._starting, 60, "a full pool")


Making = Callable[..., Pool]


@pytest.fixture
def make(docker: Docker) -> Iterator[Making]:
    made: list[Pool] = []

    def make(size: int, **arguments: Any) -> Pool:
        made.append(Pool(docker, size, **arguments))
        return made[-1]

    yield make
    for pool in made:
        run(pool.pool.close())


def state_of(lease: Lease) -> str:
    return engine("inspect", "--format", "{{.State.Status}}", lease.details["container"])


def use(lease: Lease) -> None:
    with oe.connect(lease.address, token=lease.token) as env:
        env.reset(seed=1)
        assert env.step("hi").observation.message == "hi"


def test_warm_containers_are_paused_and_wake(make: Making, docker: Docker):
    pool = make(2)
    assert {run(docker.docker.status(lease_id)).state for lease_id in docker.list()} == {LeaseState.PAUSED}
    lease = pool.take(labels={"run": "r"})
    assert state_of(lease) == "running"
    assert run(pool.pool.status(lease.id)).state is LeaseState.RUNNING
    assert [found.id for found in run(pool.pool.list({"run": "r"}))] == [lease.id]
    use(lease)
    pool.wait_until_full()
    lease.destroy()
    lease.destroy()
    assert run(pool.pool.status(lease.id)).state is LeaseState.GONE
    assert lease.details["container"] not in engine("ps", "--all", "--format", "{{.Names}}")


def test_a_container_is_nobodys_twice(make: Making):
    pool = make(2)
    with ThreadPoolExecutor(6) as threads:

        def play(_: int) -> str:
            lease = pool.take()
            use(lease)
            lease.destroy()
            return lease.details["container"]

        used = list(threads.map(play, range(8)))
    assert len(set(used)) == 8


def test_another_source_is_refused(make: Making):
    pool = make(0)
    with pytest.raises(InvalidArgument, match="the pool has containers of"):
        pool.take(image="other")
    with pytest.raises(InvalidArgument, match="cannot be"):
        make(3, most=2)


def test_back_pressure(make: Making):
    pool = make(1, most=1, waiting=1)
    lease = pool.take()
    with pytest.raises(ServerFull, match="came free in time"):
        pool.take(timeout_s=0.2)
    with ThreadPoolExecutor(2) as threads:
        waiting = threads.submit(pool.take)
        until(lambda: len(pool.pool._line) == 1)
        with pytest.raises(ServerFull, match="wait already") as caught:
            pool.take()
        assert caught.value.retry_after_s
        lease.destroy()
        other = waiting.result(60)
        assert other.details["container"] != lease.details["container"]


def test_a_warm_container_that_died_is_passed_over(make: Making, docker: Docker):
    pool = make(2)
    first = pool.pool._ready[0].base
    docker.kill(first)
    lease = pool.take()
    assert lease.details["container"] != first.details["container"]
    use(lease)


def test_those_who_wait_hear_why_nothing_starts(docker: Docker):
    pool = DockerPool(docker.docker, replace(SOURCE, limits={"nope": 1}), 1)
    with pytest.raises(ServerUnavailable, match="no such limit"):
        run(pool.create(replace(SOURCE, limits={"nope": 1}), time.monotonic() + 60))
    run(pool.close())


def test_closing_ends_those_who_wait(make: Making):
    pool = make(1, most=1)
    lease = pool.take()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.take)
        until(lambda: pool.pool._line)
        run(pool.pool.close())
        with pytest.raises(ServerUnavailable, match="closed"):
            waiting.result(10)
    lease.destroy()
    with pytest.raises(ServerUnavailable, match="closed"):
        pool.take()


def test_dense(make: Making):
    pool = make(1, sessions=2)
    one, two, three = pool.take(), pool.take(), pool.take()
    assert one.details["container"] == two.details["container"] != three.details["container"]
    assert len({one.id, two.id, three.id}) == 3
    one.destroy()
    use(two)
    two.destroy()
    until(lambda: one.details["container"] not in engine("ps", "--all", "--format", "{{.Names}}"))
    use(three)


def test_tcp(make: Making):
    pool = make(1, tcp=True)
    one, two = pool.take(), pool.take()
    assert one.address != two.address
    assert one.token != two.token
    use(one)
    with pytest.raises(Unauthenticated):
        oe.connect(two.address, token=one.token)
    one.destroy()
    with pytest.raises(ServerUnavailable, match="no server answers"):
        oe.connect(one.address, token=one.token)
    use(two)
    with pytest.raises(InvalidArgument, match="the pool has containers of"):
        pool.take(tcp=False)


def test_tcp_dense(make: Making):
    pool = make(1, tcp=True, sessions=2)
    one, two = pool.take(), pool.take()
    assert (one.address, one.token) == (two.address, two.token)
    use(one)
    one.destroy()
    use(two)


class TestReuse:
    """`reuse=True`."""

    def test_not_with_tcp(self, make: Making):
        with pytest.raises(InvalidArgument, match="no reuse=True with tcp=True"):
            make(0, tcp=True, reuse=True)

    def test_a_clean_container_comes_back_at_another_address(self, make: Making):
        pool = make(1, most=1, reuse=True)
        one = pool.take()
        use(one)
        one.destroy()
        two = pool.take()
        assert two.details["container"] == one.details["container"]
        assert (one.generation, two.generation) == (1, 2)
        assert one.address != two.address
        with pytest.raises(ServerUnavailable, match="no such socket"):
            oe.connect(one.address)
        one.destroy()  # of a generation that is over
        use(two)
        two.destroy()
        use(pool.take())

    @pytest.mark.parametrize(
        "dirt",
        [("touch", "/tmp/x"), ("touch", "/dev/shm/x"), ("touch", "/run/openenv/x"), ("sleep", "60")],
        ids=["tmp", "shm", "box", "process"],
    )
    def test_one_that_is_not_clean_is_destroyed(self, make: Making, dirt: tuple[str, ...]):
        pool = make(1, most=1, reuse=True)
        one = pool.take()
        engine("exec", *(["--detach"] if dirt[0] == "sleep" else []), one.details["container"], *dirt)
        until(lambda: dirt[0] == "touch" or "sleep" in engine("top", one.details["container"]))
        one.destroy()
        assert pool.take().details["container"] != one.details["container"]

    def test_one_with_an_open_session_is_destroyed(self, make: Making):
        pool = make(1, most=1, reuse=True)
        one = pool.take()
        env = oe.connect(one.address)
        env.reset()
        one.destroy()
        assert pool.take().details["container"] != one.details["container"]
        env.close()


def test_make_takes_from_a_pool(named: str, docker: Docker):
    pool = DockerPool(docker.docker, EnvironmentSource(named), 1)
    with oe.make(named, provider="docker", pool=pool) as env:
        assert env.isolation is not None
        assert env.isolation.profile == "hardened"
        env.reset()
    run(pool.close())
    with oe.make(named, provider="docker", pool=1) as env:
        env.reset()
    run(pool_of(DockerProvider(), EnvironmentSource(named), 1).close())
    with pytest.raises(InvalidArgument, match="only provider='docker'"):
        oe.make("echo", pool=2)


def test_nothing_is_left_behind(make: Making, docker: Docker):
    pool = make(2)
    pool.take()
    run(pool.pool.close())
    assert not docker.remains()
    assert not [found for found in box.find_boxes() if str(os.getpid()) in found.owner]
