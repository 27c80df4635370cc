"""Clients: two thin shells, sync and asyncio, over the core in `openenv_grpc.session.client`; `VectorEnv` on top."""

from openenv_grpc.client.aio import AsyncEnvClient, AsyncVectorEnvClient
from openenv_grpc.client.pipeline import Pipeline
from openenv_grpc.client.sync import EnvClient, VectorEnvClient
from openenv_grpc.client.vector import VectorEnv

__all__ = ["AsyncEnvClient", "AsyncVectorEnvClient", "EnvClient", "Pipeline", "VectorEnv", "VectorEnvClient"]
