"""All commands, each a function in a file of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from openenv_grpc.cli import build, check, containers, describe, doctor, generate, init, rollout, serve

app = typer.Typer(
    name="openenv-grpc",
    help="Environments for agentic RL, in processes of their own, typed from .proto to numpy, over gRPC.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command()(rollout.rollout)


@app.command("serve", help=serve.ABOUT, context_settings={"ignore_unknown_options": True, "help_option_names": []})
def _serve(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    raise typer.Exit(serve.main(arguments or []))


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
