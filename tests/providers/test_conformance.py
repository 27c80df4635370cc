"""What every provider must do: the same cases for all of them."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import openenv_grpc as oe
from openenv_grpc.errors import OpenEnvError, ServerFull, ServerUnavailable, SessionLost, Unauthenticated
from openenv_grpc.providers.base import LeaseState
from openenv_grpc.providers.running import start_async
from tests.helpers.processes import descriptors, listens, until


def test_a_lease_from_its_beginning_to_its_end(subject: Any):
    lease = subject.create(labels={"run": "one"})
    assert subject.status(lease.id).state is LeaseState.RUNNING
    assert lease.generation == 1
    assert lease.isolation is not None
    with oe.connect(lease.address) as env:
        env.reset(seed=1)
        assert env.step("hi").observation.message == "hi"
    lease.destroy()
    assert subject.status(lease.id).state is LeaseState.GONE
    assert not subject.remains()


def test_destroying_twice_and_what_was_never_there(subject: Any):
    lease = subject.create()
    lease.destroy()
    lease.destroy()
    for unknown in (lease.id, "nope", ""):
        assert subject.status(unknown).state is LeaseState.GONE
        assert subject.logs(unknown) == ""


def test_a_list_by_labels(subject: Any):
    one, two = subject.create(labels={"run": "a", "kind": "x"}), subject.create(labels={"run": "b", "kind": "x"})
    assert one.id != two.id
    assert set(subject.list()) == set(subject.list(kind="x")) == {one.id, two.id}
    assert subject.list(run="a", kind="x") == [one.id]
    assert subject.list(run="c") == []
    one.destroy()
    assert subject.list() == [two.id]
    subject.close()
    assert subject.list() == []


def test_only_its_owner_can_reach_it(subject: Any):
    lease = subject.create()
    directory = Path(lease.address.removeprefix("unix:")).parent
    status = directory.stat()
    assert (status.st_mode & 0o777, status.st_uid) == (0o700, os.geteuid())


def test_tcp_with_a_token(subject: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENENV_TOKEN", "of-another-server")
    lease = subject.create(tcp=True, labels={"run": "tcp"})
    assert lease.address.startswith("127.0.0.1:")
    assert len(lease.token) >= 32
    for shown in (repr(lease), lease.address, *lease.details.values(), subject.logs(lease.id)):
        assert lease.token not in shown
    for token in (None, lease.token[:-1], "of-another-server"):
        with pytest.raises(Unauthenticated, match="asks for a token"):
            oe.connect(lease.address, token=token)
    with (
        oe.connect_vec(lease.address, 2, token=lease.token) as many,
        oe.connect(lease.address, token=lease.token) as env,
    ):
        for seed in (1, 2):
            env.reset(seed=seed)
            assert env.step("hi" * 100_000).observation.message == "hi" * 100_000
        many.reset(seed=1)
        assert list(many.step(["a", "b"])[0]["message"]) == ["a", "b"]
        assert (env.transport, many.client.transport) == ("grpc", "grpc")
    lease.destroy()
    assert not listens(lease.address)
    assert not subject.remains()


def test_limits_reach_the_server(subject: Any):
    lease = subject.create(limits={"sessions": 1, "step_time_s": 2.5})
    with oe.connect(lease.address) as env:
        assert (env.limits.sessions, env.limits.step_time_s) == (1, 2.5)
        with pytest.raises(ServerFull):
            oe.connect(lease.address)


def test_a_server_that_does_not_start_says_why(subject: Any):
    with pytest.raises(ServerUnavailable, match=r"exit code 1; the end of its log:\n(.*\n)*.*no such limit"):
        subject.create(limits={"nope": 1})
    assert not subject.remains()


def test_a_start_that_takes_too_long(subject: Any):
    began = time.monotonic()
    with pytest.raises(ServerUnavailable, match="in time"):
        subject.create(timeout_s=0.05)
    assert time.monotonic() - began < 5
    assert not subject.remains()


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.3])
def test_a_cancelled_start_leaves_nothing(subject: Any, after_s: float):
    async def main() -> None:
        starting = asyncio.ensure_future(start_async(subject.provider, subject.source))
        await asyncio.sleep(after_s)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(main())
    until(lambda: not subject.remains() and not subject.list(), 10, "the end of all that was begun")


def test_a_killed_server(subject: Any):
    lease = subject.create()
    with oe.connect(lease.address) as env:
        env.reset()
        subject.kill(lease)
        began = time.monotonic()
        until(lambda: subject.status(lease.id).state is LeaseState.ENDED)
        with pytest.raises(SessionLost):
            env.step("x")
        assert time.monotonic() - began < 10
    status = until(lambda: (found := subject.status(lease.id)).state is LeaseState.ENDED and found)
    assert "137" in status.reason or "signal 9" in status.reason
    lease.destroy()
    assert not subject.remains()


def test_logs(subject: Any):
    lease = subject.create()
    with oe.connect(lease.address) as env, pytest.raises(OpenEnvError):
        env.step("before any reset")
    assert subject.logs(lease.id, 0).count("\n") <= 1
    assert isinstance(subject.logs(lease.id, 5), str)


def test_several_at_the_same_time(subject: Any):
    with ThreadPoolExecutor(6) as threads:
        leases = list(threads.map(lambda _: subject.create(), range(6)))
        assert len({lease.id for lease in leases} & {*subject.list()}) == len({lease.address for lease in leases}) == 6
        for lease in leases:
            with oe.connect(lease.address) as env:
                env.reset()
        list(threads.map(lambda lease: lease.destroy(), leases))
    assert not subject.remains()


def test_nothing_grows(subject: Any):
    subject.create().destroy()
    subject.warm()
    before = descriptors(os.getpid())
    for _ in range(3):
        lease = subject.create()
        with oe.connect(lease.address) as env:
            env.reset()
        lease.destroy()
    until(lambda: descriptors(os.getpid()) <= before, what="the end of all descriptors")
