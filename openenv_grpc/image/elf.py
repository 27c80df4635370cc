"""Shared libraries without what no loader reads: symbol tables, and the gaps that patchelf left.

A loader reads the program headers and what they point to, nothing else. `strip` does the same and more, but is in no
image of Python, and it is known to break libraries that patchelf has changed, as most wheels' are.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little endian, version 1
_SHARED = 3  # ET_DYN
_LOAD = 1  # PT_LOAD
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_WRITABLE = 2  # PF_W
_FILLER = re.compile(rb"X{1024,}\0*\Z")
"""patchelf overwrites the tables that it has copied elsewhere with this letter."""


@dataclass(frozen=True)
class _Segment:
    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    size: int
    memory: int
    align: int

    def holds(self, other: _Segment) -> bool:
        return self.offset <= other.offset and other.offset + other.size <= self.offset + self.size


def shrink(path: Path) -> int:
    """Rewrite a shared library with its loaded parts only; the number of bytes saved is returned.

    A file that is no 64-bit shared library, or is laid out in a way that is not known here, stays as it is.
    """
    data = path.read_bytes()
    smaller = _compact(data) if data.startswith(_MAGIC) else None
    if smaller is None or len(smaller) >= len(data):
        return 0
    path.write_bytes(smaller)
    return len(data) - len(smaller)


def _compact(data: bytes) -> bytes | None:
    header = list(_HEADER.unpack_from(data))
    table, width, count = header[5], header[9], header[10]
    if header[1] != _SHARED or width != _SEGMENT.size:
        return None
    segments = [_Segment(*_SEGMENT.unpack_from(data, table + i * width)) for i in range(count)]
    loads = sorted((each for each in segments if each.kind == _LOAD), key=lambda each: each.offset)
    moved = _lay_out(data, loads)
    placed = [_move(each, moved) for each in segments]
    headers = _move(_Segment(0, 0, table, 0, 0, width * count, 0, 0), moved)
    if headers is None or any(each is None for each in placed):
        return None
    result = bytearray(max(new.offset + new.size for new in moved.values()))
    for old, new in moved.items():
        result[new.offset : new.offset + new.size] = data[old.offset : old.offset + new.size]
    header[5], header[6], header[11], header[12], header[13] = headers.offset, 0, 0, 0, 0  # no sections
    _HEADER.pack_into(result, 0, *header)
    for i, each in enumerate(placed):
        _SEGMENT.pack_into(result, headers.offset + i * width, *vars(each).values())
    return bytes(result)


def _lay_out(data: bytes, loads: list[_Segment]) -> dict[_Segment, _Segment]:
    """Where each loaded segment goes: as near to the one before as its alignment lets it."""
    moved: dict[_Segment, _Segment] = {}
    end = 0
    for each in loads:
        content = data[each.offset : each.offset + each.size]
        filler = _FILLER.search(content) if each.flags & _WRITABLE else None  # what is missing there reads as zeros
        size = filler.start() if filler else each.size
        offset = min(each.offset, end + (each.address - end) % each.align)
        moved[each] = replace(each, offset=offset, size=size)
        end = offset + size if size else end
    return moved


def _move(each: _Segment, moved: dict[_Segment, _Segment]) -> _Segment | None:
    """A segment that lies within a loaded one, moved along with it; None if it lies in none."""
    if each.kind == _LOAD:
        return moved[each]
    if each.size == 0:
        return each
    for old, new in moved.items():
        if old.holds(each) and each.offset + each.size <= old.offset + new.size:
            return replace(each, offset=each.offset - old.offset + new.offset)
    return None
