"""Nothing outlives its owner, whoever is killed: client, guardian, container; and nothing races."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

import openenv_grpc as oe
from openenv_grpc.providers.docker import box, reaper
from openenv_grpc.providers.docker.engine import connect
from openenv_grpc.providers.owner import is_gone, owner_id, pid_of
from tests.cli.running import Cli
from tests.helpers.containers import engine, image_like, python
from tests.helpers.packages import ROOT, environ
from tests.helpers.processes import alive, listens, until
from tests.providers.conftest import IMAGE, Docker

pytestmark = pytest.mark.docker

OWNER = """
import json, sys, time
from openenv_grpc.providers.base import EnvironmentSource, find_provider
from openenv_grpc.providers.running import start
import openenv_grpc as oe

lease = start(find_provider("docker"), EnvironmentSource("echo", image=sys.argv[1], tcp=sys.argv[2] == "forked"))
env = oe.connect(lease.address, token=lease.token)
env.reset()
print(json.dumps({**lease.details, "address": lease.address}), flush=True)
if sys.argv[2] == "forked":
    import os
    if os.fork() == 0:
        time.sleep(8)
        os._exit(0)
time.sleep(60)
"""


class Owner:
    """Another process that owns a container."""

    def __init__(self, doing: str = "nothing", image: str = IMAGE) -> None:
        command = [sys.executable, "-c", OWNER, image, doing]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ(), cwd=ROOT)
        assert self.process.stdout is not None
        self.name = owner_id(self.process.pid)
        self.details: dict[str, str] = json.loads(self.process.stdout.readline())
        self.container = self.details["container"]
        self.directory = Path(self.details["directory"])
        assert self.directory.is_dir()

    @property
    def guardian(self) -> int:
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if "openenv_grpc.providers.guardian" in line and self.name in line:
                return int(process.pid)
        return 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def running(self) -> bool:
        return bool(engine("ps", "--quiet", "--filter", f"name={self.container}"))

    def there(self) -> bool:
        return bool(engine("ps", "--all", "--quiet", "--filter", f"name={self.container}")) or self.directory.exists()


@pytest.fixture
def owner() -> Iterator[Owner]:
    found = Owner()
    yield found
    found.kill()
    until(lambda: not found.there(), 15, "the end of the container")


def test_an_owner_that_is_killed(owner: Owner):
    guardian = until(lambda: owner.guardian)
    assert psutil.Process(guardian).ppid() != owner.process.pid
    owner.kill()
    until(lambda: not owner.there(), 10, "the end of the container")
    until(lambda: not alive([guardian]), 10, "the end of its guardian")


def test_a_container_ends_with_its_owner_when_nobody_else_sees_to_it(owner: Owner):
    """The lifeline alone. What is left is for the next reaper, which may be that of a test beside this one."""
    os.kill(owner.guardian, signal.SIGKILL)
    owner.kill()
    until(lambda: not owner.running(), 10, "the end of the container")
    reaper.reap(connect())
    assert not owner.there()


def test_a_paused_container_ends_with_its_owner(owner: Owner):
    """It does not heed the lifeline."""
    engine("pause", owner.container)
    owner.kill()
    until(lambda: not owner.there(), 10, "the end of the container")


def test_a_paused_container_without_a_guardian_is_the_next_providers(owner: Owner, docker: Docker):
    """Nobody else could: it does not hear its lifeline. The next may be that of a test that runs beside this one."""
    os.kill(owner.guardian, signal.SIGKILL)
    engine("pause", owner.container)
    owner.kill()
    docker.create()
    until(lambda: not owner.there(), 10, "the end of the container")


def test_a_container_that_ignores_its_lifeline():
    stubborn = "import runpy, signal, sys, threading, time, os; os._exit = lambda *_: time.sleep(99)"
    code = f"""{stubborn}
import openenv_grpc.server.app as app
app.App._on_lifeline = lambda self: __import__("asyncio").get_running_loop().remove_reader(self.config.lifeline)
from openenv_grpc.cli import main
main(["serve", "echo", *sys.argv[1:]])
"""
    with image_like(IMAGE, python(code)) as image:
        owner = Owner(image=image)
        owner.kill()
        until(lambda: not owner.there(), 10, "the end of the container")


def test_a_forked_child_does_not_keep_it_alive():
    """Neither the container, nor the port that it is reached by."""
    owner = Owner("forked")
    address = owner.details["address"]
    assert listens(address)
    owner.kill()
    until(lambda: not listens(address), 2, "the end of the port")
    until(lambda: not owner.there(), 6, "the end of the container")


def my_guardians() -> list[int]:
    """Those of this process at the machine's engine; other tests may have others."""
    last = [owner_id(), os.environ.get("DOCKER_HOST", "")]
    return [p.pid for p in psutil.process_iter(["cmdline"]) if (p.info["cmdline"] or [])[-2:] == last]


def test_a_guardian_that_is_killed_is_replaced(docker: Docker):
    docker.create()
    (mine,) = my_guardians()
    os.kill(mine, signal.SIGKILL)
    until(lambda: not alive([mine]))
    docker.create()
    (again,) = my_guardians()
    assert again != mine


def test_a_container_ends_when_its_time_has_come():
    docker = Docker(ttl_s=20.0)  # it must have started by then, on a busy machine too
    lease = docker.create()
    with oe.connect(lease.address) as env:
        env.reset()
    assert lease.expires is not None
    until(lambda: not docker.remains(), 40, "the end of the container")
    assert time.time() > lease.expires
    lease.destroy()
    docker.close()


def test_the_commands(owner: Owner, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    shown = Cli(capsys)("ps").out
    line = next(line for line in shown.splitlines() if owner.container in line)
    assert f"pid {owner.process.pid}" in line
    assert "hardened" in line
    Cli(capsys)("reap")
    assert owner.running()  # it has an owner
    os.kill(owner.guardian, signal.SIGKILL)
    owner.kill()
    assert f"ended {owner.container}" in Cli(capsys)("reap").out
    assert owner.container not in Cli(capsys)("ps").out


def test_a_container_that_only_looks_like_ours_is_left_alone(tmp_path: Path):
    """Labels are what an image may carry too."""
    labels = {"lease": "0123456789abcdef", "owner": "gone.1.1.1", "expires": "1", "directory": str(tmp_path)}
    arguments = [f"--label=org.openenv.{key}={value}" for key, value in labels.items()]
    container = engine("create", *arguments, IMAGE)
    try:
        reaper.reap(connect())
        assert engine("ps", "--all", "--quiet", "--no-trunc", "--filter", f"id={container}") == container
        assert tmp_path.exists()
    finally:
        engine("rm", container)


def test_directories_of_others_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(box, "bases", lambda: [tmp_path])
    gone = f"{owner_id().split('.')[0]}.{owner_id().split('.')[1]}.4000000.1"
    assert is_gone(gone)
    facts = json.dumps({"owner": gone, "lease": "x", "expires": 0})
    names = [
        "openenv-0123456789abcdef",
        "openenv-short",
        "other",
        "openenv-fedcba9876543210",
        "openenv-aaaaaaaaaaaaaaaa",
    ]
    for name in names:
        (tmp_path / name).mkdir(mode=0o700)
        (tmp_path / name / "owner").write_text(facts)
    (tmp_path / names[3]).chmod(0o755)
    (tmp_path / names[4] / "owner").write_text("nonsense")
    (tmp_path / "openenv-bbbbbbbbbbbbbbbb").symlink_to(tmp_path / "other")
    assert [found.root.name for found in box.find_boxes()] == [names[0]]


def test_owners_are_told_apart():
    assert not is_gone(owner_id())
    boot, namespace, pid, start = owner_id().split(".")
    assert is_gone(f"{boot}.{namespace}.{pid}.{int(start) + 1}")
    assert is_gone(f"{boot[::-1]}x.{namespace}.{pid}.{start}")
    assert not is_gone(f"{boot}.1.{pid}.{int(start) + 1}")  # of another namespace nobody can say
    assert not is_gone("nonsense")
    assert pid_of(owner_id()) == os.getpid()
    with subprocess.Popen(["true"]) as process:
        until(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
        assert is_gone(f"{boot}.{namespace}.{process.pid}.1")


def test_fifty_at_the_same_time(docker: Docker):
    """No name, directory or socket is taken twice."""

    def create(_: int) -> Any:
        return docker.create(timeout_s=240)

    with ThreadPoolExecutor(50) as threads:
        leases = list(threads.map(create, range(50)))
        for facts in (
            {lease.id for lease in leases},
            {lease.address for lease in leases},
            {lease.details["container"] for lease in leases},
        ):
            assert len(facts) == 50
        for lease in leases:
            with oe.connect(lease.address) as env:
                env.reset()
                env.step("x")
        list(threads.map(lambda lease: lease.destroy(), leases))
    assert not docker.remains()
