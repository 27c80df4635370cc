"""Attempts to reach anybody, over every family of sockets there is."""

from __future__ import annotations

import os
import socket
from typing import Any

from hostile.calls import in_child, outcome

TIMEOUT_S = 1.0


def sockets() -> dict[str, str]:
    """Every family, and the kinds and protocols of the internet's."""
    found = {}
    for family in range(1, 47):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            found[f"{family} {kind.name}"] = in_child(
                lambda f=family, k=kind: outcome(lambda: socket.socket(f, k).close())
            )
    for name, kind, protocol in (
        ("icmp", socket.SOCK_DGRAM, 1), ("sctp", socket.SOCK_STREAM, 132), ("dccp", 6, 33),
        ("mptcp", socket.SOCK_STREAM, 262),
        ("udplite", socket.SOCK_DGRAM, 136), ("raw", socket.SOCK_RAW, 255), ("packet", 10, 768),
    ):  # fmt: skip
        found[name] = in_child(lambda k=kind, p=protocol: outcome(lambda: socket.socket(socket.AF_INET, k, p).close()))
    return found


def reach(targets: list[tuple[str, int]], abstract: list[str]) -> dict[str, Any]:
    """TCP and UDP to addresses, names, abstract sockets of the host, and what interfaces there are."""
    found: dict[str, Any] = {}
    for host, port in targets:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for name, kind in (("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)):

            def connect(family: int = family, kind: int = kind, address: tuple[str, int] = (host, port)) -> None:
                with socket.socket(family, kind) as sock:
                    sock.settimeout(TIMEOUT_S)
                    sock.connect(address)
                    sock.send(b"attack")
                    if kind == socket.SOCK_DGRAM:
                        sock.recv(1)

            found[f"{name} {host}:{port}"] = outcome(connect)
    for name in abstract:

        def call(name: str = name) -> None:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect("\0" + name)

        found[f"abstract {name}"] = outcome(call)
    found["dns"] = outcome(lambda: socket.getaddrinfo("example.com", 80))
    found["interfaces"] = sorted(os.listdir("/sys/class/net"))
    return found
