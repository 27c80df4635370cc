"""The bytes of an input, read as choices: whoever mutates the bytes mutates the choices.

Behind its end an input goes on with zeros, so every input can be read by every target.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

INTERESTING = [
    0, 1, -1, 2, 3, 63, 64, 127, 128, 255, 256, 1 << 16, (1 << 31) - 1, 1 << 31, -(1 << 31), (1 << 32) - 1, 1 << 32,
    (1 << 62), (1 << 63) - 1, 1 << 63, -(1 << 63), (1 << 64) - 1,
]  # fmt: skip
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.1, 1e-310, 3e38, 1e39, 1e308, float("inf"), float("-inf"), float("nan")]
TEXTS = ["", "a", "end", "raise", "raise:x", "refuse:action.level", "cut", "quit", "é", "€𝄞", "a.b", "\0", "x" * 70]


class Source:
    """One input.

    Args:
        data: Its bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes, fewer at the end."""
        self.at += size
        return self.data[self.at - size : self.at]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(max(len(self.data) - self.at, 0))

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1."""
        if bound > 256:
            return int.from_bytes(self.take(2 if bound <= 1 << 16 else 8), "little") % bound
        self.at += 1  # the most frequent of all choices
        return self.data[self.at - 1] % bound if self.at <= len(self.data) else 0

    def flag(self, one_in: int = 2) -> bool:
        """True once in so many bytes; False behind the end."""
        return self.below(256) % one_in == one_in - 1

    def pick(self, items: Sequence[T]) -> T:
        """One of some items."""
        return items[self.below(len(items))]

    def blob(self, most: int = 255) -> bytes:
        """Some bytes."""
        return self.take(self.below(min(most, 255) + 1))

    def text(self) -> str:
        """Some text, never with lone surrogates."""
        return self.blob(24).decode(errors="replace") if self.flag() else self.pick(TEXTS)

    def integer(self, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> int:
        """A number within bounds, often one at which something happens."""
        how = self.below(4)
        value = self.below(256) if how < 2 else self.pick(INTERESTING) if how == 2 else self.below(1 << 64)
        return value if low <= value <= high else low + value % (high - low + 1)

    def float(self) -> float:
        """Any number, infinities and NaN among them."""
        if self.flag():
            return self.pick(FLOATS)
        return float(struct.unpack("<d", self.take(8).ljust(8, b"\0"))[0])
