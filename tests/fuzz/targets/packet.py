"""Packets between the server and a worker: socket messages that may be cut, glued, lost, repeated or invented.

What may happen: a ValueError, after which the socket is given up; packets that are those that were sent when nothing
was spoilt. What may not: any other exception, a frame above the limit, more held bytes than the limit allows.
"""

from __future__ import annotations

from openenv_grpc.session.packet import FRAGMENT, PREFIX, Assembler, Packet, messages
from tests.fuzz.source import Source
from tests.fuzz.spoil import spoil

LIMIT = 3 * FRAGMENT


def one_input(data: bytes) -> None:
    source = Source(data)
    if source.flag():
        return _round_trip(source)
    assembler, held = Assembler(LIMIT), 0
    for _ in range(1 + source.below(6)):
        message = source.blob() if source.flag() else spoil(source, messages(_packet(source))[0])
        try:
            packet = assembler.feed(message)
        except ValueError:
            return None
        held = 0 if packet else held + len(message)
        assert held <= LIMIT + PREFIX.size
        assert packet is None or len(packet.frame) <= LIMIT
    return None


def _packet(source: Source) -> Packet:
    size = source.pick((0, 1, 40, FRAGMENT - 1, FRAGMENT, FRAGMENT + 1, 2 * FRAGMENT, LIMIT, LIMIT + 1))
    frame = (source.blob() or b"\0").ljust(size, b"x")[:size]
    return Packet(source.below(4), source.below(1 << 32), source.below(1 << 64), frame)


def _round_trip(source: Source) -> None:
    sent = [_packet(source) for _ in range(1 + source.below(3))]
    sent = [packet for packet in sent if len(packet.frame) <= LIMIT]
    assembler = Assembler(LIMIT)
    found = [packet for one in sent for message in messages(one) if (packet := assembler.feed(message)) is not None]
    assert found == sent
