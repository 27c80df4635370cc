"""Python packages as byte code alone, without docstrings and assertions: what `python -OO` would load of them."""

from __future__ import annotations

import ast
import importlib.util
import marshal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_UNCHECKED = b"\x01\0\0\0" + bytes(8)
"""PEP 552: the byte code belongs to its source whatever that looks like now."""


def replace_by_byte_code(package: Path) -> None:
    """Compile all modules of a package and delete their sources; tracebacks keep file names and line numbers."""
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        _empty_docstrings(tree)
        code = compile(tree, path, "exec", dont_inherit=True, optimize=1)
        path.with_suffix(".pyc").write_bytes(importlib.util.MAGIC_NUMBER + _UNCHECKED + marshal.dumps(code))
        path.unlink()


def _empty_docstrings(tree: ast.AST) -> None:
    """Empty, not missing: packages that add to a docstring expect one unless the whole interpreter runs with -OO."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.copy_location(ast.Expr(ast.copy_location(ast.Constant(""), node.body[0])), node.body[0])
