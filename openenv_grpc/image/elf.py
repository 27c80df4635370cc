"""Shared libraries without what no loader reads: symbol tables, and the gaps that patchelf left.

A loader reads the program headers and what they point to. It can also do without the pages of a loaded segment in
which no section lies: the segment is cut in two there, and each part keeps its address. `strip` is in no image of
Python, does not do the latter, and is known to break libraries that patchelf has changed, as most wheels' are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    Span = tuple[int, int]  # where something begins in the file, and where it ends

UNWINDING = (".eh_frame", ".eh_frame_hdr")
"""The sections that tell exceptions of C++, and debuggers, how to leave a function."""
_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little endian, version 1
_SHARED = 3  # ET_DYN
_LOAD, _TABLE, _EH_FRAME = 1, 6, 0x6474E550  # PT_LOAD, PT_PHDR, PT_GNU_EH_FRAME
_WRITABLE = 2  # PF_W
_NO_BITS, _ALLOCATED = 8, 2  # SHT_NOBITS, SHF_ALLOC
_X86_64 = 62
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_CUTS = 8
"""How many times a library's segments may be cut; there must be room for as many more of them in its table."""


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

    def part(self, begin: int, end: int) -> _Segment:
        address, size = self.address + begin - self.offset, end - begin
        return replace(self, offset=begin, address=address, physical=address, size=size, memory=size)


def shrink(path: Path, without: Collection[str] = ()) -> int:
    """Rewrite a shared library with its loaded parts only; the number of bytes saved is returned.

    A file that is no 64-bit shared library, or is laid out in a way that is not known here, stays as it is.

    Args:
        path: The library.
        without: Sections to leave out although they are loaded: none, or `UNWINDING`.
    """
    data = path.read_bytes()
    smaller = _compact(data, without) if data.startswith(_MAGIC) else None
    if smaller is None or len(smaller) >= len(data):
        return 0
    path.write_bytes(smaller)
    return len(data) - len(smaller)


def _compact(data: bytes, without: Collection[str]) -> bytes | None:
    header = list(_HEADER.unpack_from(data))
    kind, machine, table, width, count = header[1], header[2], header[5], header[9], header[10]
    if kind != _SHARED or width != _SEGMENT.size:
        return None
    page = 1 << 12 if machine == _X86_64 else 1 << 16
    stays = _sections(data, header, without)
    room = min([begin for begin, _ in stays if begin >= table], default=len(data))
    stays += [(0, _HEADER.size), (table, min(room, table + (count + _CUTS) * width))]
    segments = [_Segment(*_SEGMENT.unpack_from(data, table + i * width)) for i in range(count)]
    segments = [each for each in segments if each.kind != _EH_FRAME or not without]
    segments = [part for each in segments for part in (_cut(each, stays, page) if each.kind == _LOAD else [each])]
    moved = _lay_out([each for each in segments if each.kind == _LOAD], page)
    placed = [new for each in segments if (new := _move(each, moved))]
    headers = _move(_Segment(_TABLE, 0, table, 0, 0, len(segments) * width, 0, 0), moved)
    if headers is None or len(placed) < len(segments) or table + headers.size > room:
        return None
    header[5], header[6], header[10:] = headers.offset, 0, [len(placed), 0, 0, 0]  # no sections
    placed = [replace(each, size=headers.size, memory=headers.size) if each.kind == _TABLE else each for each in placed]
    return _assemble(data, header, placed, moved)


def _sections(data: bytes, header: list[int], without: Collection[str]) -> list[Span]:
    """What is loaded of the file according to its sections; all of it, where it has none."""
    table, width, count, names = header[6], *header[11:]
    found = [_SECTION.unpack_from(data, table + i * width) for i in range(count)]
    if not found:
        return [(0, len(data))]
    start = found[names][4]
    gone = {name.encode() for name in without}
    return [
        (offset, offset + size)
        for name, kind, flags, _, offset, size, *_ in found
        if kind != _NO_BITS and flags & _ALLOCATED and data[start + name :].split(b"\0", 1)[0] not in gone
    ]


def _cut(each: _Segment, stays: list[Span], page: int) -> list[_Segment]:
    """A loaded segment without the pages in which nothing stays."""
    begin, end = each.offset, each.offset + each.size
    inside = sorted((max(first, begin), min(last, end)) for first, last in stays if first < end and last > begin)
    if each.flags & _WRITABLE:  # only shorter: what is missing at its end reads as zeros
        return [replace(each, size=max([last for _, last in inside], default=begin) - begin)]
    if each.memory != each.size or not inside:
        return [each]
    parts = [(begin, begin)]
    for first, last in inside:
        start, reached = parts[-1]
        if first // page > -(-reached // page):
            parts.append((first // page * page, last))
        else:
            parts[-1] = (start, max(reached, last))
    return [each.part(*part) for part in parts if part != (begin, begin)]


def _lay_out(loads: list[_Segment], page: int) -> dict[_Segment, _Segment]:
    """Where each loaded segment goes: as near to the one before as the size of a page lets it."""
    moved: dict[_Segment, _Segment] = {}
    end = 0
    for each in sorted(loads, key=lambda each: each.offset):
        align = min(each.align, page)
        offset = min(each.offset, end + (each.address - end) % align)
        moved[each] = replace(each, offset=offset, align=align)
        end = offset + each.size if each.size else end
    return moved


def _move(each: _Segment, moved: dict[_Segment, _Segment]) -> _Segment | None:
    """A segment that lies within a loaded one, moved along with it; None if it lies in none."""
    if each.kind == _LOAD:
        return moved[each]
    if each.size == 0:
        return each
    for old, new in moved.items():
        if old.offset <= each.offset and each.offset + each.size <= old.offset + old.size:
            return replace(each, offset=each.offset - old.offset + new.offset)
    return None


def _assemble(data: bytes, header: list[int], placed: list[_Segment], moved: dict[_Segment, _Segment]) -> bytes:
    """The new file: what stays of the old one, and a header and a table that say where it is now."""
    result = bytearray(max(new.offset + new.size for new in moved.values()))
    for old, new in moved.items():
        result[new.offset : new.offset + new.size] = data[old.offset : old.offset + old.size]
    _HEADER.pack_into(result, 0, *header)
    for i, each in enumerate(placed):
        _SEGMENT.pack_into(result, header[5] + i * _SEGMENT.size, *vars(each).values())
    return bytes(result)
