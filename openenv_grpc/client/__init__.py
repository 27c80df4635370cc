"""Clients: two thin shells, sync and asyncio, over the one core in `openenv_grpc.session.client`."""

from openenv_grpc.client.aio import AsyncEnvClient, AsyncVectorEnvClient
from openenv_grpc.client.sync import EnvClient, VectorEnvClient

__all__ = ["AsyncEnvClient", "AsyncVectorEnvClient", "EnvClient", "VectorEnvClient"]
