"""The command line: `openenv-grpc COMMAND`. Each command is a function in a file of its own."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from openenv_grpc.cli import build, check, containers, describe, doctor, generate, init, rollout, serve
from openenv_grpc.errors import OpenEnvError, harmless

GRPC_EXPERIMENTS = "-event_engine_client,-event_engine_listener"
"""Has the threads that wait in gRPC read its sockets, where a second pool of threads would hand every event on to them:
a third less time per round trip (docs/performance.md). gRPC reads it when it is imported, and ignores names that its
version does not know."""

app = typer.Typer(
    name="openenv-grpc",
    help="Environments for agentic RL, in processes of their own, typed from .proto to numpy, over gRPC.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(rollout.rollout)
app.command()(serve.serve)
app.command()(describe.describe)
app.command()(check.check)
app.command()(containers.ps)
app.command()(containers.reap)
app.command()(build.build)
app.command()(doctor.doctor)
app.command()(init.init)
app.command()(generate.generate)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        typer.echo(metadata.version("openenv-grpc"))
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit status is returned. Our own errors are shown as one sentence, without a traceback."""
    os.environ.setdefault("GRPC_EXPERIMENTS", GRPC_EXPERIMENTS)  # this process is ours, a trainer's is not
    try:
        app(argv)
    except OpenEnvError as error:
        typer.echo(harmless(f"error: {error}"), err=True)
        return 1
    except SystemExit as end:  # how typer ends, whatever it has to say: 2 for wrong usage, 130 for Ctrl-C
        return end.code if isinstance(end.code, int) else 0
    return 0


__all__ = ["app", "main"]
