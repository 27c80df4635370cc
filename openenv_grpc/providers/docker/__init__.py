"""The docker provider. The SDK is imported in this package alone."""

from openenv_grpc.providers.docker.provider import DockerProvider

__all__ = ["DockerProvider"]
