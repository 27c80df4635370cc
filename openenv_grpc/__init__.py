"""openenv-grpc: agentic RL environments in processes of their own, typed from .proto to numpy, over gRPC.

Importing this package loads nothing heavy: an environment in its worker imports it too. The clients, and grpc with
them, are loaded when one is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openenv_grpc import aio, errors
    from openenv_grpc.environment import Environment, StepResult
    from openenv_grpc.making import connect, connect_vec, make, make_vec
    from openenv_grpc.specs import ArraySpec, AutoresetMode
else:
    _HOME = {
        "ArraySpec": "openenv_grpc.specs",
        "AutoresetMode": "openenv_grpc.specs",
        "Environment": "openenv_grpc.environment",
        "StepResult": "openenv_grpc.environment",
        "connect": "openenv_grpc.making",
        "connect_vec": "openenv_grpc.making",
        "make": "openenv_grpc.making",
        "make_vec": "openenv_grpc.making",
        "aio": "openenv_grpc.aio",
        "errors": "openenv_grpc.errors",
    }

    def __getattr__(name: str) -> object:
        """Load what is asked for."""
        import importlib

        if name not in _HOME:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        module = importlib.import_module(_HOME[name])
        return module if _HOME[name] == f"{__name__}.{name}" else getattr(module, name)


__all__ = [
    "ArraySpec",
    "AutoresetMode",
    "Environment",
    "StepResult",
    "aio",
    "connect",
    "connect_vec",
    "errors",
    "make",
    "make_vec",
]


def __dir__() -> list[str]:
    """The public names."""
    return sorted({*globals(), *__all__})
