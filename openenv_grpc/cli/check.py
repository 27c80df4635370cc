"""`openenv-grpc check`: run the conformance cases against a server."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openenv_grpc.errors import InvalidArgument, OpenEnvError
from openenv_grpc.session.token import token_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from openenv_grpc.testing import Case, Face, Result, Target

ADDRESS = re.compile(r"unix:.*|.*:\d+")
FAILURE, USAGE = 1, 2


def check(
    target: Annotated[
        str, typer.Argument(help="A running server (unix:/path, host:port), an installed environment, or module:Class.")
    ],
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="Construction option name=value; repeatable.")
    ] = None,
    case: Annotated[str, typer.Option(help="Only cases, or topics, that match this pattern (* and ? are wild).")] = "*",
    face: Annotated[str | None, typer.Option(help="Only this face: stream, unary or local.")] = None,
    hint: Annotated[
        list[str] | None,
        typer.Option(help='Hint name=JSON, such as ending_action=\'{"verb": "end"}\'; repeatable.'),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write the results here.")] = None,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Seconds that one case may take.")] = 30.0,
) -> None:
    """Check that a server keeps the rules of the protocol, case by case.

    The server may be written in any language: nothing is known of it but its
    description. A named environment is started on this machine for the
    occasion. Some cases need a hint, such as an action that ends an episode;
    without it they are skipped and say so. If a running server asks for a
    token, put it in OPENENV_TOKEN. See docs/conformance.md.

    Exit status: 0 when no case failed, 1 when one did, 2 when nothing could be
    checked.

    Example: openenv-grpc check echo --json conformance.json
    """
    try:
        status = _run(target, option or [], case, face, hint or [], json_file, timeout_s)
    except OpenEnvError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(USAGE) from None
    raise typer.Exit(status)


def _run(
    name: str,
    options: Sequence[str],
    pattern: str,
    face: str | None,
    hints: Sequence[str],
    json_file: Path | None,
    timeout_s: float,
) -> int:
    from rich.console import Console

    from openenv_grpc.testing import Hints, check_target, select

    chosen = select(pattern, _faces(face))
    given = Hints.of(dict(_read_hint(text) for text in hints))
    console = Console()
    running = ADDRESS.fullmatch(name) is not None
    with ExitStack() as stack:
        with console.status(f"asking {name} …" if running else f"starting {name} …"):  # shown on terminals only
            environment, address = (None, name) if running else (name, None)
            token = token_in(os.environ) if running else None
            target = stack.enter_context(
                check_target(environment, address, hints=given, timeout_s=timeout_s, token=token)
            )
        target.options = _read_options(options, target)
        if face is None and not target.has_local_lane:
            chosen = [(case, on) for case, on in chosen if on.value != "local"]
        begin = time.monotonic()
        results = _run_all(target, chosen, console)
        _report(target, results, time.monotonic() - begin, console)
        if json_file is not None:
            _write(json_file, name, target, results)
    return FAILURE if any(result.status == "failed" for result in results) else 0


def _faces(name: str | None) -> tuple[Face, ...]:
    from openenv_grpc.testing import ALL

    chosen = tuple(face for face in ALL if name in (None, face.value))
    if not chosen:
        msg = f"{name!r} is none of stream, unary, local"
        raise InvalidArgument(msg, field="face")
    return chosen


def _read_hint(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name, json.loads(value)
    except json.JSONDecodeError as error:
        msg = f"the value is not JSON: {error}"
        raise InvalidArgument(msg, field=f"hint.{name}") from None
    msg = "write it as name=JSON"
    raise InvalidArgument(msg, field=f"hint.{text}")


def _read_options(texts: Sequence[str], target: Target) -> dict[str, Any]:
    """Options by the types that the server tells; it will check them itself."""
    from openenv_grpc.codec.describe import environment_from_message
    from openenv_grpc.session.options import check_options, parse_option

    if not texts:
        return {}
    specs = environment_from_message(target.environment).options
    optional = [replace(spec, required=False) for spec in specs]  # the server may have been given those itself
    return check_options(optional, dict(parse_option(specs, text) for text in texts))


def _run_all(target: Target, chosen: Sequence[tuple[Case, Face]], console: Console) -> list[Result]:
    """Run the cases and show which one runs; off a terminal, topics and failures are told as they come."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from openenv_grpc.testing import run_case

    columns = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False)
    results: list[Result] = []
    topic = ""
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(chosen))
        for case, face in chosen:
            if case.topic != topic and not console.is_terminal:
                console.print(f"{case.topic} …", highlight=False)
            topic = case.topic
            progress.update(task, description=f"{case.name} ({face.value})")
            results.append(run_case(target, case, face))
            progress.advance(task)
            if results[-1].status == "failed":
                progress.console.print(f"failed: {results[-1].id}", markup=False, highlight=False)
    return results


def _report(target: Target, results: Sequence[Result], seconds: float, console: Console) -> None:
    """Failures with what was expected, what was skipped by its reason, then the totals."""

    def say(text: str = "", style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    for result in results:
        if result.status == "failed":
            say()
            say(f"FAILED {result.id}", "bold red")
            say(f"  rule      {result.case.rule}")
            say(f"  expected  {result.expected}")
            say(f"  got       {result.got}")
    skipped: dict[str, list[str]] = {}
    for result in results:
        if result.status == "skipped":
            names = skipped.setdefault(result.message, [])
            if result.case.name not in names:
                names.append(result.case.name)
    if skipped:
        say()
        for reason, names in skipped.items():
            say(f"skipped: {reason}", "yellow")
            say(f"  {', '.join(names)}", "dim")
    totals = _totals(results)
    say()
    counts = ", ".join(f"{count} {status}" for status, count in totals.items())
    text = f"{target.environment.name} {target.environment.version} at {target.address}: {counts} in {seconds:.1f} s"
    say(text, "bold red" if totals["failed"] else "bold green")


def _totals(results: Sequence[Result]) -> dict[str, int]:
    statuses = [result.status for result in results]
    return {status: statuses.count(status) for status in ("passed", "failed", "skipped")}


def _write(path: Path, name: str, target: Target, results: Sequence[Result]) -> None:
    found = {
        "target": name,
        "environment": target.environment.name,
        "environment_version": target.environment.version,
        "server_version": target.description.server_version,
        "protocol_revision": target.description.protocol_revision,
        "totals": _totals(results),
        "cases": [
            {
                "name": result.case.name,
                "topic": result.case.topic,
                "face": result.face.value,
                "status": result.status,
                "seconds": round(result.seconds, 4),
                "rule": result.case.rule,
                "message": result.message,
                "expected": result.expected,
                "got": result.got,
            }
            for result in results
        ],
    }
    try:
        path.write_text(json.dumps(found, indent=2) + "\n")
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror}"
        raise InvalidArgument(msg, field="json") from None
