"""One stream: a session's requests in, its answers out, at the pace of a client that may not read.

Reading stops while more than a message's worth of bytes waits, so that nobody can fill the server's memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc

from openenv_grpc.codec import frame as frames
from openenv_grpc.errors import OpenEnvError, SessionClosed, SessionLost
from openenv_grpc.session.shard import status_frame
from openenv_grpc.v1 import session_pb2

if TYPE_CHECKING:
    from openenv_grpc.server.session import Session

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]


class SessionStream:
    """The stream of one session.

    Args:
        context: gRPC's end of it.
        limit: Bytes of one message.
    """

    def __init__(self, context: Any, limit: int) -> None:
        """Nothing is read or written yet."""
        self._context = context
        self._limit = limit
        self._outbox: deque[bytes | None] = deque()
        self._writing: Any = None
        self._written = asyncio.get_running_loop().create_future()
        self._held = 0
        self._room = asyncio.Event()
        self._unanswered = 0
        self._half_closed = False

    def put(self, frame: bytes | None) -> None:
        """Write a frame when its turn comes; None ends the stream."""
        self._held += len(frame or b"")
        self._outbox.append(frame)
        if self._writing is None:
            self._write()

    async def run(self, session: Session, opened: bytes) -> None:
        """Serve the session until it or the stream ends. A client that goes away cancels this."""
        self.put(opened)
        reader = asyncio.get_running_loop().create_task(self._read(session))
        try:
            await self._written
        finally:
            reader.cancel()
            session.end(SessionLost("its stream has ended"))

    def _write(self, waited: asyncio.Future[Any] | None = None) -> None:
        """Write what waits, one frame after the other.

        gRPC's coroutine is driven by hand, as a task would: it begins here and now, where a task would begin one turn
        of the loop later, with every answer. `waited` is what it waited for.
        """
        if waited is not None and self._written.done() and not waited.cancelled():
            waited.exception()  # nobody is left to be told
        while self._outbox and not self._written.done():
            frame = self._outbox[0]
            if frame is None:
                self._written.set_result(None)
                return
            try:
                self._writing = self._writing or self._context.write(frame)
                self._writing.send(None).add_done_callback(self._write)
            except StopIteration:
                self._writing = None
                self._outbox.popleft()
                self._release(len(frame))
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whoever runs this stream raises it
                self._written.set_exception(error)
            else:
                return

    async def _read(self, session: Session) -> None:
        """Take requests until the client has no more; what it sent until then is answered."""
        try:
            while (data := await self._context.read()) is not _EOF:
                self._take(session, data)
                while self._held > self._limit:
                    self._room.clear()
                    await self._room.wait()
            self._half_closed = True
            if not self._unanswered:
                self.put(None)
        except Exception as error:
            session.end(SessionLost(f"its stream broke: {error}"))
            raise

    def _take(self, session: Session, data: bytes) -> None:
        shard = seq = 0
        try:
            request = frames.decode(data, session_pb2.SessionRequest, self._limit).header
            shard, seq = request.shard, request.seq
            if request.WhichOneof("verb") == "close":
                closed = frames.encode(session_pb2.SessionResponse(shard=shard, seq=seq, ended=True, close={}))
                session.end(SessionClosed("the session was closed"), farewell=closed)
                return
            session.submit(request, data, lambda frame, flags: self._deliver(frame, len(data)))
            self._unanswered += 1
            self._held += len(data)
        except OpenEnvError as error:
            self.put(status_frame(shard, seq, error))

    def _deliver(self, frame: bytes, request_size: int) -> None:
        self.put(frame)
        self._release(request_size)
        self._unanswered -= 1
        if self._half_closed and not self._unanswered:
            self.put(None)

    def _release(self, size: int) -> None:
        self._held -= size
        self._room.set()
