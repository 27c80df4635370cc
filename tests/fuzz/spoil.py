"""Ways to spoil bytes: what the targets do to frames that were good, and what the random engine does to inputs."""

from __future__ import annotations

import random
import struct

from tests.fuzz.source import INTERESTING, Source

HEADER_SIZE_TAG = 0x0D


def spoil(source: Source, data: bytes) -> bytes:
    """A few changes of good bytes, as the input says; often none."""
    for _ in range(source.below(4)):
        data = _change(source, data)
    return data


def _change(source: Source, data: bytes) -> bytes:
    how = source.below(8)
    at = source.below(len(data) + 1) if data else 0
    if how == 0:  # other bytes
        some = source.blob(8)
        return data[:at] + some + data[at + len(some) :]
    if how == 1:  # more bytes
        return data[:at] + source.blob(12) + data[at:]
    if how == 2:  # fewer bytes
        return data[:at] + data[at + source.below(16) :]
    if how == 3:  # the end is missing
        return data[:at]
    if how == 4:  # a part comes again at the end: the last of a field counts, repeated ones grow
        return data + data[at : at + source.below(64)]
    if how == 5:  # a byte counts up or down: lengths, tags, small numbers
        return (
            data[:at] + bytes([(data[at] + source.pick((1, -1, 128, 8))) % 256]) + data[at + 1 :]
            if at < len(data)
            else data
        )
    if how == 6:  # another offset of the payload
        return _header_size(source, data)
    number = source.pick(INTERESTING) % (1 << 64)  # a number at which something happens
    size = source.pick((1, 2, 4, 8))
    return data[:at] + number.to_bytes(8, "little")[:size] + data[at + size :]


def _header_size(source: Source, data: bytes) -> bytes:
    if len(data) < 5 or data[0] != HEADER_SIZE_TAG:
        return struct.pack("<BI", HEADER_SIZE_TAG, source.below(len(data) + 8)) + data
    (size,) = struct.unpack_from("<I", data, 1)
    other = source.pick(
        (0, 5, size - 1, size + 1, size - 64, len(data), len(data) + 1, source.below(len(data) + 8), 2**32 - 1)
    )
    return struct.pack("<BI", HEADER_SIZE_TAG, other % (1 << 32)) + data[5:]


def mutate(chance: random.Random, data: bytes, others: list[bytes], most: int = 512) -> bytes:
    """An input like others: what the engine does where there is no coverage to guide it."""
    how = chance.randrange(10)
    if not data or how == 0:
        return chance.randbytes(chance.randrange(1, 96))
    if how == 1 and others:
        other = chance.choice(others)
        return (data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :])[:most]
    return spoil(Source(b"\3" + chance.randbytes(48)), data)[:most]
