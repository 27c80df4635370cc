"""The command itself: what it is asked for, how it opens a session, and how it ends."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.session.token import token_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openenv_grpc.cli.rollout.episodes import Ledger
    from openenv_grpc.cli.rollout.policies import Policy
    from openenv_grpc.client import VectorEnvClient
    from openenv_grpc.specs import ServerSpec

    Client = VectorEnvClient[Any, Any, Any]

INTERRUPTED = 130
NEVER_ENDS = 120_000
"""Steps after which an episode without a limit is held to be endless: a little over Atari's own limit of frames."""


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line."""

    environment: str
    episodes: int
    lanes: int
    in_flight: int
    policy: str
    seed: int
    max_steps: int | None
    output: Path | None
    address: str | None
    provider: str
    profile: str | None = None
    options: list[str] = field(default_factory=list)


def rollout(
    environment: Annotated[str, typer.Argument(help="An installed environment (echo, atari, …), or module:Class.")],
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", help="Construction option name=value; repeatable.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Episodes to play.")] = 5,
    num_envs: Annotated[int, typer.Option(min=1, help="Lanes to play them on, side by side.")] = 1,
    in_flight: Annotated[int, typer.Option(min=1, help="Batches in flight, at most one per lane; 1: lock step.")] = 2,
    policy: Annotated[str, typer.Option(help="random, or module:callable; see above.")] = "random",
    seed: Annotated[int, typer.Option(min=0, help="Seed of episode 0; episode k has this plus k.")] = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Cut every episode short after so many steps.")] = None,
    output: Annotated[
        Path | None, typer.Option(file_okay=False, help="Directory for episodes.csv and episodes.json.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Use the server that runs at unix:/path or host:port instead of starting one.")
    ] = None,
    provider: Annotated[
        str, typer.Option(help="Where to start the environment's server: local, or docker (a container of its image).")
    ] = "local",
    profile: Annotated[
        str | None, typer.Option(help="How docker holds it: hardened (the default), gvisor, or open.")
    ] = None,
) -> None:
    """Play whole episodes with a policy; show their returns, and write them as CSV and JSON.

    The same seed gives the same returns, on any number of lanes: episode k is
    reset with seed + k, and the random policy draws its actions from a
    generator of that episode's own. (An environment that honours no seeds is
    reset without one.)

    A policy is a callable: policy(observation, info) -> actions, or
    policy(observation). With M lanes in a batch, observation has their columns
    (observation.screen: uint8, shape (M, 210, 160, 3)); info has lane, episode
    and step (int64 arrays of M; step 0 is an episode's first observation) and
    infos (M mappings from the environment). actions is what
    VectorEnvClient.step takes: an array of M, a mapping of columns, or a list
    of M records.

    The lanes form batches, and while the policy acts in one, the environments
    of the others work. Batches take turns in a fixed order: on the same server
    the same seed gives a policy the same turns. A batch is whole shards (one
    per core of the server) if there are enough of them. In lock step every
    turn has all lanes that play; that is quicker for a policy that takes as
    long for half of them, and longer than the environments.

    If the server at --address asks for a token, put it in OPENENV_TOKEN.

    Ctrl-C ends it with the summary so far and exit status 130.

    Example: openenv-grpc rollout atari --option game=pong --num-envs 4
    """
    lanes = min(num_envs, episodes)
    request = Request(
        environment,
        episodes,
        lanes,
        min(in_flight, lanes),
        policy,
        seed,
        max_steps,
        output,
        address,
        provider,
        profile,
        option or [],
    )
    raise typer.Exit(run(request))


def run(request: Request) -> int:
    """Play, show, write; the exit status is returned.

    Raises:
        OpenEnvError: The request is wrong, or the environment failed; what was played so far is shown and written.
    """
    from rich.console import Console

    from openenv_grpc.cli.rollout.policies import load_policy

    chosen = None if request.policy == "random" else load_policy(request.policy)
    _make_directory(request.output)
    console = Console()
    with contextlib.ExitStack() as stack:
        try:
            with console.status(f"starting {request.environment} …"):  # shown on terminals only
                client, options = stack.enter_context(_open(request))
        except KeyboardInterrupt:
            return INTERRUPTED
        return _play(request, client, options, chosen, console)


def _make_directory(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make {path}: {error.strerror}"
        raise InvalidArgument(msg, field="output") from None
    if not os.access(path, os.W_OK | os.X_OK):
        msg = f"cannot write into {path}"
        raise InvalidArgument(msg, field="output")


@contextlib.contextmanager
def _open(request: Request) -> Iterator[tuple[Client, dict[str, Any]]]:
    """A session on the server that runs, or on one of our own; the options it was opened with."""
    from openenv_grpc.client import VectorEnvClient
    from openenv_grpc.providers.base import EnvironmentSource, find_provider
    from openenv_grpc.providers.running import start
    from openenv_grpc.specs import AutoresetMode

    with contextlib.ExitStack() as stack:
        address, lease = request.address, None
        if address is not None:
            token = token_in(os.environ)
        else:
            lease = start(
                find_provider(request.provider), EnvironmentSource(request.environment, profile=request.profile)
            )
            stack.callback(lease.destroy)
            address, token = lease.address, lease.token
        options = _read_options(request, address, token)
        mode = AutoresetMode.DISABLED
        client: Client = VectorEnvClient.connect(address, request.lanes, autoreset_mode=mode, token=token, **options)
        stack.enter_context(client)
        if lease is not None:
            client.set_isolation(lease.isolation)
        yield client, options


def _read_options(request: Request, address: str, token: str | None) -> dict[str, Any]:
    """The construction options, read by the types that the server tells.

    Raises:
        InvalidArgument: An option is wrong, or the server serves another environment.
    """
    from openenv_grpc.cli.describe import ask
    from openenv_grpc.session.options import check_options, parse_option

    spec = ask(address, token).environment
    if request.address is not None and spec.name != request.environment.rpartition(":")[2]:
        msg = f"the server at {address} serves {spec.name}, not {request.environment}"
        raise InvalidArgument(msg, field="environment")
    given = dict(parse_option(spec.options, text) for text in request.options)
    check_options([replace(option, required=False) for option in spec.options], given)  # the server may have those
    return given


def _play(request: Request, client: Client, options: dict[str, Any], chosen: Policy | None, console: Any) -> int:
    from openenv_grpc.cli.rollout import records
    from openenv_grpc.cli.rollout.display import Progress, show_summary
    from openenv_grpc.cli.rollout.episodes import Ledger
    from openenv_grpc.cli.rollout.play import play
    from openenv_grpc.cli.rollout.policies import random_policy
    from openenv_grpc.client import Pipeline

    pipeline = Pipeline(client, request.in_flight)
    seeds = client.server.environment.capabilities.seeds
    ledger = Ledger(request.episodes, request.lanes, request.seed if seeds else None, request.max_steps)
    policy = chosen or random_policy(client, request.seed)
    progress = Progress(ledger, console, _title(request, client.server))
    status = 0
    try:
        with _heeding_ctrl_c() as pressed, progress:
            for _ in play(pipeline, policy, ledger):
                if pressed:
                    raise KeyboardInterrupt
                progress.update()
                _check_endless(request, ledger)
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        run = records.Run(request, client, options, progress.wall_s, interrupted=status == INTERRUPTED)
        paths = records.write(ledger, run, request.output)
        show_summary(ledger, records.facts(ledger, run, paths), console)
    return status


def _title(request: Request, server: ServerSpec) -> str:
    options = "  ".join(request.options)
    lanes = f"{request.lanes} lane{'s' if request.lanes > 1 else ''}"
    return "  ".join(filter(None, (server.environment.name, options, lanes, f"policy {request.policy}")))


def _check_endless(request: Request, ledger: Ledger) -> None:
    if request.max_steps is None and ledger.longest >= NEVER_ENDS:
        msg = f"an episode has not ended after {NEVER_ENDS:,} steps; cut episodes short with --max-steps"
        raise InvalidArgument(msg, field="max-steps")


@contextlib.contextmanager
def _heeding_ctrl_c() -> Iterator[list[int]]:
    """Remember Ctrl-C: Python drops a KeyboardInterrupt that comes while a destructor or a callback from C runs."""
    pressed: list[int] = []

    def remember(number: int, frame: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return
    signal.signal(signal.SIGINT, remember)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
