"""The second socket and the workers behind it, against clients that lie, hang on, or die."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import mmap
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openenv_grpc.client import EnvClient, VectorEnvClient
from openenv_grpc.errors import DeadlineExceeded, EnvironmentCrashed, OpenEnvError, ServerDraining, SessionLost
from openenv_grpc.server.handover import Handover
from openenv_grpc.server.link import ShardLink
from openenv_grpc.server.sessions import SessionTable
from openenv_grpc.server.workers import Workers
from openenv_grpc.session.calls import OpenRequest
from openenv_grpc.session.local import HANDED_JOINT, HANDED_SHARD, REFUSED, SLOTS, path_of
from openenv_grpc.session.packet import PREFIX, WAITING
from openenv_grpc.specs import Limits
from openenv_grpc.testing import Face, Peer, Target
from openenv_grpc.worker.placement import SHORT_STEPS
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.packages import BARE, PROBE, ROOT, environ
from tests.helpers.server import Server, running
from tests.helpers.stream import Request, Stream


@pytest.fixture(scope="module")
def bare() -> Iterator[Server]:
    with running(BARE) as found:
        yield found


@pytest.fixture
def stream(bare: Server) -> Iterator[Stream]:
    """A session that is driven by hand, its local lane offered."""
    with Stream(bare.address) as found:
        found.open(lanes=1, local_lane=True)
        yield found


def show(server: Server, token: bytes) -> tuple[bytes, list[int]]:
    """What the second socket hands out for a token, of its first message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(10)
        sock.connect(str(path_of(server.address)))
        sock.send(token)
        message, fds, _, _ = socket.recv_fds(sock, 16, 8)
        return message, fds


# -- the second socket ------------------------------------------------------------------------------------------------


def test_a_token_is_good_once(bare: Server, stream: Stream):
    token = stream.opened.local_lane.token
    message, fds = show(bare, token)
    assert (message, len(fds)) == (HANDED_SHARD, 2)
    assert show(bare, token) == (REFUSED, [])
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("token", [b"x", b"\0" * 32, b"y" * 32, b"z" * 500], ids=len)
def test_a_forged_token_gets_nothing(bare: Server, stream: Stream, token: bytes):
    assert show(bare, token) == (REFUSED, [])
    assert stream.ask(seq=1, reset={}).HasField("reset")


def test_the_session_id_is_no_token(bare: Server, stream: Stream):
    assert show(bare, stream.opened.session_id.encode()) == (REFUSED, [])


def test_a_token_dies_with_its_session(bare: Server):
    with Stream(bare.address) as stream:
        stream.open(lanes=1, local_lane=True)
        token = stream.opened.local_lane.token
    processes.until(lambda: not bare.workers)
    assert show(bare, token) == (REFUSED, [])


def test_nothing_is_offered_unasked_nor_in_unary_calls(bare: Server):
    with Stream(bare.address) as stream:
        stream.open(lanes=1)
        assert not stream.opened.HasField("local_lane")
    target = Target.connect(bare.address)
    peer = Peer(target, Face.UNARY)
    assert not peer.open(local_lane=True).opened.HasField("local_lane")
    peer.close()
    target.close()


def test_another_user_gets_nothing(bare: Server, stream: Stream):
    """Though the modes of directory and socket would let it: the kernel tells who it is."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    path = str(path_of(bare.address))
    directory = os.path.dirname(path)
    for name, mode in ((directory, 0o755), (path, 0o666)):
        os.chmod(name, mode)
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
        "s.connect(sys.argv[1]); s.settimeout(5)\n"
        "try: s.send(bytes.fromhex(sys.argv[2])); print(len(s.recv(16)))\n"
        "except ConnectionError: print(0)"
    )
    token = stream.opened.local_lane.token
    shown = subprocess.run(
        [sys.executable, "-c", code, path, token.hex()], capture_output=True, text=True, timeout=20, check=True
    )
    assert shown.stdout == "0\n"
    message, fds = show(bare, token)  # it is still there for who may have it
    assert message == HANDED_SHARD
    for fd in fds:
        os.close(fd)


def test_connections_that_say_nothing_keep_nobody_out(bare: Server, stream: Stream):
    path = str(path_of(bare.address))
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):  # no more room in the line before the server
                sock.connect(path)
        time.sleep(0.2)
        with EnvClient.connect(bare.address) as env:  # over gRPC, if there is no room for it now
            assert env.reset().observation.position == 0

    def has_room() -> bool:
        with contextlib.suppress(ConnectionError):
            return show(bare, b"x") == (REFUSED, [])
        return False

    processes.until(has_room, timeout_s=10)


def test_what_lies_in_its_place_is_not_removed(tmp_path: Path):
    other = tmp_path / "env.sock.local"
    other.write_text("precious")
    with running(BARE, address=f"unix:{tmp_path}/env.sock", ready=False) as server:
        assert server.wait() != 0
        assert "exists and is no socket" in server.text
    assert other.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [other]


def test_a_socket_that_nobody_listens_on_is_replaced(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(f"{tmp_path}/env.sock.local")
    with running(BARE, address=f"unix:{tmp_path}/env.sock") as server, EnvClient.connect(server.address) as env:
        assert env.transport == "local"


def test_no_descriptors_left_is_no_endless_loop():
    with running(BARE) as server, contextlib.ExitStack() as stack:
        few = processes.descriptors(server.pid) + 5
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (few, few))
        for _ in range(60):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(str(path_of(server.address)))
        processes.until(lambda: "no local lane for a while" in server.text)
        time.sleep(1.5)
        assert server.text.count("no local lane for a while") <= 3


@pytest.mark.parametrize("when", ["before", "meanwhile", "another"])
def test_a_worker_that_dies_while_memory_is_shared_leaves_no_place_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
):
    """In a server of this process, so that the moment can be met: the one between the workers' answers to Open."""
    share = ShardLink.share

    async def dying(self: ShardLink, joint: int) -> None:
        session = self._on_lost.__self__  # type: ignore[attr-defined]
        victim = session.links[0] if when == "another" else self
        os.kill(victim.worker.pid, signal.SIGKILL)
        if when != "before":
            await asyncio.sleep(0.3)
        await share(self, joint)

    monkeypatch.setattr(ShardLink, "share", dying)
    monkeypatch.setenv("PYTHONPATH", environ()["PYTHONPATH"])

    async def main() -> None:
        workers = Workers(BARE, "bare", print)
        await workers.start()
        spec = await workers.describe(())
        table = SessionTable(workers, Limits(), Handover(str(tmp_path / "s")))
        request = OpenRequest({"size": 40_000}, 4, 2, local_lane=True).encode(spec.spec_hash)
        written: list[bytes | None] = []
        for _ in range(2):
            opening = Request.FromString(request)
            with pytest.raises(EnvironmentCrashed):
                await table.open(opening, spec, written.append)
        assert (table._taken, table.sessions, written) == (0, {}, [])
        await workers.stop()

    asyncio.run(main())


# -- what a client holds ----------------------------------------------------------------------------------------------


def test_a_client_cannot_write_what_it_was_given(bare: Server, stream: Stream):
    _, (end, memory) = show(bare, stream.opened.local_lane.token)
    size = os.fstat(memory).st_size
    with pytest.raises(PermissionError):
        mmap.mmap(memory, size)
    with pytest.raises(PermissionError):
        os.write(memory, b"x")
    for change in (size - 1, size + 1):
        with pytest.raises(PermissionError):
            os.ftruncate(memory, change)
    with pytest.raises(OSError, match="Operation not permitted"):
        os.posix_fallocate(memory, 0, size + 4096)
    with pytest.raises(PermissionError):
        fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    again = os.open(f"/proc/self/fd/{memory}", os.O_RDWR)
    with pytest.raises(PermissionError):
        os.write(again, b"x")
    with pytest.raises(PermissionError):
        mmap.mmap(again, size)
    for fd in (end, memory, again):
        os.close(fd)


def test_joint_memory_cannot_be_written_either(bare: Server):
    target = Target.connect(bare.address, options={"size": 40_000})
    peer = Peer(target, Face.STREAM)
    opened = peer.open(lanes=4, shards=2, local_lane=True).opened
    assert opened.local_lane.joint_slot_bytes >= 4 * 40_000
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(10)
        sock.connect(str(path_of(bare.address)))
        sock.send(opened.local_lane.token)
        got = [socket.recv_fds(sock, 16, 8)[:2] for _ in range(3)]
    assert [(message, len(fds)) for message, fds in got] == [(HANDED_SHARD, 2), (HANDED_SHARD, 2), (HANDED_JOINT, 1)]
    with pytest.raises(PermissionError):
        mmap.mmap(got[2][1][0], opened.local_lane.joint_slot_bytes)
    for _, fds in got:
        for fd in fds:
            os.close(fd)
    peer.close()
    target.close()


class Lane:
    """A worker's socket in the hands of a client that sends what it likes."""

    def __init__(self, server: Server, stream: Stream) -> None:
        _, (end, memory) = show(server, stream.opened.local_lane.token)
        os.close(memory)
        self.sock = socket.socket(fileno=end)
        self.sock.settimeout(10)

    def send(self, frame: bytes, slot: int = 0, size: int | None = None) -> None:
        self.sock.send(PREFIX.pack(0, slot, 0, len(frame) if size is None else size) + frame)


@pytest.fixture
def lane(bare: Server, stream: Stream) -> Iterator[Lane]:
    found = Lane(bare, stream)
    yield found
    found.sock.close()


RESET = Request(seq=1, reset={}).SerializeToString()


@pytest.mark.parametrize(
    "message",
    [
        b"\0",
        b"\xff" * 24,
        struct.pack("<IIQQ", 0, SLOTS, 0, len(RESET)) + RESET,
        struct.pack("<IIQQ", 0, 0xFFFF_FFFF, 0, len(RESET)) + RESET,
        struct.pack("<IIQQ", 0, 0, 0, 1 << 40) + RESET,
        struct.pack("<IIQQ", 0, 0, 0, 1) + RESET,
    ],
    ids=["short", "ones", "the slot after the last", "a slot far away", "too long", "longer than it says"],
)
def test_who_breaks_the_format_loses_the_lane_alone(bare: Server, stream: Stream, lane: Lane, message: bytes):
    with EnvClient.connect(bare.address, transport="local") as neighbour:
        neighbour.reset()
        lane.sock.send(message)
        assert lane.sock.recv(100) == b""
        assert neighbour.step({"move": 1}).observation.position == 1
    assert stream.ask(seq=1, reset={}).HasField("reset")  # the session goes on over gRPC
    assert stream.ask(seq=2, state={}).HasField("state")


def test_descriptors_that_nobody_asked_for_are_dropped(bare: Server, stream: Stream, lane: Lane):
    (worker,) = bare.workers
    before = processes.descriptors(worker)
    for seq in range(1, 6):
        frame = Request(seq=seq, reset={}).SerializeToString()
        socket.send_fds(lane.sock, [PREFIX.pack(0, 0, 0, len(frame)) + frame], [0, 1, 2])
        assert lane.sock.recv(1 << 17)
    assert processes.descriptors(worker) == before


@pytest.mark.parametrize("core", [0, 4095, 1 << 40, (1 << 64) - 1])
def test_whatever_core_a_client_claims_to_wait_on(bare: Server, stream: Stream, lane: Lane, core: int):
    for seq in range(1, 2 * SHORT_STEPS):
        frame = Request(seq=seq, **({"step": {}} if seq > 1 else {"reset": {}})).SerializeToString()
        lane.sock.send(PREFIX.pack(WAITING, 0, core, len(frame)) + frame)
        assert lane.sock.recv(1 << 16)
    (worker,) = bare.workers
    assert os.sched_getaffinity(worker) in ({core}, os.sched_getaffinity(0))
    assert stream.ask(seq=2 * SHORT_STEPS, reset={}).HasField("reset")


def test_a_replay_comes_in_the_slot_that_it_asks_for(bare: Server):
    target = Target.connect(bare.address, options={"size": 40_000, "goal": 100})
    peer = Peer(target, Face.LOCAL)
    session = peer.open(lanes=4, shards=2)
    for shard in (0, 1):
        session.reset([0, 5], shard=shard).ok()
    request, rows = session.stepping(shard=1)
    first = session.exchange("step", request, rows)
    assert len(first.response.payload) > 2 * 40_000
    waiting = [session.send("step", request, rows) for _ in range(3)]  # each in a slot of its own
    for wait in waiting:
        again = wait().response
        assert (again.seq, again.payload) == (request.seq, first.response.payload)
    peer.close()
    target.close()


def test_a_client_that_dies_leaves_nothing(bare: Server):
    processes.until(lambda: not bare.workers)
    before = processes.descriptors(bare.pid)
    code = (
        "import sys, time, numpy as np\n"
        "from openenv_grpc.client import VectorEnvClient\n"
        "env = VectorEnvClient.connect(sys.argv[1], 4, shards=2, size=40_000, transport='local')\n"
        "kept = [env.reset()] + [env.step({'move': np.ones(4, int)}) for _ in range(3)]\n"
        "print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, bare.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ(), cwd=ROOT) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"held\n"
        assert len(bare.workers) == 2
        client.send_signal(signal.SIGKILL)
    processes.until(lambda: not bare.workers, what="the end of its workers")
    processes.until(lambda: processes.descriptors(bare.pid) <= before, what="the descriptors")


# -- the supervisor ---------------------------------------------------------------------------------------------------


def test_code_that_never_comes_back_is_ended():
    with running(PROBE, step_time_s=0.5) as server:
        with (
            EnvClient.connect(server.address, transport="local") as env,
            EnvClient.connect(server.address, transport="local") as neighbour,
        ):
            neighbour.reset()
            env.reset()
            began = time.monotonic()
            with pytest.raises(DeadlineExceeded, match="did not stop in time"):
                env.step(blank("deaf", amount=60))
            assert time.monotonic() - began < 5
            assert neighbour.step(blank("on")).observation.steps == 1
        processes.until(lambda: not server.workers)


def test_a_busy_client_does_not_keep_a_server_that_drains():
    with running(BARE) as server:
        env = VectorEnvClient.connect(server.address, 2, shards=2, transport="local", goal=1 << 30)
        env.reset()
        found: list[OpenEnvError] = []

        def play() -> None:
            try:
                while True:
                    env.step({"move": [0, 0]})
            except OpenEnvError as error:
                found.append(error)

        thread = threading.Thread(target=play)
        thread.start()
        time.sleep(0.2)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 8
        thread.join(10)
        env.close()
    assert isinstance(found[0], ServerDraining | SessionLost)
    assert "shutting down" in str(found[0])
