"""The command line: `openenv-grpc COMMAND`."""

from __future__ import annotations

import os
import sys

from openenv_grpc.errors import OpenEnvError, Unsupported, harmless

GRPC_EXPERIMENTS = "-event_engine_client,-event_engine_listener"
"""Has the threads that wait in gRPC read its sockets, where a second pool of threads would hand every event on to them:
a third less time per round trip (docs/performance.md). gRPC reads it when it is imported, and ignores names that its
version does not know."""


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status is returned. Our own errors are shown as one sentence, without a traceback."""
    os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)  # this process is ours, a trainer's is not
    arguments = sys.argv[1:] if argv is None else argv
    try:
        return _run(arguments)
    except OpenEnvError as error:
        print(harmless(f"error: {error}"), file=sys.stderr)
        return 1
    except SystemExit as end:  # how a command line ends, whatever it has to say: 2 for wrong usage, 130 for Ctrl-C
        return end.code if isinstance(end.code, int) else 0


def _run(arguments: list[str]) -> int:
    """A server is to be small, and in an image there is nothing else to run: it loads no other command."""
    if arguments[:1] == ["serve"]:
        from openenv_grpc.cli.serve import main as serve

        return serve(arguments[1:])
    try:
        from openenv_grpc.cli.app import app
    except ModuleNotFoundError as error:
        msg = f"this installation has only the command serve, as images do: there is no module {error.name}"
        raise Unsupported(msg) from None
    app(arguments)
    return 0


__all__ = ["main"]
