"""From an environment's `.proto` to a package of typed records and clients.

`generate` is a function from descriptors (with their comments) to the text of files; nothing in it touches the disk.
`openenv_grpc.codegen.protoc` runs the compiler, and `python -m openenv_grpc.codegen` is a protoc plugin.
"""

from __future__ import annotations

from openenv_grpc.codegen.generator import generate

__all__ = ["generate"]
