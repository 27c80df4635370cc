"""The sync client: `EnvClient` for one lane, `VectorEnvClient` for many.

Of the threads that wait for answers, one takes the carrier's frames for all (the first that comes), and hands the
taking on when its own answer is there. A single watchdog for the whole process ends streams whose server has stopped
answering. Ctrl-C may come at any moment: the next answer is still that of the next call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from openenv_grpc.client import channel as net
from openenv_grpc.client.carriers import GrpcCarrier
from openenv_grpc.client.handover import take_over
from openenv_grpc.client.local import LocalCarrier
from openenv_grpc.client.spaces import action_space, observation_space, single_action_space, single_observation_space
from openenv_grpc.errors import OpenEnvError, SessionClosed, SessionLost
from openenv_grpc.session.actions import chunk_length
from openenv_grpc.session.calls import Call, OpenRequest
from openenv_grpc.session.client import ClientCore
from openenv_grpc.specs import AutoresetMode, Isolation, ServerSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

    from openenv_grpc.codec.frame import Apart
    from openenv_grpc.codec.records import RecordSet
    from openenv_grpc.environment import StepResult
    from openenv_grpc.providers.profiles import Profile
    from openenv_grpc.session.results import VectorResult

ActionT = TypeVar("ActionT")
ObservationT = TypeVar("ObservationT")
StateT = TypeVar("StateT")
SelfT = TypeVar("SelfT", bound="_SyncSession")


class _Watchdog:
    """One thread for all clients of this process: looks once a second for calls that should have been answered."""

    def __init__(self) -> None:
        self._sessions: weakref.WeakSet[_SyncSession] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, session: _SyncSession) -> None:
        with self._lock:
            self._sessions.add(session)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="openenv-watchdog", daemon=True)
                self._thread.start()

    def discard(self, session: _SyncSession) -> None:
        with self._lock:
            self._sessions.discard(session)

    def _run(self) -> None:
        while True:
            time.sleep(1.0)
            with self._lock:
                if not self._sessions:
                    self._thread = None
                    return
                sessions = list(self._sessions)
            for session in sessions:
                session._check_clock()


_WATCHDOG = _Watchdog()


class _SyncSession:
    """What the clients of one and of many lanes share."""

    RECORDS: ClassVar[RecordSet | None] = None
    """The records of a typed client; None for the generic one."""
    NAME: ClassVar[str] = ""
    """The environment that a typed client is for."""
    _VECTOR: ClassVar[bool] = False

    def __init__(self, carrier: GrpcCarrier | LocalCarrier, server: ServerSpec, core: ClientCore) -> None:
        """Use `connect`, or `openenv_grpc.make`."""
        self.server = server
        self._carrier = carrier
        self._core = core
        self._mutex = threading.Lock()  # entered as such: Ctrl-C in Condition.__enter__ would leave it locked
        self._changed = threading.Condition(self._mutex)
        self._reading = False
        self._clock: dict[int, tuple[float, Call]] = {}
        self._closed = False
        self._on_close: list[Callable[[], None]] = []
        _WATCHDOG.add(self)

    @classmethod
    def _connect(
        cls: type[SelfT], address: str, request: OpenRequest, transport: str, *, copy: bool, token: str | None
    ) -> SelfT:
        path = net.lane_path(address, transport)
        request = dataclasses.replace(request, local_lane=path is not None)
        stream = GrpcCarrier(address, token)
        carrier: GrpcCarrier | LocalCarrier = stream
        try:
            server = stream.describe()
            records = net.agree(server, cls.RECORDS)
            answer = stream.open(request.encode(server.environment.spec_hash), net.open_timeout_s(server, request))
            core = ClientCore(
                records,
                server.environment.capabilities,
                request,
                answer,
                vector=cls._VECTOR,
                max_message_bytes=net.MAX_MESSAGE_BYTES,
            )
            lane = None if path is None or core.local is None else take_over(path, core, core.local, copy=copy)
            if lane is not None:
                carrier = LocalCarrier(lane, stream)
            net.check_transport(transport, carrier.name)
        except BaseException:
            carrier.close()
            raise
        return cls(carrier, server, core)

    # -- calls ----------------------------------------------------------------------------------------------------

    def _run(self, begin: Callable[[], Call]) -> Any:
        """Send a call's frames and wait for its answers."""
        return self._wait(self._send(begin, waits=True))

    def _send(self, begin: Callable[[], Call], *, waits: bool = False) -> Call:
        with self._mutex:
            before = self._core.numbers
            try:
                call = begin()
                call.alone = waits and not self._clock
                self._carrier.send(call)
            except BaseException:
                if self._core.numbers != before:  # Ctrl-C: numbers were given to frames that never left
                    self._core.fail(SessionLost("interrupted while a request was being sent; open a new session"))
                raise
            self._start_clock(call)
        return call

    def _start_clock(self, call: Call) -> None:
        start = time.monotonic() + net.GRACE_S
        if self._clock:  # it waits for those before it
            start = max(start, *(deadline for deadline, _ in self._clock.values()))
        self._clock[id(call)] = start + call.budget_s, call

    def _post(self, begin: Callable[[], Call]) -> Call:
        """Send a call's frames, to wait for the answers later: until then no clock runs."""
        call = self._send(begin)
        with self._mutex:
            self._clock.pop(id(call), None)
        return call

    def _wait(self, call: Call) -> Any:
        """Wait for a call's answers."""
        self._read_until((call,))
        return call.result()

    def _wait_first(self, posted: Sequence[Call]) -> Call:
        """Wait until one of these calls is done: the first in order that is. Others may be added meanwhile."""
        with self._mutex:
            for call in posted:
                self._start_clock(call)
        return self._read_until(posted)

    def _read_until(self, calls: Sequence[Call]) -> Call:
        """Wait until one of these calls is done, reading the carrier for everybody if nobody else does."""
        reading, found = False, None
        try:
            with self._mutex:
                while (found := _first_done(calls)) is None and self._reading:
                    self._changed.wait()
                if found is None:
                    reading = self._reading = True  # one statement: Ctrl-C cannot come in between
            while found is None:
                self._take(self._carrier.receive())
                found = _first_done(calls)
        except OpenEnvError as error:
            with self._mutex:
                self._core.fail(error)
        finally:
            with self._mutex:
                if reading:
                    self._reading = False  # first of all: Ctrl-C may come in between
                    self._changed.notify_all()
                for call in calls:
                    self._clock.pop(id(call), None)
        return found or calls[0]  # after a failure all are done

    def _take(self, frame: bytes | Apart) -> None:
        with self._mutex:
            self._core.receive(frame)
            if len(self._clock) > 1:
                self._changed.notify_all()

    def _check_clock(self) -> None:
        with self._mutex:
            late = [call for deadline, call in self._clock.values() if time.monotonic() > deadline and not call.done]
        if late:
            error = SessionLost(f"the server has not answered {late[0].verb} in time; it hangs or is cut off")
            with self._mutex:
                self._core.fail(error)
                self._changed.notify_all()
            self._carrier.cancel()

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

    def add_cleanup(self, callback: Callable[[], None]) -> None:
        """Call this when the client is closed."""
        self._on_close.append(callback)

    def close(self) -> None:
        """End the session and whatever `make` started for it. Calling it again does nothing; it never hangs."""
        with self._mutex:
            if self._closed:
                return
            self._closed = True
        _WATCHDOG.discard(self)
        with contextlib.ExitStack() as stack:  # all of it, also when it is interrupted
            for callback in reversed(self._on_close):
                stack.callback(callback)
            stack.callback(self._carrier.close)
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        closer = threading.Timer(net.CLOSE_TIMEOUT_S, self._carrier.cancel)
        closer.daemon = True
        closer.start()
        try:
            with contextlib.suppress(OpenEnvError):
                self._run(self._core.close)
        finally:
            closer.cancel()
            with self._mutex:
                self._core.fail(SessionClosed("the session was closed while this call waited"))
                self._changed.notify_all()

    def __enter__(self: SelfT) -> SelfT:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

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


def _first_done(calls: Sequence[Call]) -> Call | None:
    for call in calls:
        if call.done:
            return call
    return None


class EnvClient(_SyncSession, Generic[ActionT, ObservationT, StateT]):
    """One lane of an environment, on a server. Safe to use from several threads; a context manager.

    All methods raise `openenv_grpc.errors.OpenEnvError`: a LocalError when the call was wrong (nothing was changed), a
    RemoteError when server or environment failed. Arrays in results are read-only and never overwritten.
    """

    @classmethod
    def connect(
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
        """Open a session on a server that runs.

        Args:
            address: `unix:/path` or `host:port`.
            fields: Observation fields wanted; the others stay empty. All by default.
            wait_s: Seconds to wait in line when the server is full.
            autoreset_mode: What happens at an episode's end; by default the caller resets.
            transport: `auto` uses the local lane where server and client share a host and the server offers it, gRPC
                elsewhere; `grpc` and `local` insist.
            copy: Whether arrays in results stay as they are for as long as you keep them. Without that those of the
                local lane are overwritten once the next result of the same lanes has come.
            token: What the server asks of its clients, if it does.
            options: Construction options of the environment, such as `game="pong"`.

        Raises:
            ServerUnavailable: Nobody answers there.
            Unauthenticated: The server asks for a token, and for another than this.
            ProtocolMismatch: The server speaks another revision, or something else.
            SpecMismatch: The server's messages are not those of this typed client.
            ServerFull: All sessions are taken, also after `wait_s`.
            InvalidArgument: A wrong address or option.
            EnvironmentFailed: The environment cannot be built with these options.
            Unsupported: `transport` is `local`, and the server hands over no local lane.
        """
        request = OpenRequest(options, 1, 0, autoreset_mode, fields, wait_s)
        return cls._connect(address, request, transport, copy=copy, token=token)

    @classmethod
    def from_docker_image(
        cls,
        image: str,
        *,
        profile: str | Profile = "hardened",
        tcp: bool = False,
        timeout_s: float = net.START_TIMEOUT_S,
        **kwargs: Any,
    ) -> Self:
        """Start a container of an image and open a session of one lane on it; both end when the client is closed.

        Args:
            image: Its name or id.
            profile: How it is held: `hardened`, `gvisor`, `open`, or one of your own.
            tcp: As in `openenv_grpc.make`.
            timeout_s: Seconds until it must serve.
            kwargs: Construction options, and the arguments of `connect`.

        Raises:
            OpenEnvError: As `openenv_grpc.make`.
        """
        from openenv_grpc.providers import base, running

        source = base.EnvironmentSource("", image=image, profile=profile, tcp=tcp)
        provider = base.find_provider("docker")
        return running.start_client(
            provider, source, timeout_s, lambda address, token: cls.connect(address, token=token, **kwargs)
        )

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> StepResult[ObservationT]:
        """Begin a new episode.

        Args:
            seed: Makes it reproducible; refused (Unsupported) where the environment cannot honour it.
            options: Options of this episode, for the environment.
            timeout_s: Seconds the environment may take; the server's limit by default.
        """
        result: StepResult[ObservationT] = self._run(lambda: self._core.reset(seed, options, None, timeout_s))
        return result

    def step(self, action: ActionT, *, timeout_s: float | None = None) -> StepResult[ObservationT]:
        """Take one action.

        Args:
            action: The record; also accepted: the protobuf message, a mapping of its fields, or the bare value of its
                only field.
            timeout_s: Seconds the environment may take; when they are over the lane is interrupted and must be reset.
        """
        result: StepResult[ObservationT] = self._run(lambda: self._core.step(action, None, timeout_s))
        return result

    def step_chunk(
        self, actions: Sequence[ActionT], *, timeout_s: float | None = None
    ) -> list[StepResult[ObservationT]]:
        """Take several actions in one round trip; stops at the episode's end. One result per action executed."""
        if not len(actions):
            return []
        results: list[StepResult[ObservationT]] = self._run(
            lambda: self._core.step(actions, None, timeout_s, chunk=len(actions))
        )
        return results

    def state(self, *, timeout_s: float | None = None) -> StateT:
        """The episode's state."""
        state: StateT = self._run(lambda: self._core.state(None, timeout_s))
        return state

    def snapshot(self, *, timeout_s: float | None = None) -> bytes:
        """Save the environment (Unsupported where it cannot be saved)."""
        data: bytes = self._run(lambda: self._core.snapshot(None, timeout_s))
        return data

    def restore(self, saved: bytes, *, timeout_s: float | None = None) -> None:
        """Go back to where `snapshot` was called."""
        self._run(lambda: self._core.restore(saved, None, timeout_s))

    @property
    def action_space(self) -> Any:
        """The action as a gymnasium space (needs gymnasium): of its only field, or a Dict."""
        return single_action_space(self._core)

    @property
    def observation_space(self) -> Any:
        """The observation as a gymnasium space (needs gymnasium): of its only field, or a Dict."""
        return single_observation_space(self._core)


class VectorEnvClient(_SyncSession, Generic[ActionT, ObservationT, StateT]):
    """N lanes of an environment, stepped together. Safe to use from several threads; a context manager.

    Here the type variables are the *columns* of actions and observations.
    """

    _VECTOR = True

    @classmethod
    def connect(
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
        """Open a session of `num_envs` lanes; see `EnvClient.connect`.

        Args:
            address: `unix:/path` or `host:port`.
            num_envs: Number of lanes.
            shards: Worker processes they are spread over; 0 for one per core of the server.
            fields: Observation fields wanted. All by default.
            wait_s: Seconds to wait in line when the server is full.
            autoreset_mode: What happens at an episode's end.
            transport: As in `EnvClient.connect`.
            copy: As in `EnvClient.connect`.
            token: As in `EnvClient.connect`.
            options: Construction options of the environment.
        """
        request = OpenRequest(options, num_envs, shards, autoreset_mode, fields, wait_s)
        return cls._connect(address, request, transport, copy=copy, token=token)

    @property
    def num_envs(self) -> int:
        """Number of lanes."""
        return self._core.lanes

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
        lanes: Sequence[int] | None = None,
        timeout_s: float | None = None,
    ) -> VectorResult[ObservationT]:
        """Begin new episodes in all lanes, or in those named (the result then has their rows alone).

        Args:
            seed: One per lane, or one number s that gives lane i the seed s + i.
            options: Options of these episodes.
            lanes: Increasing lane numbers.
            timeout_s: Seconds the environments may take together.
        """
        result: VectorResult[ObservationT] = self._run(lambda: self._core.reset(seed, options, lanes, timeout_s))
        return result

    def step(
        self, actions: Any, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None
    ) -> VectorResult[ObservationT]:
        """Take one action in each lane, or in those named.

        Args:
            actions: Columns, a mapping of columns, an array (N, …) for an action's only field, or a list of N records.
            lanes: Increasing lane numbers.
            timeout_s: Seconds the environments may take together.

        Raises:
            OpenEnvError: When lanes fail: the first one's error, with `lane_errors`, and the others' result in
                `partial`.
        """
        result: VectorResult[ObservationT] = self._run(lambda: self._core.step(actions, lanes, timeout_s))
        return result

    def step_chunk(
        self, actions: Any, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None
    ) -> VectorResult[ObservationT]:
        """Take K actions in each lane in one round trip: columns of shape (K, N, …), or K lists of N records.

        A lane stops at its episode's end; `executed` says how many actions it took, rows beyond hold zeros.
        """
        chunk = chunk_length(actions)
        result: VectorResult[ObservationT] = self._run(lambda: self._core.step(actions, lanes, timeout_s, chunk=chunk))
        return result

    def state(self, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> list[StateT]:
        """The state of each lane."""
        states: list[StateT] = self._run(lambda: self._core.state(lanes, timeout_s))
        return states

    def snapshot(self, *, lanes: Sequence[int] | None = None, timeout_s: float | None = None) -> list[bytes]:
        """Save each lane."""
        saved: list[bytes] = self._run(lambda: self._core.snapshot(lanes, timeout_s))
        return saved

    def restore(
        self, saved: Sequence[bytes], *, lanes: Sequence[int] | None = None, timeout_s: float | None = None
    ) -> None:
        """Put each lane back."""
        self._run(lambda: self._core.restore(saved, lanes, timeout_s))

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
