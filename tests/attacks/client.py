"""A client of a hostile server, in a process of its own: what it got, how long that took, and how much memory.

python -m tests.attacks.client ADDRESS sync|asyncio, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from typing import Any

import openenv_grpc as oe
from openenv_grpc.errors import OpenEnvError

REST_S = 0.5
"""How long it does nothing between opening a session and using it: time for a server that talks without being asked."""
BUDGET_S = 2.0


def attempt(address: str) -> str:
    """Open a session, rest, and reset."""
    with oe.connect(address) as env:
        time.sleep(REST_S)
        env.reset(timeout_s=BUDGET_S)
    return "fine"


async def attempt_async(address: str) -> str:
    """The same for asyncio."""
    async with await oe.aio.connect(address) as env:
        await asyncio.sleep(REST_S)
        await env.reset(timeout_s=BUDGET_S)
    return "fine"


def main(address: str, shell: str) -> None:
    """Try, and tell."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.monotonic()
    found: dict[str, Any] = {"error": "", "message": ""}
    try:
        asyncio.run(attempt_async(address)) if shell == "asyncio" else attempt(address)
    except OpenEnvError as error:
        found = {"error": type(error).__name__, "message": str(error)[:500]}
    found["took_s"] = time.monotonic() - begin
    found["grown_mib"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)  # gRPC's threads of a connection that somebody else keeps busy are not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
