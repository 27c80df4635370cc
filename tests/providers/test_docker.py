"""The docker provider: how containers are held, how they fail, and what is left when anybody is killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

import openenv_grpc as oe
from openenv_echo import AsyncEchoEnv, EchoAction, EchoEnv
from openenv_grpc.errors import InvalidArgument, OpenEnvError, ProtocolMismatch, ServerUnavailable, Unsupported
from openenv_grpc.providers.docker import DockerProvider, box
from openenv_grpc.providers.docker.container import check_engine
from openenv_grpc.providers.docker.engine import EngineFacts
from openenv_grpc.providers.profiles import HARDENED, Profile
from openenv_grpc.specs import Isolation
from tests.cli.running import Cli
from tests.helpers.containers import engine, image_like, python
from tests.helpers.packages import ROOT, environ
from tests.providers.conftest import IMAGE, Docker

pytestmark = pytest.mark.docker
SMALL = Profile("small", memory_bytes=256 << 20, pids=64, cpus=1.0)


def inspect(name: str) -> Any:
    return json.loads(engine("inspect", name))[0]


def inside(name: str, *command: str) -> str:
    return engine("exec", name, *command)


def test_a_typed_client_of_an_image():
    with EchoEnv.from_docker_image(IMAGE, profile=SMALL) as env:
        assert env.transport == "local"
        assert env.isolation == Isolation("small", "runc", 256 << 20, 1.0, 64, True, "none")
        env.reset(seed=3)
        assert env.step(EchoAction(message="hi")).observation.message == "hi"


def test_from_asyncio_and_over_grpc():
    async def main() -> None:
        async with await AsyncEchoEnv.from_docker_image(IMAGE, transport="grpc") as env:
            assert env.transport == "grpc"
            await env.reset()

    asyncio.run(main())


def test_many_lanes(docker: Docker):
    lease = docker.create()
    with oe.connect_vec(lease.address, 4, shards=2) as env:
        assert env.client.transport == "local"
        env.reset(seed=1)
        env.step(["a", "b", "c", "d"])


def test_every_wall_is_up(docker: Docker):
    name = docker.create().details["container"]
    found = inspect(name)
    host, config = found["HostConfig"], found["Config"]
    assert host["NetworkMode"] == "none"
    assert not found["NetworkSettings"]["Ports"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert host["Init"]
    assert (host["PidsLimit"], host["IpcMode"], host["ShmSize"]) == (512, "private", 16 << 20)
    assert host["Memory"] == host["MemorySwap"] == 2 << 30
    assert host["NanoCpus"] == (os.cpu_count() or 1) * 10**9
    assert {(limit["Name"], limit["Hard"]) for limit in host["Ulimits"]} == {("nofile", 4096), ("core", 0)}
    assert set(host["LogConfig"]["Config"].items()) >= {("max-size", "1m"), ("max-file", "2")}
    assert host["SecurityOpt"][0] == "no-new-privileges:true"
    assert "SCMP_ACT_ERRNO" in host["SecurityOpt"][1]
    assert config["User"] == ("65532:65532" if os.geteuid() == 0 else f"{os.getuid()}:{os.getgid()}")
    assert config["Image"].startswith("sha256:")
    assert [mount["Destination"] for mount in found["Mounts"]] == ["/run/openenv"]


def test_tcp_opens_no_wall(docker: Docker):
    """The port is ours, the container has none; its token is where those alone can read it who are root."""
    lease = docker.create(tcp=True)
    assert lease.token is not None
    name = lease.details["container"]
    found = inspect(name)
    assert found["HostConfig"]["NetworkMode"] == "none"
    assert not found["HostConfig"]["PortBindings"]
    assert not found["NetworkSettings"]["Ports"]
    assert inside(name, "ls", "/sys/class/net").split() == ["lo"]
    assert f"OPENENV_TOKEN={lease.token}" in found["Config"]["Env"]
    del found["Config"]["Env"]
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    for shown in (json.dumps(found), engine("ps", "--no-trunc", "--all"), engine("logs", name), *lines):
        assert lease.token not in shown


def test_tcp_by_every_way(named: str):
    with EchoEnv.from_docker_image(IMAGE, tcp=True) as env:
        assert env.transport == "grpc"
        assert env.isolation is not None
        assert env.isolation.network == "none"
        env.reset()
    with oe.make(named, provider="docker", tcp=True) as env:
        env.reset()

    async def main() -> None:
        async with await AsyncEchoEnv.from_docker_image(IMAGE, tcp=True) as env:
            await env.reset()
        async with oe.aio.make_vec(named, 2, provider="docker", tcp=True) as many:
            await many.reset()

    asyncio.run(main())


def test_the_health_check_of_an_image_shows_the_token(docker: Docker):
    lease = docker.create(tcp=True)
    probe = ["/venv/bin/openenv-probe", "unix:/run/openenv/env.sock"]
    assert inside(lease.details["container"], *probe) == ""
    with pytest.raises(subprocess.CalledProcessError):
        engine("exec", "--env", "OPENENV_TOKEN=", lease.details["container"], *probe)


def test_every_wall_holds(docker: Docker):
    """What the kernel says, not what the engine was asked for."""
    name = docker.create().details["container"]
    status = dict(line.split(":", 1) for line in inside(name, "cat", "/proc/1/status").splitlines())
    assert {int(status[key], 16) for key in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert "0" not in status["Uid"].split()
    mounts = {line.split()[1]: line.split()[3].split(",") for line in inside(name, "cat", "/proc/mounts").splitlines()}
    assert "ro" in mounts["/"]
    assert {"nosuid", "nodev", "noexec", "size=65536k"} <= {*mounts["/tmp"]}
    assert {"nosuid", "nodev", "noexec", "size=16384k"} <= {*mounts["/dev/shm"]}
    assert os.listdir("/sys/class/net") != ["lo"]
    assert inside(name, "ls", "/sys/class/net").split() == ["lo"]


def test_only_allowed_calls(docker: Docker):
    """Each as a program of the container's own; EPERM but for clone3."""
    name = docker.create().details["container"]
    code = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    return errno.errorcode.get(ctypes.get_errno()) if libc.syscall(*arguments) == -1 else "allowed"
def family(*arguments):
    try:
        socket.socket(*arguments).close()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"
print(call(425, 1, 0), call(321, 0, 0, 0), call(250, 0), call(323, 0), call(298, 0, 0, 0, 0, 0), call(272, 0x10000000))
print(call(101, 0), call(310, 1), call(435, 0, 0), *(family(kind, socket.SOCK_RAW) for kind in (16, 17, 38, 40)))
print(family(socket.AF_UNIX), family(socket.AF_INET), os.sched_setaffinity(0, os.sched_getaffinity(0)))
"""
    first, second, third = inside(name, *python(code)).splitlines()
    assert set(first.split()) == {"EPERM"}
    assert second.split() == ["EPERM", "EPERM", "ENOSYS"] + ["EPERM"] * 4
    assert third == "allowed allowed None"


def refused(**arguments: Any) -> OpenEnvError:
    """The error that a start ends with."""
    docker = Docker()
    with pytest.raises(OpenEnvError) as caught:
        docker.create(**arguments)
    assert docker.list() == docker.remains() == []
    docker.close()
    return caught.value


def test_no_such_image():
    error = refused(image=None, environment="nope")
    assert isinstance(error, InvalidArgument)
    assert "there is no image openenv-nope:latest; build it with `openenv-grpc build nope`" in str(error)
    assert error.field == "image"


@pytest.mark.parametrize("name", ["", "module:Class", "../x", "a b", "x;y"])
def test_no_such_environment(name: str):
    assert refused(image=None, environment=name).field == "environment"


def test_without_memory_to_share_nothing_starts(monkeypatch: pytest.MonkeyPatch):
    assert box.in_memory(Path("/dev/shm"))
    assert not box.in_memory(Path("/proc"))
    assert not box.in_memory(Path("/nowhere"))
    monkeypatch.setattr(box, "in_memory", lambda _: False)
    error = refused()
    assert isinstance(error, Unsupported)
    assert "mount one: mount -t tmpfs tmpfs /dev/shm" in str(error)


def test_no_such_profile():
    with pytest.raises(InvalidArgument, match="there are: hardened, gvisor, open"):
        oe.make("echo", provider="docker", profile="soft")
    with pytest.raises(Unsupported, match="need provider='docker'"):
        oe.make("echo", profile="hardened")


def test_gvisor_that_is_not_there():
    if "runsc" in engine("info", "--format", "{{.Runtimes}}"):
        pytest.skip("it is there")
    error = refused(profile="gvisor")
    assert isinstance(error, Unsupported)
    assert "apt install runsc" in str(error)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (
            EngineFacts(frozenset(), "runc", frozenset(["seccomp"]), frozenset(["memory", "pids"]), False),
            "cannot limit cpus",
        ),
        (
            EngineFacts(frozenset(), "runc", frozenset(["seccomp"]), frozenset(["memory", "pids", "cpus"]), True),
            "limit swap",
        ),
        (EngineFacts(frozenset(), "runc", frozenset(), frozenset(["memory", "pids", "cpus"]), False), "seccomp"),
        (
            EngineFacts(
                frozenset(), "runc", frozenset(["seccomp", "userns"]), frozenset(["memory", "pids", "cpus"]), False
            ),
            "maps users",
        ),
    ],
)
def test_an_engine_that_cannot_give_what_is_asked_for(facts: EngineFacts, message: str):
    with pytest.raises(Unsupported, match=message):
        check_engine(facts, HARDENED)


def test_no_engine():
    with pytest.raises(ServerUnavailable, match="no Docker engine answers"):
        Docker(engine="unix:///nowhere.sock").create()
    with pytest.raises(Unsupported, match="not this machine's"):
        Docker(engine="tcp://127.0.0.1:2375").create()


def test_an_exit_code():
    with image_like(IMAGE, python("import sys; print('good' + 'bye\\x1b[2J'); sys.exit(7)")) as image:
        error = refused(image=image)
    assert isinstance(error, ServerUnavailable)
    assert "ended: exit code 7; the end of its log:\ngoodbye\N{REPLACEMENT CHARACTER}[2J" in str(error)


def test_a_program_that_is_not_there():
    with image_like(IMAGE, ["/nope"]) as image:
        error = refused(image=image)
    assert isinstance(error, ServerUnavailable)
    assert "/nope" in str(error)


def test_out_of_memory():
    with image_like(IMAGE, python("x = bytearray(900 << 20)")) as image:
        error = refused(image=image, profile=SMALL)
    assert "out of memory (its limit is 256 MiB)" in str(error)


def test_an_image_of_another_revision_and_one_that_wants_disk():
    with image_like(IMAGE, ["x"], "LABEL org.openenv.protocol-revision=99") as image:
        assert isinstance(refused(image=image), ProtocolMismatch)
    with image_like(IMAGE, ["x"], "VOLUME /data") as image:
        assert "declares volumes (/data)" in str(refused(image=image))


def test_no_port_for_a_server_that_asks_for_no_token():
    code = """
import os, sys
del os.environ["OPENENV_TOKEN"]
from openenv_grpc.cli import main
main(["serve", "echo", *sys.argv[1:]])
"""
    with image_like(IMAGE, python(code)) as image:
        error = refused(image=image, tcp=True)
    assert isinstance(error, ProtocolMismatch)
    assert "does not ask for the token" in str(error)


HOSTILE = """
import os, socket, sys, time
box = "/run/openenv/"
lifeline = socket.socket(socket.AF_UNIX)
lifeline.connect(box + "lifeline.sock")
def say(data=b'{"address": "", "failure": null}\\n'):
    try:
        lifeline.sendall(data)
    except OSError:
        pass
def listen(name, listening=True):
    found = socket.socket(socket.AF_UNIX)
    found.bind(box + name)
    if listening:
        found.listen()
    return found
"""
TRICKS = {
    "says nothing": ("time.sleep(60)", "did not serve in time"),
    "says too much": ("say(b'x' * (1 << 20)); time.sleep(60)", "longer than any"),
    "says nonsense": ("say(b'[]\\n'); time.sleep(60)", "none that it may write"),
    "has no socket": ("say(); time.sleep(60)", "there is no socket"),
    "has a link to a socket of the host": (
        "os.symlink('/var/run/docker.sock', box + 'env.sock'); say(); time.sleep(60)",
        "something else than a socket",
    ),
    "has a file": ("open(box + 'env.sock', 'w'); say(); time.sleep(60)", "something else than a socket"),
    "has a pipe": ("os.mkfifo(box + 'env.sock'); say(); time.sleep(60)", "something else than a socket"),
    "has a directory": ("os.mkdir(box + 'env.sock'); say(); time.sleep(60)", "cannot be used"),
    "gives our own socket back": (
        "os.rename(box + 'lifeline.sock', box + 'env.sock'); say(); time.sleep(60)",
        "no server answers",
    ),
    "never answers": ("found = listen('env.sock'); say(); time.sleep(60)", "no server answers"),
    "hangs up": ("found = listen('env.sock'); say(); lifeline.close()", "."),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_hostile_container(trick: str):
    code, message = TRICKS[trick]
    with image_like(IMAGE, python(HOSTILE + code)) as image:
        error = refused(image=image, timeout_s=4)
    assert isinstance(error, ServerUnavailable)
    assert message in str(error)


def test_what_a_hostile_container_leaves_is_removed():
    code = """
os.chdir(box)
for depth in range(1500):
    os.mkdir("d"); os.chdir("d")
os.chdir(box)
os.mkdir("closed"); open("closed/file", "w"); os.chmod("closed", 0)
os.symlink("/etc/passwd", "link"); os.mkfifo("fifo")
open("sparse", "w").truncate(1 << 40)
say(b"{}\\n")
time.sleep(60)
"""
    with image_like(IMAGE, python(HOSTILE + code)) as image:
        assert "none that it may write" in str(refused(image=image))
    assert os.path.exists("/etc/passwd")


def test_make_and_make_vec_by_name(named: str):
    with oe.make(named, provider="docker", profile=SMALL) as env:
        assert (env.transport, env.isolation and env.isolation.profile) == ("local", "small")
        env.reset()
    with oe.make_vec(named, 2, provider=DockerProvider(SMALL)) as vector:
        assert vector.isolation is not None
        assert vector.isolation.profile == "small"
        vector.reset()

    async def main() -> None:
        async with oe.aio.make(named, provider="docker") as env:
            assert env.isolation is not None
            assert env.isolation.profile == "hardened"
            await env.reset()

    asyncio.run(main())


def test_rollout(named: str, capsys: pytest.CaptureFixture[str]):
    arguments = ["--episodes", "2", "--num-envs", "2", "--max-steps", "5", "--provider", "docker"]
    done = Cli(capsys)("rollout", named, *arguments)
    assert done.status == 0
    assert "hardened (runc): memory 2,048 MiB" in done.out
    refused = Cli(capsys)("rollout", named, *arguments, "--profile", "soft")
    assert refused.status == 1
    assert "there are: hardened, gvisor, open" in refused.err


NON_ROOT = """
import os, sys
os.setgroups([os.stat("/var/run/docker.sock").st_gid])
os.setgid(4242)
os.setuid(4242)
from openenv_echo import EchoAction, EchoEnv
with EchoEnv.from_docker_image(sys.argv[1]) as env:
    env.reset()
    env.step(EchoAction(message="x"))
    print(env.transport, os.stat(env._carrier.address.removeprefix("unix:")).st_uid)
"""


def test_a_client_that_is_not_root():
    """Its containers run as itself; root's as nobody else."""
    if os.geteuid() != 0:
        pytest.skip("all other tests show it")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreters = [path for path in (sys.executable, f"/usr/bin/{version}") if _may_run(path)]
    if not interpreters:
        pytest.skip("no Python here that others may run")
    paths = [str(ROOT), f"{ROOT}/clients", next(path for path in sys.path if path.endswith("site-packages"))]
    done = subprocess.run(
        [interpreters[0], "-c", NON_ROOT, IMAGE],
        env=environ() | {"PYTHONPATH": os.pathsep.join(paths), "HOME": "/tmp"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split() == ["local", "4242"], done.stderr


def _may_run(interpreter: str) -> bool:
    try:
        done = subprocess.run([interpreter, "-c", ""], user=4242, cwd="/", check=False, capture_output=True, timeout=20)
    except OSError:
        return False
    return done.returncode == 0
