"""`VectorEnv`: many lanes with the face of Gymnasium's vector environments, and EnvPool's `send` and `recv`.

It stands on a `VectorEnvClient`, whose results are typed columns; here they are plain arrays and tuples. gymnasium is
not needed, but for the spaces. `openenv_grpc.adapters.gymnasium` has the class that is a `gymnasium.vector.VectorEnv`.
"""

from __future__ import annotations

from copy import copy as copy_of
from typing import TYPE_CHECKING, Any

import numpy as np

from openenv_grpc.client.arguments import (
    RESET_MASK,
    read_autoreset_mode,
    read_batch_size,
    read_lanes,
    read_reset_mask,
    read_seeds,
)
from openenv_grpc.client.batches import Batch, batch_of, copied, patch
from openenv_grpc.client.owner import SessionOwner
from openenv_grpc.client.requests import Requests
from openenv_grpc.client.shapes import ActionShape, ObservationShape, take
from openenv_grpc.client.sync import VectorEnvClient
from openenv_grpc.errors import IllegalVerb, OpenEnvError
from openenv_grpc.session.results import VectorResult
from openenv_grpc.specs import AutoresetMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from enum import Enum

    from numpy.typing import ArrayLike, NDArray

    from openenv_grpc.session.calls import Call

    Client = VectorEnvClient[Any, Any, Any]
    Step = tuple[Any, NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]


class VectorEnv(SessionOwner):
    """N lanes, stepped together (`reset`, `step`) or as they come (`async_reset`, `send`, `recv`).

    An observation or action with exactly one field that is present in the session is that field's array, (N, …) for
    N lanes; otherwise it is a dict of such arrays by field name. Texts are tuples of N. Observations are read-only, and
    never overwritten unless `copy` is False. Infos are laid out as Gymnasium's SyncVectorEnv does, `final_obs` and
    `final_info` included. `send` and `recv` may be called from two threads.

    Handing over to other frameworks: observations support the buffer protocol and, from numpy 2.1 on, DLPack, read-only
    as they are: `np.from_dlpack` shares their memory. `jax.numpy.asarray` copies them and `jax.numpy.from_dlpack`
    refuses them (tried with JAX 0.10.2); `torch.from_numpy` warns (tried with torch 2.13). Memory that
    these may share is an `out` of your own, writable and, for JAX, aligned to 64 bytes: it costs one copy.

    All methods raise `openenv_grpc.errors.OpenEnvError`: a LocalError when the call was wrong (nothing was changed), a
    RemoteError when server or environment failed. When lanes fail, the first one's error is raised with all of them in
    `lane_errors`; `partial` is what the call would have returned, for the lanes that were answered
    (`info["env_id"]`; rows of lanes that failed are zeros), or None. The others go on.

    Args:
        client: An open session. Closing this closes it.
        batch_size: Lanes that `recv` returns, 1 to N; all by default.
        copy: What the client was opened with: whether observations stay as they are for as long as you keep them.

    Attributes:
        client: The session's client: results in typed columns, states, snapshots.
        metadata: Under `autoreset_mode` the mode in force.
        spec: None; whoever registers environments puts a `gymnasium.envs.registration.EnvSpec` here.
        render_mode: None.

    Raises:
        InvalidArgument: A batch size that is none, or so small that the server's limit of requests is exceeded.
    """

    def __init__(self, client: Client, *, batch_size: int | None = None, copy: bool = True) -> None:
        """Nothing is reset yet."""
        super().__init__(client)
        self.copy = copy
        self.metadata: dict[str, Any] = {"autoreset_mode": client._core.mode}
        self.spec: Any = None
        self.render_mode: str | None = None
        self._core = client._core
        self.batch_size = read_batch_size(batch_size, self._core)
        self._observations = ObservationShape(self._core)
        self._actions = ActionShape(self._core)
        self._requests = Requests(client, self._observations, self.batch_size, copy=copy)
        self._last: NDArray[np.int64] | None = None
        self._latest: dict[str, Any] | None = None

    @classmethod
    def connect(
        cls,
        address: str,
        num_envs: int,
        *,
        batch_size: int | None = None,
        autoreset_mode: AutoresetMode | str | Enum = AutoresetMode.NEXT_STEP,
        copy: bool = True,
        **kwargs: Any,
    ) -> VectorEnv:
        """Open a session of `num_envs` lanes on a server that runs; see `VectorEnvClient.connect`.

        Args:
            address: `unix:/path` or `host:port`.
            num_envs: Number of lanes.
            batch_size: See the class.
            autoreset_mode: `AutoresetMode`, Gymnasium's enum of that name, or the name or value of either.
            copy: See `EnvClient.connect`.
            kwargs: Construction options, and the arguments of `VectorEnvClient.connect`.
        """
        mode = read_autoreset_mode(autoreset_mode)
        client: Client = VectorEnvClient.connect(address, num_envs, autoreset_mode=mode, copy=copy, **kwargs)
        try:
            return cls(client, batch_size=batch_size, copy=copy)
        except BaseException:
            client.close()
            raise

    # -- all lanes together ---------------------------------------------------------------------------------------

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
        out: Any = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Begin new episodes in all lanes, or with `options={"reset_mask": mask}` in some.

        Args:
            seed: One per lane, or one number s that gives lane i the seed s + i.
            options: Options of these episodes, for the environments, and `reset_mask`: bool (N,), the lanes to reset.
                The other lanes' last observations are returned unchanged, and they have no infos.
            out: Arrays of your own for the observation, as the class describes it; filled and returned.

        Returns:
            The observation of all N lanes, and the infos.

        Raises:
            IllegalVerb: Answers are still due, or no observation is known of lanes that the mask leaves out.
            InvalidArgument: A wrong seed, mask or `out`.
        """
        self._refuse_while_due("reset")
        self._observations.check_out(out, self.num_envs)
        lanes = read_reset_mask(options or {}, self.num_envs)
        if lanes is not None and self._latest is None and len(lanes) < self.num_envs:
            msg = "the last observations of the other lanes are not known: reset() all, or use async_reset(env_ids)"
            raise IllegalVerb(msg)
        rest = {name: value for name, value in (options or {}).items() if name != RESET_MASK}
        each = None if lanes is None else read_seeds(seed, range(self.num_envs))
        seeds = seed if each is None or lanes is None else [each[lane] for lane in lanes]
        if self._latest is not None and lanes is not None and not self.copy:
            self._latest = copied(self._latest)  # before the answer is written over it
        batch = self._ask(lambda: self.client.reset(seed=seeds, options=rest, lanes=lanes), 2)
        columns = batch.columns if self._latest is None else [self._latest]
        return self._observation(columns, out), batch.info(self.num_envs)

    def step(self, actions: Any, *, out: Any = None) -> Step:
        """Take one action in each lane.

        Args:
            actions: For each of N lanes one action, as the class describes it; also what `VectorEnvClient.step` takes.
            out: Arrays of your own for the observation; filled and returned.

        Returns:
            The observation, reward float64 (N,), terminated and truncated bool (N,), and the infos.

        Raises:
            IllegalVerb: Before the first reset, while answers are due, or at an episode's end without autoreset.
            InvalidArgument: Wrong actions or `out`.
        """
        self._refuse_while_due("step")
        self._observations.check_out(out, self.num_envs)
        columns = self._actions.columns(actions, self.num_envs)
        return self._step(self._ask(lambda: self.client.step(columns), 5), out)

    def _refuse_while_due(self, verb: str) -> None:
        if self._requests.waiting:
            due = self._requests.due.sum()
            msg = f"{verb} while the answers of {due} lanes are due: call recv() until they are here"
            raise IllegalVerb(msg)

    def _ask(self, call: Callable[[], VectorResult[Any]], size: int) -> Batch:
        """The rows that a call answers; an error's `partial` becomes a tuple of that size."""
        try:
            batch = batch_of(call(), self._observations)
        except OpenEnvError as error:
            if isinstance(error.partial, VectorResult):
                batch = batch_of(error.partial, self._observations)
                self._remember(batch)
                error.partial = self._partial(batch, size)
            raise
        self._remember(batch)
        return batch

    def _remember(self, batch: Batch) -> None:
        """Keep each lane's last observation, for resets of some lanes alone."""
        self._last = np.arange(self.num_envs)
        if len(batch.lanes) == self.num_envs:
            self._latest = batch.columns[0]
        elif self._latest is not None:
            self._latest = patch(self._latest, batch)

    # -- as they come ---------------------------------------------------------------------------------------------

    def async_reset(
        self,
        env_ids: ArrayLike | None = None,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin new episodes in all lanes, or in those named, and don't wait: `recv` has their first observations.

        Args:
            env_ids: int (M,), the lanes; all by default.
            seed: One per lane named, or one number s that gives lane i the seed s + i.
            options: Options of these episodes, for the environments.

        Raises:
            IllegalVerb: An answer of one of the lanes is still due.
            InvalidArgument: Wrong lanes or seeds.
        """
        lanes = np.arange(self.num_envs) if env_ids is None else read_lanes(env_ids, self.num_envs)
        seeds = read_seeds(seed, lanes.tolist())

        def begin(part: list[int], rows: NDArray[np.int64]) -> Call:
            return self._core.reset(None if seeds is None else take(seeds, rows), options, part)

        self._requests.post("reset", lanes, begin, seeds)
        self._latest = None

    def send(self, actions: Any, env_ids: ArrayLike | None = None) -> None:
        """Take one action in each of M lanes, and don't wait: `recv` has the results.

        Args:
            actions: For each of M lanes one action, as the class describes it.
            env_ids: int (M,), the lanes; by default those of the last `recv` (or all, after `reset` or `step`).

        Raises:
            IllegalVerb: An answer of one of the lanes is still due, or a lane must be reset first.
            InvalidArgument: Wrong lanes or actions.
            ServerFull: So many requests may not wait for their answers.
        """
        if env_ids is None and self._last is None:
            msg = "send() goes to the lanes of the last recv(), and there is none: name env_ids, or call async_reset()"
            raise IllegalVerb(msg)
        lanes = read_lanes(self._last if env_ids is None else env_ids, self.num_envs)
        columns = self._actions.columns(actions, len(lanes))

        def begin(part: list[int], rows: NDArray[np.int64]) -> Call:
            return self._core.step(take(columns, rows), part)

        self._requests.post("step", lanes, begin, columns)
        self._latest = None

    def recv(self, *, out: Any = None) -> Step:
        """Wait for the first `batch_size` lanes whose answers are there, whichever they are.

        Answers are used whole, without a copy, where a batch is one answer; rows beyond a batch wait for the next.

        Args:
            out: Arrays of your own for the observation, (batch_size, …); filled and returned.

        Returns:
            As `step`, for B lanes; `info["env_id"]` says which: int64 (B,).

        Raises:
            IllegalVerb: Fewer than `batch_size` lanes are under way.
            InvalidArgument: Wrong `out`.
        """
        self._observations.check_out(out, self.batch_size)
        batch, failures = self._requests.take()
        self._last = None if batch is None else batch.lanes
        if failures or batch is None:
            error = copy_of(next(iter(failures.values())))  # other batches may fail with the same
            error.lane_errors = failures
            error.partial = None if batch is None else self._partial(batch, 5)
            raise error
        step = self._step(batch, out)
        step[4]["env_id"] = batch.lanes.copy()
        return step

    # -- results --------------------------------------------------------------------------------------------------

    def _observation(self, columns: list[dict[str, Any]], out: Any) -> Any:
        shape = self._observations
        return shape.value(shape.join(columns)) if out is None else shape.fill(out, columns)

    def _step(self, batch: Batch, out: Any) -> Step:
        reward, terminated, truncated = batch.outcomes
        observation = self._observation(batch.columns, out)
        return observation, reward.copy(), terminated.copy(), truncated.copy(), batch.info()

    def _partial(self, batch: Batch, size: int) -> tuple[Any, ...]:
        step = self._step(batch, None)
        step[4]["env_id"] = batch.lanes.copy()
        return step if size == 5 else (step[0], step[4])
