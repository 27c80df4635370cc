"""The asyncio client: `AsyncEnvClient` for one lane, `AsyncVectorEnvClient` for many.

One task per session reads the stream and hands each answer to the call that waits for it. A cancelled call's answer
is dropped when it comes, so it is never taken for a later call's.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from openenv_grpc.client import channel as net
from openenv_grpc.client.carriers import AsyncGrpcCarrier
from openenv_grpc.client.handover import take_over
from openenv_grpc.client.local import AsyncLocalCarrier
from openenv_grpc.client.spaces import action_space, observation_space, single_action_space, single_observation_space
from openenv_grpc.errors import OpenEnvError, SessionClosed, SessionLost
from openenv_grpc.session.actions import chunk_length
from openenv_grpc.session.calls import Call, OpenRequest
from openenv_grpc.session.client import ClientCore
from openenv_grpc.specs import AutoresetMode, Isolation, ServerSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from typing_extensions import Self

    from openenv_grpc.codec.records import RecordSet
    from openenv_grpc.environment import StepResult
    from openenv_grpc.providers.profiles import Profile
    from openenv_grpc.session.results import VectorResult

ActionT = TypeVar("ActionT")
ObservationT = TypeVar("ObservationT")
StateT = TypeVar("StateT")
SelfT = TypeVar("SelfT", bound="_AsyncSession")


class _AsyncSession:
    """What the clients of one and of many lanes share."""

    RECORDS: ClassVar[RecordSet | None] = None
    """The records of a typed client; None for the generic one."""
    NAME: ClassVar[str] = ""
    """The environment that a typed client is for."""
    _VECTOR: ClassVar[bool] = False

    def __init__(self, carrier: AsyncGrpcCarrier | AsyncLocalCarrier, server: ServerSpec, core: ClientCore) -> None:
        """Use `connect`, or `openenv_grpc.aio.make`."""
        self.server = server
        self._carrier = carrier
        self._core = core
        self._sending = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._waiting: dict[int, tuple[Call, asyncio.Future[None]]] = {}
        self._closed = False
        self._on_close: list[Callable[[], Awaitable[None]]] = []
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    async def _connect(
        cls: type[SelfT], address: str, request: OpenRequest, transport: str, *, copy: bool, token: str | None
    ) -> SelfT:
        path = net.lane_path(address, transport)
        request = dataclasses.replace(request, local_lane=path is not None)
        stream = AsyncGrpcCarrier(address, token)
        carrier: AsyncGrpcCarrier | AsyncLocalCarrier = stream
        try:
            server = await stream.describe()
            records = net.agree(server, cls.RECORDS)
            frame = request.encode(server.environment.spec_hash)
            answer = await stream.open(frame, net.open_timeout_s(server, request))
            core = ClientCore(
                records,
                server.environment.capabilities,
                request,
                answer,
                vector=cls._VECTOR,
                max_message_bytes=net.MAX_MESSAGE_BYTES,
            )
            if path is not None and core.local is not None:
                lane = await asyncio.to_thread(take_over, path, core, core.local, copy=copy)
                carrier = stream if lane is None else AsyncLocalCarrier(lane, stream)
            net.check_transport(transport, carrier.name)
        except BaseException:
            await carrier.close()
            raise
        return cls(carrier, server, core)

    # -- calls ----------------------------------------------------------------------------------------------------

    async def _run(self, begin: Callable[[], Call]) -> Any:
        """Send a call's frames and wait for its answers."""
        loop = asyncio.get_running_loop()
        async with self._sending:
            call = begin()
            future: asyncio.Future[None] = loop.create_future()
            self._waiting[id(call)] = call, future
            ahead = sum(other.budget_s for other, _ in self._waiting.values())
            alarm = loop.call_later(ahead + net.GRACE_S, self._give_up, call)
            sending = self._writing = loop.create_task(self._send(call))
            try:
                await asyncio.shield(sending)  # a cancelled call must not leave half its frames unsent
            except asyncio.CancelledError:
                await sending
                self._forget(call, alarm)
                raise
        try:
            if not call.done:
                await future
        finally:
            self._forget(call, alarm)
        return call.result()

    async def _send(self, call: Call) -> None:
        try:
            await self._carrier.send(call)
        except OpenEnvError as error:
            self._fail(error)

    def _forget(self, call: Call, alarm: asyncio.TimerHandle) -> None:
        alarm.cancel()
        self._waiting.pop(id(call), None)

    async def _read(self) -> None:
        try:
            while True:
                self._core.receive(await self._carrier.receive())
                self._wake()
                if self._core.ended and not self._core.waiting:  # what else may come, without end, is not read
                    return
        except OpenEnvError as error:
            self._fail(error)

    def _wake(self) -> None:
        for call, future in list(self._waiting.values()):
            if call.done and not future.done():
                future.set_result(None)

    def _fail(self, error: OpenEnvError) -> None:
        self._core.fail(error)
        self._wake()

    def _give_up(self, call: Call) -> None:
        self._abandon(SessionLost(f"the server has not answered {call.verb} in time; it hangs or is cut off"))

    def _abandon(self, error: OpenEnvError) -> None:
        """End everything that waits, frames that gRPC has not taken yet included."""
        self._fail(error)
        self._carrier.cancel()
        if self._writing is not None:
            self._writing.cancel()

    # -- life -----------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> str:
        """The session's id in unary calls: a secret."""
        return self._core.session_id

    @property
    def transport(self) -> str:
        """The carrier in use: `grpc`, or `local` (shared memory, and sockets straight to the workers)."""
        return self._carrier.name

    @property
    def limits(self) -> Any:
        """Limits in force (`openenv_grpc.specs.Limits`)."""
        return self._core.limits

    @property
    def spec(self) -> Any:
        """The session's columns (`openenv_grpc.specs.SessionSpec`)."""
        return self._core.spec

    @property
    def isolation(self) -> Isolation | None:
        """What holds the server: as its provider has set it up, else as the server says itself; None if nobody says."""
        return self.server.isolation

    def set_isolation(self, isolation: Isolation | None) -> None:
        """Go by this, whatever the server says of itself."""
        self.server = dataclasses.replace(self.server, isolation=isolation)

    def add_cleanup(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this when the client is closed."""
        self._on_close.append(callback)

    async def close(self) -> None:
        """End the session and whatever `make` started for it. Calling it again does nothing; it never hangs."""
        if self._closed:
            return
        self._closed = True
        async with contextlib.AsyncExitStack() as stack:  # all of it, also when it is cancelled
            for callback in reversed(self._on_close):
                stack.push_async_callback(callback)
            stack.push_async_callback(self._carrier.close)
            await self._say_goodbye()

    async def _say_goodbye(self) -> None:
        closed = SessionClosed("the session was closed while this call waited")
        closer = asyncio.get_running_loop().call_later(net.CLOSE_TIMEOUT_S, self._abandon, closed)
        try:
            with contextlib.suppress(OpenEnvError):
                await self._run(self._core.close)
        finally:
            closer.cancel()
            self._fail(closed)
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def __aenter__(self: SelfT) -> SelfT:
        """Return self."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def records_class(self, name: str) -> type[Any]:
        """The record class of a message, by its full or short name: for building actions with the generic client.

        Raises:
            KeyError: There is no such message.
        """
        classes = self._core.records.classes
        return classes[name] if name in classes else {full.rpartition(".")[2]: c for full, c in classes.items()}[name]


class AsyncEnvClient(_AsyncSession, Generic[ActionT, ObservationT, StateT]):
    """One lane of an environment, on a server, for asyncio. Safe to use from several tasks of one event loop.

    Methods, arguments and errors are those of `openenv_grpc.client.EnvClient`.
    """

    @classmethod
    async def connect(
        cls: type[SelfT],
        address: str,
        *,
        fields: Sequence[str] = (),
        wait_s: float = 0.0,
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
        transport: str = "auto",
        copy: bool = True,
        token: str | None = None,
        **options: Any,
    ) -> SelfT:
        """Open a session on a server that runs; see `EnvClient.connect`."""
        request = OpenRequest(options, 1, 0, autoreset_mode, fields, wait_s)
        return await cls._connect(address, request, transport, copy=copy, token=token)

    @classmethod
    async def from_docker_image(
        cls,
        image: str,
        *,
        profile: str | Profile = "hardened",
        tcp: bool = False,
        timeout_s: float = net.START_TIMEOUT_S,
        **kwargs: Any,
    ) -> Self:
        """Start a container of an image and open a session on it; see `EnvClient.from_docker_image`."""
        from openenv_grpc.providers import base, running

        source = base.EnvironmentSource("", image=image, profile=profile, tcp=tcp)
        provider = base.find_provider("docker")

        def connect(address: str, token: str | None) -> Awaitable[Self]:
            return cls.connect(address, token=token, **kwargs)

        return await running.start_client_async(provider, source, timeout_s, connect)

    async def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> StepResult[ObservationT]:
        """Begin a new episode."""
        result: StepResult[ObservationT] = await self._run(lambda: self._core.reset(seed, options, None, timeout_s))
        return result

    async def step(self, action: ActionT, *, timeout_s: float | None = None) -> StepResult[ObservationT]:
        """Take one action."""
        result: StepResult[ObservationT] = await self._run(lambda: self._core.step(action, None, timeout_s))
        return result

    async def step_chunk(
        self, actions: Sequence[ActionT], *, timeout_s: float | None = None
    ) -> list[StepResult[ObservationT]]:
        """Take several actions in one round trip; stops at the episode's end. One result per action executed."""
        if not len(actions):
            return []
        results: list[StepResult[ObservationT]] = await self._run(
            lambda: self._core.step(actions, None, timeout_s, chunk=len(actions))
        )
        return results

    async def state(self, *, timeout_s: float | None = None) -> StateT:
        """The episode's state."""
        state: StateT = await self._run(lambda: self._core.state(None, timeout_s))
        return state

    async def snapshot(self, *, timeout_s: float | None = None) -> bytes:
        """Save the environment (Unsupported where it cannot be saved)."""
        data: bytes = await self._run(lambda: self._core.snapshot(None, timeout_s))
        return data

    async def restore(self, saved: bytes, *, timeout_s: float | None = None) -> None:
        """Go back to where `snapshot` was called."""
        await self._run(lambda: self._core.restore(saved, None, timeout_s))

    @property
    def action_space(self) -> Any:
        """The action as a gymnasium space (needs gymnasium): of its only field, or a Dict."""
        return single_action_space(self._core)

    @property
    def observation_space(self) -> Any:
        """The observation as a gymnasium space (needs gymnasium): of its only field, or a Dict."""
        return single_observation_space(self._core)


class AsyncVectorEnvClient(_AsyncSession, Generic[ActionT, ObservationT, StateT]):
    """N lanes of an environment, stepped together, for asyncio. Safe to use from several tasks of one event loop.

    Methods, arguments and errors are those of `openenv_grpc.client.VectorEnvClient`.
    """

    _VECTOR = True

    @classmethod
    async def connect(
        cls: type[SelfT],
        address: str,
        num_envs: int,
        *,
        shards: int = 0,
        fields: Sequence[str] = (),
        wait_s: float = 0.0,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        transport: str = "auto",
        copy: bool = True,
        token: str | None = None,
        **options: Any,
    ) -> SelfT:
        """Open a session of `num_envs` lanes; see `VectorEnvClient.connect`."""
        request = OpenRequest(options, num_envs, shards, autoreset_mode, fields, wait_s)
        return await cls._connect(address, request, transport, copy=copy, token=token)

    @property
    def num_envs(self) -> int:
        """Number of lanes."""
        return self._core.lanes

    async def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
        lanes: Sequence[int] | None = None,
        timeout_s: float | None = None,
    ) -> VectorResult[ObservationT]:
        """Begin new episodes in all lanes, or in those named."""
        result: VectorResult[ObservationT] = await self._run(lambda: self._core.reset(seed, options, lanes, timeout_s))
        return result

    async def step(
        self, actions: Any, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None
    ) -> VectorResult[ObservationT]:
        """Take one action in each lane, or in those named."""
        result: VectorResult[ObservationT] = await self._run(lambda: self._core.step(actions, lanes, timeout_s))
        return result

    async def step_chunk(
        self, actions: Any, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None
    ) -> VectorResult[ObservationT]:
        """Take K actions in each lane in one round trip."""
        chunk = chunk_length(actions)
        result: VectorResult[ObservationT] = await self._run(
            lambda: self._core.step(actions, lanes, timeout_s, chunk=chunk)
        )
        return result

    async def state(self, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> list[StateT]:
        """The state of each lane."""
        states: list[StateT] = await self._run(lambda: self._core.state(lanes, timeout_s))
        return states

    async def snapshot(self, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> list[bytes]:
        """Save each lane."""
        saved: list[bytes] = await self._run(lambda: self._core.snapshot(lanes, timeout_s))
        return saved

    async def restore(
        self, saved: Sequence[bytes], *, lanes: Sequence[int] | None = None, timeout_s: float | None = None
    ) -> None:
        """Put each lane back."""
        await self._run(lambda: self._core.restore(saved, lanes, timeout_s))

    @property
    def single_action_space(self) -> Any:
        """One lane's action as a gymnasium space (needs gymnasium)."""
        return single_action_space(self._core)

    @property
    def single_observation_space(self) -> Any:
        """One lane's observation as a gymnasium space (needs gymnasium)."""
        return single_observation_space(self._core)

    @property
    def action_space(self) -> Any:
        """All lanes' actions as one gymnasium space (needs gymnasium)."""
        return action_space(self._core)

    @property
    def observation_space(self) -> Any:
        """All lanes' observations as one gymnasium space (needs gymnasium)."""
        return observation_space(self._core)
