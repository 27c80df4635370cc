"""What an image does without: files that packages ship for developers, and that no running environment reads.

Only packages that are named here lose files or their source, for the reason given. Whatever else an environment
installs stays as it is, but for the symbol tables of its shared libraries.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from openenv_grpc.image.compiled import replace_by_byte_code
from openenv_grpc.image.elf import UNWINDING, shrink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NUMPY = (
    "numpy/**/tests",  # its own test suite, and what only that loads:
    "numpy/conftest.py",
    "numpy/_core/_simd.*.so",
    "numpy/_core/_*_tests.*.so",
    "numpy/_pyinstaller",
    "numpy/f2py",  # to compile Fortran, C and Cython against numpy
    "numpy/distutils",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/random/lib",
    "numpy/random/_examples",
    "numpy/**/*.pxd",
    "numpy/**/*.pyi",  # for type checkers
    "numpy/typing/mypy_plugin.py",
)
_REST = (
    "grpc/_cython/_credentials",  # the certificates of the web: there is no network
    "google/**/*.pyi",
    "google/**/*.proto",  # the generated modules carry them
    "google/protobuf/testdata",
    "openenv_grpc/cli/[!_s]*",  # an image serves; these need typer, grpcio-tools and pytest, which are not there
    "openenv_grpc/codegen",
    "openenv_grpc/testing",
    "openenv_grpc/_proto",
    "openenv_grpc/**/*.pyi",
    "ale_py/libSDL2-2.0.so*",  # a window and sound; loaded when they are asked for
    "*.dist-info/RECORD",  # to uninstall
)
EMPTY = ("numpy/_core/_add_newdocs.py", "numpy/_core/_add_newdocs_scalars.py")
"""Modules that do nothing but give docstrings to what is written in C. Empty, not missing: numpy imports them."""
BYTE_CODE = ("numpy", "grpc", "google", "grpc_health", "grpc_reflection", "typing_extensions.py")
"""Packages of which only byte code stays, without docstrings."""
NO_EXCEPTIONS = "numpy.libs"
"""Where OpenBLAS and its Fortran library lie: in C and Fortran, which no exception passes through."""


def trim(site: Path) -> None:
    """Shrink the packages in a site-packages directory."""
    for path in [path for pattern in (*_NUMPY, *_REST) for path in site.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in _libraries(site):
        shrink(path, without=UNWINDING if path.parent.name == NO_EXCEPTIONS else ())
    for path in [path for pattern in EMPTY for path in site.glob(pattern)]:
        path.write_text("")
    for package in BYTE_CODE:
        replace_by_byte_code(site / package)


def _libraries(site: Path) -> Iterator[Path]:
    return (path for path in site.rglob("*.so*") if path.is_file() and not path.is_symlink())
