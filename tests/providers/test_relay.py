"""The relay between a port of 127.0.0.1 and a container's socket, on real sockets, without a container."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from openenv_grpc.providers.docker import relay as relays
from openenv_grpc.providers.docker.relay import Relay
from tests.helpers.packages import ROOT, environ
from tests.helpers.processes import descriptors

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LONG = os.urandom(1 << 20) * 2
ROOM = 24 << 20
"""More than what the kernel keeps of a connection on both of its ways, whatever its settings usually are."""


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="oe-") as directory:
        yield f"{directory}/env.sock"


class Setting:
    """A relay, and who listens behind it.

    Attributes:
        served: Connections that have reached the other end and are open there.
    """

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.served = 0

    @property
    def port(self) -> int:
        return int(self.relay.address.rpartition(":")[2])

    async def connect(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))

    async def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def setting(path: str, serve: Serve, most: int = relays.MOST) -> AsyncIterator[Setting]:
    """Nothing is left of it: no task, and no descriptor."""
    before, tasks = descriptors(os.getpid()), asyncio.all_tasks()
    found: Setting

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.served += 1
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            found.served -= 1
            writer.close()

    server = await asyncio.start_unix_server(count, path)
    found = Setting(Relay(path, most))
    try:
        yield found
    finally:
        await found.relay.close()
        await found.relay.close()
        server.close()
        with pytest.raises(ConnectionRefusedError):
            found.socket()
    await found.until(lambda: asyncio.all_tasks() == tasks and descriptors(os.getpid()) <= before)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()


async def close(streams: Streams) -> None:
    streams[1].close()
    with contextlib.suppress(ConnectionError):
        await streams[1].wait_closed()


async def ended(streams: Streams) -> bool:
    """Whether the other side breaks it off, soon."""
    try:
        return await asyncio.wait_for(streams[0].read(1), 5) == b""
    except ConnectionError:
        return True


def test_bytes_pass_in_both_directions(path: str):
    async def main() -> None:
        async with setting(path, echo) as there:
            all_streams = await asyncio.gather(*(there.connect() for _ in range(5)))

            async def play(streams: Streams, data: bytes) -> None:
                reader, writer = streams
                writer.write(data)
                assert await reader.readexactly(len(data)) == data
                await close(streams)

            await asyncio.gather(*(play(streams, LONG[at:]) for at, streams in enumerate(all_streams)))

    asyncio.run(main())


def test_a_client_that_has_said_all_hears_the_rest(path: str):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        whole = await reader.read()
        writer.write(whole[::-1])
        await writer.drain()

    async def main() -> None:
        async with setting(path, answer) as there:
            reader, writer = await there.connect()
            writer.write(LONG)
            writer.write_eof()
            assert await reader.read() == LONG[::-1]
            await close((reader, writer))

    asyncio.run(main())


def test_a_container_that_has_said_all_hears_the_rest(path: str):
    heard = bytearray()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"all")
        writer.write_eof()
        heard.extend(await reader.read())

    async def main() -> None:
        async with setting(path, say) as there:
            reader, writer = await there.connect()
            assert await reader.read() == b"all"
            writer.write(b"the rest")
            await close((reader, writer))
            await there.until(lambda: heard == b"the rest")

    asyncio.run(main())


def test_a_container_that_hangs_up(path: str):
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.transport.abort()

    async def main() -> None:
        async with setting(path, hang_up) as there:
            streams = await there.connect()
            streams[1].write(b"x")
            assert await ended(streams)
            await close(streams)
            await there.until(lambda: not there.relay._connections)

    asyncio.run(main())


def test_a_client_that_breaks_off(path: str):
    async def main() -> None:
        async with setting(path, echo) as there:
            with there.socket() as client:
                await there.until(lambda: there.served)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing it resets it
            await there.until(lambda: not there.served and not there.relay._connections)

    asyncio.run(main())


def test_nobody_behind_it(path: str):
    async def main() -> None:
        async with setting(path, echo) as there:
            os.rename(path, f"{path}.away")
            streams = await there.connect()
            assert await ended(streams)
            await close(streams)
            os.rename(f"{path}.away", path)
            streams = await there.connect()
            streams[1].write(b"x")
            assert await streams[0].readexactly(1) == b"x"
            await close(streams)

    asyncio.run(main())


def test_so_many_connections_and_no_more(path: str):
    async def main() -> None:
        async with setting(path, echo, most=3) as there:
            held = [await there.connect() for _ in range(3)]
            await there.until(lambda: there.served == 3)
            beyond = [await there.connect() for _ in range(20)]
            for streams in beyond:
                assert await ended(streams)
                await close(streams)
            assert there.served == 3
            await close(held.pop())
            await there.until(lambda: there.served == 2)
            held.append(await there.connect())
            for reader, writer in held:
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                await close((reader, writer))

    asyncio.run(main())


def test_who_reads_slowly_slows_who_writes(path: str):
    """What is written and not read is bounded; and nothing of it is lost."""
    written = 0
    flowing = asyncio.Event()

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.transport.set_write_buffer_limits(0)
        while written < 2 * ROOM:
            writer.write(LONG[: 1 << 20])
            await writer.drain()
            written += 1 << 20
            flowing.set()

    async def main() -> None:
        async with setting(path, flood) as there:
            loop = asyncio.get_running_loop()
            with there.socket() as client:
                client.setblocking(False)
                await flowing.wait()
                before = -1
                while written > before:
                    before = written
                    await asyncio.sleep(0.1)
                assert written <= ROOM
                read = bytearray()
                while len(read) < 2 * ROOM:
                    read += await loop.sock_recv(client, 1 << 20)
                assert all(read[at : at + (1 << 20)] == LONG[: 1 << 20] for at in range(0, len(read), 1 << 20))

    asyncio.run(main())


def test_closing_breaks_off_what_runs_and_what_waits(path: str):
    async def say_too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(LONG * 8)
        await writer.drain()
        await reader.read()

    async def main() -> None:
        async with setting(path, say_too_much) as there:
            reads = there.socket()  # and never does
            idle = await there.connect()  # reads what its buffers hold
            await there.until(lambda: there.served == 2)
            began = time.monotonic()
            await asyncio.wait_for(there.relay.close(), 2)
            assert time.monotonic() - began < 1
            await there.until(lambda: not there.served)
            await close(idle)
            reads.close()

    asyncio.run(main())


def test_without_descriptors_it_waits(path: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(relays, "RETRY_S", 0.2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def main() -> None:
        async with setting(path, echo) as there:
            client = there.socket()
            spare = os.dup(client.fileno())
            os.close(spare)
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
            try:
                spent = time.process_time()
                await asyncio.sleep(0.15)
                assert time.process_time() - spent < 0.1
                assert not there.relay._connections
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await there.until(lambda: there.served)
            client.close()

    asyncio.run(main())


FORKS = """
import asyncio, os, socket, sys, time
from openenv_grpc.providers.docker.relay import Relay

async def main():
    relay = Relay(sys.argv[1])
    mine, childs = socket.socketpair()
    if os.fork() == 0:
        mine.close()
        childs.send(b"x")
        childs.recv(1)  # until the parent has ended
        os._exit(0)
    mine.recv(1)
    await relay.close()
    host, _, port = relay.address.partition(":")
    print(socket.socket().connect_ex((host, int(port))))

asyncio.run(main())
"""


def test_a_forked_child_does_not_hold_the_port(path: str):
    command = [sys.executable, "-c", FORKS, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env=environ(), cwd=ROOT)
    assert done.stdout.split() == [str(errno.ECONNREFUSED)]
