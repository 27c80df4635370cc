"""What a rollout leaves behind: `episodes.csv`, `episodes.json`, and the facts of the run."""

from __future__ import annotations

import csv
import datetime
import json
import math
import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from openenv_grpc.cli.rollout.episodes import Episode, spread
from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from pathlib import Path

    from openenv_grpc.cli.rollout.command import Request
    from openenv_grpc.cli.rollout.episodes import Ledger
    from openenv_grpc.client import VectorEnvClient


@dataclass(frozen=True)
class Run:
    """One rollout, when it is over."""

    request: Request
    client: VectorEnvClient[Any, Any, Any]
    options: dict[str, Any]
    wall_s: float
    interrupted: bool


def write(ledger: Ledger, run: Run, directory: Path | None) -> list[Path]:
    """Write both files; their paths are returned.

    Raises:
        InvalidArgument: They cannot be written there.
    """
    if directory is None:
        return []
    paths = [directory / "episodes.csv", directory / "episodes.json"]
    rows = [episode.row() for episode in ledger.finished]
    document = {"run": describe(ledger, run), "episodes": [_plain(row) for row in rows]}
    try:
        with paths[0].open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(Episode(0, 0, None).row()), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        paths[1].write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {error.filename}: {error.strerror}"
        raise InvalidArgument(msg, field="output") from None
    return paths


def describe(ledger: Ledger, run: Run) -> dict[str, Any]:
    """All there is to say about a run, for the JSON file."""
    request, server = run.request, run.client.server
    finished = ledger.finished
    returns = spread([episode.reward for episode in finished])
    lengths = spread([float(episode.length) for episode in finished])
    return {
        "environment": request.environment,
        "options": _plain(run.options),
        "policy": request.policy,
        "seed": request.seed,
        "episodes": request.episodes,
        "episodes_finished": len(finished),
        "num_envs": request.lanes,
        "in_flight": request.in_flight,
        "max_steps": request.max_steps,
        "interrupted": run.interrupted,
        "return": None if returns is None else _plain(asdict(returns)),
        "length": None if lengths is None else asdict(lengths),
        "steps": ledger.steps,
        "wall_s": round(run.wall_s, 3),
        "steps_per_s": round(ledger.steps / run.wall_s, 1) if run.wall_s else None,
        "transport": run.client.transport,
        "address": request.address,
        "provider": None if request.address else request.provider,
        "isolation": None if server.isolation is None else asdict(server.isolation),
        "finished_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": {
            "openenv-grpc": metadata.version("openenv-grpc"),
            "server": server.server_version,
            request.environment: server.environment.version,
            "protocol_revision": server.protocol_revision,
            "python": platform.python_version(),
            "numpy": metadata.version("numpy"),
            "grpcio": metadata.version("grpcio"),
            "protobuf": metadata.version("protobuf"),
        },
    }


def facts(ledger: Ledger, run: Run, paths: list[Path]) -> dict[str, str]:
    """What a person wants to know about a run, beside its episodes."""
    request, server = run.request, run.client.server
    rate = ledger.steps / run.wall_s if run.wall_s else 0.0
    where = request.address or f"a server of its own (provider {request.provider})"
    options = ", ".join(f"{name}={value}" for name, value in run.options.items())
    finished = ledger.finished
    terminated = sum(episode.terminated for episode in finished)
    lanes = f"{request.lanes} lane{'s' if request.lanes > 1 else ''}"
    flight = f", {request.in_flight} batches in flight" if request.in_flight > 1 else ""
    pace = f"{rate:,.0f} steps/s on {lanes}{flight}, resets included"
    found = {
        "environment": f"{server.environment.name} {server.environment.version} {options}".strip(),
        "policy": f"{request.policy}, seed {request.seed}",
        "episodes": f"{len(finished)}: {terminated} terminated, {len(finished) - terminated} truncated",
        "steps": f"{ledger.steps:,} in {run.wall_s:.2f} s: {pace}",
        "transport": f"{run.client.transport}, {where}",
        "isolation": str(server.isolation or "not told"),
    }
    if run.interrupted or len(finished) < request.episodes:
        why = "interrupted" if run.interrupted else "stopped"
        found[why] = f"{len(finished)} of {request.episodes} episodes were played to their end"
    if paths:
        found["written"] = ", ".join(map(str, paths))
    return found


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinities and no NaN: null."""
    unsaid = (name for name, value in values.items() if isinstance(value, float) and not math.isfinite(value))
    return values | dict.fromkeys(unsaid)
