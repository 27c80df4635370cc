"""`openenv-grpc describe`: what a running server says about itself."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from openenv_grpc.session.token import token_in

if TYPE_CHECKING:
    from openenv_grpc.specs import ArraySpec, ServerSpec


def describe(
    address: Annotated[str, typer.Argument(help="Where the server listens: unix:/path or host:port.")],
) -> None:
    """Show a server's environment, its options, columns, capabilities and limits.

    If the server asks for a token, put it in OPENENV_TOKEN.
    """
    _show(ask(address, token_in(os.environ)), Console())


def ask(address: str, token: str | None = None) -> ServerSpec:
    """What the server at an address says about itself.

    Raises:
        ServerUnavailable: Nobody answers there.
        Unauthenticated: It asks for a token, and for another than this.
        ProtocolMismatch: It speaks another revision, or something else.
    """
    from openenv_grpc.client.carriers import GrpcCarrier

    carrier = GrpcCarrier(address, token)
    try:
        return carrier.describe()
    finally:
        carrier.close()


def _show(server: ServerSpec, console: Console) -> None:
    environment = server.environment
    console.print(f"[bold]{environment.name}[/bold] {environment.version}")
    console.print(environment.documentation.partition("\n\n")[0], style="dim", markup=False)
    table = Table("message", "field", "dtype", "shape", "bounds", title="columns, with the default options")
    for message, columns in (("action", environment.session.action), ("observation", environment.session.observation)):
        for name, spec in columns.items():
            table.add_row(message, name, spec.dtype.name, str(list(spec.shape)), _bounds(spec))
    console.print(table)
    options = Table("option", "type", "default", "choices", title="construction options")
    for option in environment.options:
        default = "required" if option.required else repr(option.default)
        options.add_row(option.name, option.type.value, default, ", ".join(map(str, option.choices)))
    console.print(options)
    facts = {
        **dataclasses.asdict(environment.capabilities),
        **dataclasses.asdict(server.limits),
        "isolation": server.isolation or "not told",
        "sessions apart": server.isolation_tier.name.lower(),
        "open sessions": server.open_sessions,
        "protocol revision": server.protocol_revision,
        "spec hash": environment.spec_hash[:16],
    }
    for name, value in facts.items():
        console.print(f"{name:>18}  {value}", highlight=False, markup=False)


def _bounds(spec: ArraySpec) -> str:
    if spec.low is None and spec.high is None:
        return ""
    return f"{'-∞' if spec.low is None else f'{spec.low:g}'} … {'∞' if spec.high is None else f'{spec.high:g}'}"
