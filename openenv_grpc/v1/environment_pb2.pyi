from google.rpc import status_pb2 as _status_pb2
from openenv_grpc.v1 import session_pb2 as _session_pb2
from openenv_grpc.v1 import spec_pb2 as _spec_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DescribeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DescribeResponse(_message.Message):
    __slots__ = ("protocol_revision", "server_version", "environment", "limits", "isolation_tier", "open_sessions", "draining", "isolation")
    PROTOCOL_REVISION_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_TIER_FIELD_NUMBER: _ClassVar[int]
    OPEN_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    protocol_revision: int
    server_version: str
    environment: _spec_pb2.EnvironmentSpec
    limits: _spec_pb2.Limits
    isolation_tier: _spec_pb2.IsolationTier
    open_sessions: int
    draining: bool
    isolation: Isolation
    def __init__(self, protocol_revision: _Optional[int] = ..., server_version: _Optional[str] = ..., environment: _Optional[_Union[_spec_pb2.EnvironmentSpec, _Mapping]] = ..., limits: _Optional[_Union[_spec_pb2.Limits, _Mapping]] = ..., isolation_tier: _Optional[_Union[_spec_pb2.IsolationTier, str]] = ..., open_sessions: _Optional[int] = ..., draining: bool = ..., isolation: _Optional[_Union[Isolation, _Mapping]] = ...) -> None: ...

class Isolation(_message.Message):
    __slots__ = ("profile", "runtime", "memory_bytes", "cpus", "pids", "read_only", "network")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    profile: str
    runtime: str
    memory_bytes: int
    cpus: float
    pids: int
    read_only: bool
    network: str
    def __init__(self, profile: _Optional[str] = ..., runtime: _Optional[str] = ..., memory_bytes: _Optional[int] = ..., cpus: _Optional[float] = ..., pids: _Optional[int] = ..., read_only: bool = ..., network: _Optional[str] = ...) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "open", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    open: _session_pb2.Open
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., open: _Optional[_Union[_session_pb2.Open, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class OpenResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "open", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    open: _session_pb2.Opened
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., open: _Optional[_Union[_session_pb2.Opened, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ResetRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "reset", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    reset: _session_pb2.Reset
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., reset: _Optional[_Union[_session_pb2.Reset, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ResetResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "reset", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    reset: _session_pb2.Transition
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., reset: _Optional[_Union[_session_pb2.Transition, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class StepRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "step", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    step: _session_pb2.Step
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., step: _Optional[_Union[_session_pb2.Step, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class StepResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "step", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    step: _session_pb2.Transition
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., step: _Optional[_Union[_session_pb2.Transition, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class GetStateRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "state", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    state: _session_pb2.GetState
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., state: _Optional[_Union[_session_pb2.GetState, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class GetStateResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "state", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    state: _session_pb2.States
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., state: _Optional[_Union[_session_pb2.States, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "snapshot", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    snapshot: _session_pb2.Snapshot
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., snapshot: _Optional[_Union[_session_pb2.Snapshot, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class SnapshotResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "snapshot", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    snapshot: _session_pb2.Snapshots
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., snapshot: _Optional[_Union[_session_pb2.Snapshots, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "restore", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    restore: _session_pb2.Restore
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., restore: _Optional[_Union[_session_pb2.Restore, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class RestoreResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "restore", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    restore: _session_pb2.Restored
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., restore: _Optional[_Union[_session_pb2.Restored, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class CloseRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "close", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    close: _session_pb2.Close
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., close: _Optional[_Union[_session_pb2.Close, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class CloseResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "close", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    close: _session_pb2.Closed
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., close: _Optional[_Union[_session_pb2.Closed, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...
