"""`openenv-grpc doctor`: what this machine can hold an environment with."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from openenv_grpc.providers.doctor import Finding, State, can_harden, examine

if TYPE_CHECKING:
    from collections.abc import Sequence

STYLES = {State.WORKS: "green", State.LIMITED: "yellow", State.MISSING: "red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON instead of a table.")] = False,
) -> None:
    """Say what works on this machine, what does not, and what to do about it.

    Nothing is changed and no container is started. Exit status: 0 when
    containers of the hardened profile can run here, 1 when they cannot.
    """
    findings = examine()
    if as_json:
        entries = [dataclasses.asdict(finding) | {"state": finding.state.value} for finding in findings]
        typer.echo(json.dumps({"hardened": can_harden(findings), "findings": entries}, indent=2))
    else:
        show(findings, Console())
    raise typer.Exit(0 if can_harden(findings) else 1)


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print them as a table, and the sum of it."""
    table = Table("", "", title="openenv-grpc doctor", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("found, and what to do", overflow="fold")
    for finding in findings:
        style = STYLES[finding.state]
        if finding.state is State.MISSING and not finding.needed:
            style = "dim"
        state = Text(finding.state.value, style=style)
        advice = f"\n→ {finding.advice}" if finding.advice else ""
        table.add_row(Text(finding.name), state, Text.assemble(finding.found, (advice, "dim")))
    console.print(table)
    broken = [finding.name for finding in findings if finding.needed and finding.state is State.MISSING]
    if broken:
        console.print(f"The hardened profile cannot run here: {', '.join(broken)}.", style="red", markup=False)
    else:
        console.print("The hardened profile can run here.", style="green")
