"""`openenv-grpc build`: makes an environment's image."""

from openenv_grpc.cli.build.command import build

__all__ = ["build"]
