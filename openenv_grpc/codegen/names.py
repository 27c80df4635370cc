"""Names of a generated module: what it imports, and under which name where the obvious one is taken.

An environment may call a field `list` or a message `Mapping`; the module's own needs then go by another name.
"""

from __future__ import annotations

import re

from openenv_grpc.codegen.docs import WIDTH

_STANDARD, _THIRD_PARTY, _OWN = range(3)
_HOMES = {
    "Any": "typing",
    "ClassVar": "typing",
    "IntEnum": "enum",
    "Mapping": "collections.abc",
    "NDArray": "numpy.typing",
    "Sequence": "collections.abc",
    "TYPE_CHECKING": "typing",
    "dataclass": "dataclasses",
    "field": "dataclasses",
}
_STANDARD_MODULES = {"builtins", *_HOMES.values()}
_SECTIONS = {"numpy": _THIRD_PARTY, "numpy.typing": _THIRD_PARTY}


class Names:
    """References to what a module needs from elsewhere.

    Args:
        taken: Names that the module or its class bodies define.
        homes: Modules of further names, beyond those that every generated module knows.
    """

    def __init__(self, taken: set[str], homes: dict[str, str] | None = None) -> None:
        """Nothing is imported yet."""
        self._taken = taken
        self._homes = _HOMES | (homes or {})
        self._plain: dict[str, str] = {}
        self._members: dict[str, dict[str, str]] = {}

    def __call__(self, name: str) -> str:
        """How to write a name of the standard library, of numpy (`np`), of the library or a builtin."""
        if name == "np":
            return self._module("numpy", "np")
        if name not in self._homes:
            return f"{self._module('builtins', 'builtins')}.{name}" if name in self._taken else name
        alias = self._free(name)
        self._members.setdefault(self._homes[name], {})[name] = alias
        return alias

    def _module(self, module: str, name: str) -> str:
        self._plain[module] = self._free(name)
        return self._plain[module]

    def _free(self, name: str) -> str:
        while name in self._taken:
            name = f"_{name}"
        return name

    def imports(self) -> list[str]:
        """The import block, without the one from `__future__`, sorted as isort sorts."""
        lines: list[str] = []
        for section in (_STANDARD, _THIRD_PARTY, _OWN):
            plain = sorted(module for module in self._plain if _section(module) == section)
            block = [_import(module, self._plain[module]) for module in plain]
            for module in sorted(self._members):
                if _section(module) == section:
                    block += from_import(module, self._members[module])
            lines += ["", *block] if block and lines else block
        return lines


def _section(module: str) -> int:
    return _SECTIONS.get(module, _STANDARD if module in _STANDARD_MODULES else _OWN)


def _import(module: str, alias: str) -> str:
    return f"import {module}" if alias == module else f"import {module} as {alias}"


def from_import(module: str, members: dict[str, str], indent: int = 0) -> list[str]:
    """The lines of `from module import …`; a renamed member has a line of its own."""
    margin = " " * indent
    same = [name for name in sorted(members, key=member_key) if members[name] == name]
    lines = [f"{margin}from {module} import {', '.join(same)}"] if same else []
    if lines and len(lines[0]) > WIDTH:
        lines = [f"{margin}from {module} import (", *(f"{margin}    {name}," for name in same), f"{margin})"]
    return lines + [f"{margin}from {module} import {n} as {members[n]}" for n in sorted(members) if members[n] != n]


def member_key(name: str) -> tuple[int, list[tuple[int, int, str]], str]:
    """Sorting key of isort and of `__all__`: constants, classes, the rest; digits count as numbers."""
    kind = 0 if len(name) > 1 and name.isupper() else 1 if name[:1].isupper() else 2
    parts = re.findall(r"\d+|\D+", name.lower())
    return kind, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts], name
