"""Shrunk libraries: what is loaded of them is what was loaded before, and they work."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openenv_grpc.image.elf import UNWINDING, shrink


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


NUMPY = _package("numpy")
OPENBLAS = sorted(NUMPY.with_name("numpy.libs").glob("*.so*"))
LIBRARIES = [path for name in ("numpy", "grpc", "google._upb") for path in sorted(_package(name).rglob("*.so"))]
SOLVE = """
import ctypes, sys
two, one, told = ctypes.c_int64(2), ctypes.c_int64(1), ctypes.c_int64(-1)
matrix, right, pivots = (ctypes.c_double * 4)(2, 0, 0, 4), (ctypes.c_double * 2)(2, 8), (ctypes.c_int64 * 2)()
solve = ctypes.CDLL(sys.argv[1]).scipy_dgesv_64_
solve(*map(ctypes.byref, (two, one, matrix, two, pivots, right, two, told)))
print(told.value, *right)
"""
pytestmark = pytest.mark.skipif(not OPENBLAS, reason="numpy is not from a wheel for Linux")


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Of what is loaded: address, offset in the file, size there."""
    table, count = struct.unpack_from("<32xQ16xH", data)
    found = [struct.unpack_from("<IIQQQQQQ", data, table + i * 56) for i in range(count)]
    return [(address, offset, size) for kind, _, offset, address, _, size, *_ in found if kind == 1]


def _sections(data: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Of what is loaded: name, address, contents."""
    table, count, names = struct.unpack_from("<40xQ12xHH", data)
    found = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * 64) for i in range(count)]
    for name, kind, flags, address, offset, size, *_ in found:
        if flags & 2 and kind != 8:
            yield data[found[names][4] + name :].split(b"\0", 1)[0].decode(), address, data[offset : offset + size]


def _at(data: bytes, address: int, size: int) -> bytes | None:
    """What a loader puts at an address; None if that is not all in one segment."""
    for begin, offset, length in _segments(data):
        if begin <= address and address + size <= begin + length:
            return data[offset + address - begin :][:size]
    return None


@pytest.mark.parametrize("path", [*OPENBLAS, *LIBRARIES], ids=lambda path: path.name)
@pytest.mark.parametrize("without", [(), UNWINDING], ids=["whole", "without unwinding"])
def test_every_section_is_where_it_was(path: Path, without: tuple[str, ...], tmp_path: Path):
    copy = Path(shutil.copy(path, tmp_path))
    saved = shrink(copy, without)
    before, after = path.read_bytes(), copy.read_bytes()
    assert saved == len(before) - len(after) > 0
    for name, address, contents in _sections(before):
        if name not in without:
            assert _at(after, address, len(contents)) == contents, name
    assert all((address - offset) % 4096 == 0 for address, offset, _ in _segments(after))


def test_pages_that_nothing_lies_in_are_left_out(tmp_path: Path):
    library = next(path for path in OPENBLAS if "openblas" in path.name)
    whole, cut = (Path(shutil.copy(library, tmp_path / name)) for name in ("whole", "cut"))
    shrink(whole)
    shrink(cut, UNWINDING)
    assert b"X" * 8192 in library.read_bytes(), "patchelf left no gap: this shows nothing"
    assert b"X" * 8192 not in whole.read_bytes()
    unwinding = sum(len(contents) for name, _, contents in _sections(library.read_bytes()) if name in UNWINDING)
    assert whole.stat().st_size - cut.stat().st_size == pytest.approx(unwinding, abs=2 * 4096)


def test_a_shrunk_library_works(tmp_path: Path):
    for path in OPENBLAS:
        shrink(Path(shutil.copy(path, tmp_path)), UNWINDING)
    library = next(path.name for path in OPENBLAS if "openblas" in path.name)
    command = [sys.executable, "-c", SOLVE, str(tmp_path / library)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["0", "1.0", "2.0"]


def test_what_is_no_library_stays(tmp_path: Path):
    path = tmp_path / "script.so"
    path.write_bytes(b"GROUP ( libm.so.6 )")
    assert shrink(path) == 0
    assert path.read_bytes() == b"GROUP ( libm.so.6 )"
