"""What gRPC itself costs: an asyncio server that answers so many bytes and does nothing else.

`python -m benchmarks.servers.pingpong ANSWER_BYTES`. No protobuf, no environment; a stream and a unary method, as ours.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from typing import Any

import grpc

from benchmarks.servers import serving_at

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def _main(size: int) -> None:
    answer = bytes(size)

    async def stream(_: Any, context: Any) -> None:
        while await context.read() is not grpc.aio.EOF:
            await context.write(answer)

    async def unary(_: bytes, context: Any) -> bytes:
        return answer

    methods = {
        "Stream": grpc.stream_stream_rpc_method_handler(stream),
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
    }
    directory = tempfile.mkdtemp(prefix="openenv-pingpong-")
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("PingPong", methods),))
    server.add_insecure_port(f"unix:{directory}/sock")
    await server.start()
    serving_at(f"unix:{directory}/sock", directory)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
