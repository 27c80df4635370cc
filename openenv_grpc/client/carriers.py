"""The gRPC carrier: how frames reach a server and come back over a stream, sync and asyncio.

The seam that other carriers share (`openenv_grpc.client.local`): `send` a call, `receive` a frame, `cancel`, `close`.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import grpc

from openenv_grpc.client import channel as net
from openenv_grpc.errors import MalformedFrame, OpenEnvError, ServerUnavailable, SessionLost

if TYPE_CHECKING:
    from openenv_grpc.session.calls import Call
    from openenv_grpc.specs import ServerSpec

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]
UNASKED = 128
UNASKED_BYTES = 1 << 20
"""Frames that may come without a request, such as the end of each shard's session, and the length of one of them. They
are kept until somebody calls, so a server must not be able to send without end."""


class GrpcCarrier:
    """One stream to one server.

    A thread of its own reads the stream. A caller must not: Ctrl-C in the middle of gRPC's `next` leaves the read under
    way, and may leave gRPC's lock held, so that nothing ends any more. A queue can be left at any moment.

    Args:
        address: `unix:/path` or `host:port`.
        token: What the server asks for; None for nothing.
    """

    name = "grpc"

    def __init__(self, address: str, token: str | None = None) -> None:
        """Make the channel; nothing is sent yet."""
        self.address = address
        self._metadata = net.metadata_of(token)
        self._channel: Any = grpc.insecure_channel(net.check_address(address), options=net.OPTIONS)
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[bytes | OpenEnvError] = queue.SimpleQueue()
        self._stream: Any = None
        self._asked = 0

    def describe(self, timeout_s: float = net.DESCRIBE_TIMEOUT_S) -> ServerSpec:
        """Ask who the server is."""
        method = self._channel.unary_unary(net.SERVICE + "Describe")
        try:
            return net.read_description(method(b"", timeout=timeout_s, metadata=self._metadata), self.address)
        except grpc.RpcError as error:
            raise net.translate(error, self.address) from None

    def open(self, frame: bytes, timeout_s: float) -> bytes:
        """Start the stream; answer its first frame.

        Raises:
            ServerUnavailable: It did not come in time.
        """
        self._asked += 1
        self._outgoing.put(frame)
        method = self._channel.stream_stream(net.SERVICE + "Session")
        self._stream = method(iter(self._outgoing.get, None), metadata=self._metadata)
        weakref.finalize(self, self._stream.cancel).atexit = False  # its thread does not keep a forgotten client alive
        reader = threading.Thread(target=_read, args=(self._stream, weakref.ref(self), self._incoming), daemon=True)
        reader.start()
        alarm = threading.Timer(timeout_s, self.cancel)
        alarm.daemon = True
        alarm.start()
        end = time.monotonic() + timeout_s
        try:
            return self.receive()
        except OpenEnvError:
            if time.monotonic() < end:
                raise
            raise _not_opened(self.address, timeout_s) from None
        finally:
            alarm.cancel()

    def send(self, call: Call) -> None:
        """Send a call's frames."""
        self._asked += len(call.frames)
        for frame in call.frames:
            self._outgoing.put(frame)

    def receive(self, timeout_s: float | None = None) -> bytes:
        """The next frame; blocks.

        Raises:
            SessionLost: The stream has ended, or nothing came in time.
        """
        try:
            item = self._incoming.get(timeout=timeout_s)
        except queue.Empty:
            msg = "the environment's process is gone, and the server does not say why"
            raise SessionLost(msg) from None
        if isinstance(item, bytes):
            return item
        self._incoming.put(item)  # for whoever asks next
        raise item

    def cancel(self) -> None:
        """Have `receive` fail at once, from any thread."""
        if self._stream is not None:
            self._stream.cancel()

    def close(self) -> None:
        """Let go of stream and channel."""
        self._outgoing.put(None)
        self.cancel()
        # It waits for frames that gRPC has begun to write, for ever if the server hangs and does not read them.
        closing = threading.Thread(target=self._channel.close, daemon=True)
        closing.start()
        closing.join(0.5)


def _read(stream: Any, owner: weakref.ref[GrpcCarrier], incoming: queue.SimpleQueue[bytes | OpenEnvError]) -> None:
    """Move frames from a stream to a queue; the last item is the error that says why there are no more."""
    error: OpenEnvError = SessionLost("the server ended the stream")
    arrived = 0
    try:
        for frame in stream:
            arrived += 1
            carrier = owner()
            ahead = arrived - carrier._asked if carrier is not None else 0
            del carrier  # it is forgotten when its owner forgets it
            if ahead > UNASKED or (ahead > 0 and len(frame) > UNASKED_BYTES):
                error = MalformedFrame("the server sends more than it was asked for")
                stream.cancel()
                break
            incoming.put(frame)
    except grpc.RpcError as broken:
        carrier = owner()
        error = net.translate(broken, "the server" if carrier is None else carrier.address, opened=True)
    incoming.put(error)


class AsyncGrpcCarrier:
    """One stream to one server.

    Args:
        address: `unix:/path` or `host:port`.
        token: What the server asks for; None for nothing.
    """

    name = "grpc"

    def __init__(self, address: str, token: str | None = None) -> None:
        """Make the channel; nothing is sent yet."""
        self.address = address
        self._metadata = net.metadata_of(token)
        self._channel: Any = grpc.aio.insecure_channel(net.check_address(address), options=net.OPTIONS)
        self._stream: Any = None
        self._cancelled = False

    async def describe(self, timeout_s: float = net.DESCRIBE_TIMEOUT_S) -> ServerSpec:
        """Ask who the server is."""
        method: Any = self._channel.unary_unary(net.SERVICE + "Describe")
        try:
            return net.read_description(await method(b"", timeout=timeout_s, metadata=self._metadata), self.address)
        except grpc.aio.AioRpcError as error:
            raise net.translate(error, self.address) from None

    async def open(self, frame: bytes, timeout_s: float) -> bytes:
        """Start the stream; answer its first frame.

        Raises:
            ServerUnavailable: It did not come in time.
        """
        method: Any = self._channel.stream_stream(net.SERVICE + "Session")
        self._stream = method(metadata=self._metadata)
        await self._write(frame)
        try:
            return await asyncio.wait_for(self.receive(), timeout_s)
        except asyncio.TimeoutError:
            raise _not_opened(self.address, timeout_s) from None

    async def send(self, call: Call) -> None:
        """Send a call's frames."""
        for frame in call.frames:
            await self._write(frame)

    async def _write(self, frame: bytes) -> None:
        try:
            await self._stream.write(frame)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError) as error:
            raise self._lost(error) from None

    async def receive(self) -> bytes:
        """The next frame.

        Raises:
            SessionLost: The stream has ended.
        """
        try:
            frame = await self._stream.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError) as error:
            raise self._lost(error) from None
        if frame is _EOF:
            msg = "the server ended the stream"
            raise SessionLost(msg)
        return frame  # type: ignore[no-any-return]

    def _lost(self, error: BaseException) -> BaseException:
        """The error to raise. gRPC says CancelledError both for a cancelled stream and for a cancelled task."""
        if isinstance(error, grpc.aio.AioRpcError):
            return net.translate(error, self.address, opened=True)
        if isinstance(error, asyncio.CancelledError) and not self._cancelled:
            return error
        return SessionLost(f"the stream to {self.address} has ended")

    def cancel(self) -> None:
        """Have `send` and `receive` fail at once."""
        self._cancelled = True
        if self._stream is not None:
            self._stream.cancel()

    async def close(self) -> None:
        """Let go of stream and channel."""
        self.cancel()
        await self._channel.close()


def _not_opened(address: str, timeout_s: float) -> OpenEnvError:
    return ServerUnavailable(f"the server at {address} answers, but opened no session within {timeout_s:g} s")
