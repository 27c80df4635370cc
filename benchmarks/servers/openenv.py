"""OpenEnv's own server with an environment of `benchmarks.peers`: `python -m benchmarks.servers.openenv rgb deflate`.

Runs in OpenEnv's virtual environment, by uvicorn, as `openenv serve` does. `plain` in place of `deflate` turns the
WebSocket's compression off, on which uvicorn insists otherwise.
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from openenv.core.env_server.http_server import create_app

from benchmarks.peers import openenv_environments as environments
from benchmarks.servers import serving_at


def main(world: str, compression: str) -> None:
    """Serve."""
    if world == "echo":
        models = environments.EchoAction, environments.EchoObservation
        app = create_app(environments.EchoEnvironment, *models, env_name="echo", max_concurrent_envs=8)
    else:
        models = environments.AtariAction, environments.AtariObservation
        app = create_app(lambda: environments.AtariEnvironment(world), *models, env_name="atari", max_concurrent_envs=8)
    config = uvicorn.Config(app, log_level="warning", ws_per_message_deflate=compression == "deflate")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        serving_at(f"{host}:{port}")  # connections wait in the listener until uvicorn takes them
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(*sys.argv[1:])
