"""Python packages as byte code alone, without docstrings and assertions: what `python -OO` would load of them.

Nor does it say in which columns of a line things stood: tracebacks underline with them, in sources that are not there.
"""

from __future__ import annotations

import ast
import importlib.util
import marshal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_PLACED = (ast.expr, ast.stmt, ast.excepthandler, ast.pattern, ast.arg, ast.keyword, ast.alias)
_UNCHECKED = b"\x01\0\0\0" + bytes(8)
"""PEP 552: the byte code belongs to its source whatever that looks like now."""


def replace_by_byte_code(package: Path) -> None:
    """Compile all modules of a package and delete their sources; tracebacks keep file names and line numbers.

    Args:
        package: Its directory, or the file of a module that is in none.
    """
    for path in [package] if package.is_file() else package.rglob("*.py"):
        tree = ast.parse(path.read_bytes())
        _empty_docstrings(tree)
        _forget_columns(tree)
        code = compile(tree, path, "exec", dont_inherit=True, optimize=1)
        path.with_suffix(".pyc").write_bytes(importlib.util.MAGIC_NUMBER + _UNCHECKED + marshal.dumps(code))
        path.unlink()


def _empty_docstrings(tree: ast.AST) -> None:
    """Empty, not missing: packages that add to a docstring expect one unless the whole interpreter runs with -OO."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.copy_location(ast.Expr(ast.copy_location(ast.Constant(""), node.body[0])), node.body[0])


def _forget_columns(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _PLACED):
            node.col_offset = node.end_col_offset = -1
            node.end_lineno = node.lineno
