"""The package around the types: `client.py` and the `__init__.py` that loads it only when it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openenv_grpc.codegen.docs import WIDTH
from openenv_grpc.codegen.names import from_import, member_key

if TYPE_CHECKING:
    from openenv_grpc.codegen.environment import EnvironmentModel

_BASES = ("EnvClient", "AsyncEnvClient", "VectorEnvClient", "AsyncVectorEnvClient")
_FUTURE = ["from __future__ import annotations", ""]


def client_module(model: EnvironmentModel) -> list[str]:
    """The lines of `client.py`, below its header: four classes, single and vector, synchronous and asyncio."""
    lines = [f'"""Clients of the environment {model.name} that know its types."""', "", *_FUTURE]
    lines += ["from typing import ClassVar", ""]
    imports = [
        *from_import(model.package, {"types": "types"}),
        *from_import("openenv_grpc.client", {base: base for base in _BASES}),
        *from_import("openenv_grpc.codec.records", {"RecordSet": "RecordSet"}),
    ]
    lines += sorted(imports, key=lambda line: line.split()[1])
    for name, base, summary in zip(model.clients, _BASES, _summaries(model), strict=True):
        lines += ["", "", *_client(model, name, base, summary)]
    return lines


def _summaries(model: EnvironmentModel) -> tuple[str, str, str, str]:
    return (
        f"One lane of {model.name}.",
        f"One lane of {model.name}, for asyncio.",
        f"Many lanes of {model.name}, stepped together.",
        f"Many lanes of {model.name}, stepped together, for asyncio.",
    )


def _client(model: EnvironmentModel, name: str, base: str, summary: str) -> list[str]:
    suffix = "Columns" if "Vector" in base else ""
    action, observation, state = (message.entry.class_name for message in model.roots)
    return [
        *_class_statement(name, base, [f"types.{action}{suffix}", f"types.{observation}{suffix}", f"types.{state}"]),
        f'    """{summary}"""',
        "",
        "    RECORDS: ClassVar[RecordSet] = types.RECORDS",
        f'    NAME: ClassVar[str] = "{model.name}"',
    ]


def _class_statement(name: str, base: str, arguments: list[str]) -> list[str]:
    """One line where it fits, else wrapped as the formatter wraps it."""
    parent = f"{base}[{', '.join(arguments)}]"
    line = f"class {name}({parent}):"
    return [line] if len(line) <= WIDTH else [f"class {name}(", f"    {parent}", "):"]


def package_module(model: EnvironmentModel) -> list[str]:
    """The lines of the package's `__init__.py`, below its header."""
    exports = model.exports()
    clients = list(model.clients)
    return [
        f'"""The environment {model.name}: its types, and its clients.',
        "",
        "Importing it loads the types alone; the clients, and grpc with them, are loaded when one is first used.",
        '"""',
        "",
        *_FUTURE,
        "from typing import TYPE_CHECKING",
        "",
        *from_import(f"{model.package}.types", {name: name for name in exports}),
        "",
        "if TYPE_CHECKING:",
        *from_import(f"{model.package}.client", {name: name for name in clients}, indent=4),
        "else:",
        "",
        "    def __getattr__(name: str) -> object:",
        '        """Load a client class."""',
        "        if name in __all__:",
        f"            from {model.package} import client",
        "",
        "            return getattr(client, name)",
        '        message = f"module {__name__!r} has no attribute {name!r}"',
        "        raise AttributeError(message)",
        "",
        "",
        "__all__ = [",
        *(f'    "{name}",' for name in sorted(exports + clients, key=member_key)),
        "]",
        "",
        "",
        "def __dir__() -> list[str]:",
        '    """Names of types and clients."""',
        "    return sorted({*globals(), *__all__})",
    ]
