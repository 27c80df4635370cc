from google.protobuf import any_pb2 as _any_pb2
from google.rpc import status_pb2 as _status_pb2
from openenv_grpc.v1 import spec_pb2 as _spec_pb2
from openenv_grpc.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AutoresetMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTORESET_MODE_UNSPECIFIED: _ClassVar[AutoresetMode]
    AUTORESET_MODE_NEXT_STEP: _ClassVar[AutoresetMode]
    AUTORESET_MODE_SAME_STEP: _ClassVar[AutoresetMode]
    AUTORESET_MODE_DISABLED: _ClassVar[AutoresetMode]

class Layout(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LAYOUT_UNSPECIFIED: _ClassVar[Layout]
    LAYOUT_COLUMNS: _ClassVar[Layout]
    LAYOUT_RECORDS: _ClassVar[Layout]
AUTORESET_MODE_UNSPECIFIED: AutoresetMode
AUTORESET_MODE_NEXT_STEP: AutoresetMode
AUTORESET_MODE_SAME_STEP: AutoresetMode
AUTORESET_MODE_DISABLED: AutoresetMode
LAYOUT_UNSPECIFIED: Layout
LAYOUT_COLUMNS: Layout
LAYOUT_RECORDS: Layout

class Shard(_message.Message):
    __slots__ = ("first_lane", "lanes")
    FIRST_LANE_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    first_lane: int
    lanes: int
    def __init__(self, first_lane: _Optional[int] = ..., lanes: _Optional[int] = ...) -> None: ...

class Open(_message.Message):
    __slots__ = ("options", "lanes", "shards", "autoreset_mode", "fields", "layout", "protocol_revision", "spec_hash", "wait_ms", "local_lane")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    AUTORESET_MODE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_REVISION_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_LANE_FIELD_NUMBER: _ClassVar[int]
    options: _containers.MessageMap[str, _value_pb2.Value]
    lanes: int
    shards: int
    autoreset_mode: AutoresetMode
    fields: _containers.RepeatedScalarFieldContainer[str]
    layout: Layout
    protocol_revision: int
    spec_hash: str
    wait_ms: int
    local_lane: bool
    def __init__(self, options: _Optional[_Mapping[str, _value_pb2.Value]] = ..., lanes: _Optional[int] = ..., shards: _Optional[int] = ..., autoreset_mode: _Optional[_Union[AutoresetMode, str]] = ..., fields: _Optional[_Iterable[str]] = ..., layout: _Optional[_Union[Layout, str]] = ..., protocol_revision: _Optional[int] = ..., spec_hash: _Optional[str] = ..., wait_ms: _Optional[int] = ..., local_lane: bool = ...) -> None: ...

class Seed(_message.Message):
    __slots__ = ("value",)
    VALUE_FIELD_NUMBER: _ClassVar[int]
    value: int
    def __init__(self, value: _Optional[int] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("lanes", "seeds", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    LANES_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[int]
    seeds: _containers.RepeatedCompositeFieldContainer[Seed]
    options: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, lanes: _Optional[_Iterable[int]] = ..., seeds: _Optional[_Iterable[_Union[Seed, _Mapping]]] = ..., options: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("lanes", "chunk", "actions")
    LANES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[int]
    chunk: int
    actions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, lanes: _Optional[_Iterable[int]] = ..., chunk: _Optional[int] = ..., actions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class GetState(_message.Message):
    __slots__ = ("lanes",)
    LANES_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, lanes: _Optional[_Iterable[int]] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("lanes",)
    LANES_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, lanes: _Optional[_Iterable[int]] = ...) -> None: ...

class Restore(_message.Message):
    __slots__ = ("lanes", "snapshots")
    LANES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[int]
    snapshots: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, lanes: _Optional[_Iterable[int]] = ..., snapshots: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Close(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "timeout_ms", "session_id", "open", "reset", "step", "state", "snapshot", "restore", "close", "extension", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    timeout_ms: int
    session_id: str
    open: Open
    reset: Reset
    step: Step
    state: GetState
    snapshot: Snapshot
    restore: Restore
    close: Close
    extension: _any_pb2.Any
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., open: _Optional[_Union[Open, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ..., step: _Optional[_Union[Step, _Mapping]] = ..., state: _Optional[_Union[GetState, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., restore: _Optional[_Union[Restore, _Mapping]] = ..., close: _Optional[_Union[Close, _Mapping]] = ..., extension: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...

class Opened(_message.Message):
    __slots__ = ("session_id", "shards", "spec", "autoreset_mode", "limits", "local_lane")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    AUTORESET_MODE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LOCAL_LANE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    spec: _spec_pb2.SessionSpec
    autoreset_mode: AutoresetMode
    limits: _spec_pb2.Limits
    local_lane: LocalLane
    def __init__(self, session_id: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ..., spec: _Optional[_Union[_spec_pb2.SessionSpec, _Mapping]] = ..., autoreset_mode: _Optional[_Union[AutoresetMode, str]] = ..., limits: _Optional[_Union[_spec_pb2.Limits, _Mapping]] = ..., local_lane: _Optional[_Union[LocalLane, _Mapping]] = ...) -> None: ...

class LocalLane(_message.Message):
    __slots__ = ("token", "slots", "slot_bytes", "joint_slot_bytes", "cores")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    JOINT_SLOT_BYTES_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    slots: int
    slot_bytes: _containers.RepeatedScalarFieldContainer[int]
    joint_slot_bytes: int
    cores: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, token: _Optional[bytes] = ..., slots: _Optional[int] = ..., slot_bytes: _Optional[_Iterable[int]] = ..., joint_slot_bytes: _Optional[int] = ..., cores: _Optional[_Iterable[int]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("reward", "terminated", "truncated")
    REWARD_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    reward: float
    terminated: bool
    truncated: bool
    def __init__(self, reward: _Optional[float] = ..., terminated: bool = ..., truncated: bool = ...) -> None: ...

class LaneFailure(_message.Message):
    __slots__ = ("lane", "status")
    LANE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    lane: int
    status: _status_pb2.Status
    def __init__(self, lane: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class Transition(_message.Message):
    __slots__ = ("lanes", "chunk", "executed", "observations", "outcomes", "info", "failures", "final_lanes", "final_observations", "final_info")
    LANES_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    FINAL_LANES_FIELD_NUMBER: _ClassVar[int]
    FINAL_OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    FINAL_INFO_FIELD_NUMBER: _ClassVar[int]
    lanes: _containers.RepeatedScalarFieldContainer[int]
    chunk: int
    executed: _containers.RepeatedScalarFieldContainer[int]
    observations: _containers.RepeatedScalarFieldContainer[bytes]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    info: _containers.RepeatedCompositeFieldContainer[_value_pb2.InfoColumn]
    failures: _containers.RepeatedCompositeFieldContainer[LaneFailure]
    final_lanes: _containers.RepeatedScalarFieldContainer[int]
    final_observations: _containers.RepeatedScalarFieldContainer[bytes]
    final_info: _containers.RepeatedCompositeFieldContainer[_value_pb2.InfoColumn]
    def __init__(self, lanes: _Optional[_Iterable[int]] = ..., chunk: _Optional[int] = ..., executed: _Optional[_Iterable[int]] = ..., observations: _Optional[_Iterable[bytes]] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., info: _Optional[_Iterable[_Union[_value_pb2.InfoColumn, _Mapping]]] = ..., failures: _Optional[_Iterable[_Union[LaneFailure, _Mapping]]] = ..., final_lanes: _Optional[_Iterable[int]] = ..., final_observations: _Optional[_Iterable[bytes]] = ..., final_info: _Optional[_Iterable[_Union[_value_pb2.InfoColumn, _Mapping]]] = ...) -> None: ...

class States(_message.Message):
    __slots__ = ("states",)
    STATES_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, states: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Snapshots(_message.Message):
    __slots__ = ("snapshots",)
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, snapshots: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Restored(_message.Message):
    __slots__ = ("done",)
    DONE_FIELD_NUMBER: _ClassVar[int]
    done: _containers.RepeatedScalarFieldContainer[bool]
    def __init__(self, done: _Optional[_Iterable[bool]] = ...) -> None: ...

class Closed(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("header_size", "shard", "seq", "status", "ended", "open", "reset", "step", "state", "snapshot", "restore", "close", "extension", "padding", "payload")
    HEADER_SIZE_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    header_size: int
    shard: int
    seq: int
    status: _status_pb2.Status
    ended: bool
    open: Opened
    reset: Transition
    step: Transition
    state: States
    snapshot: Snapshots
    restore: Restored
    close: Closed
    extension: _any_pb2.Any
    padding: bytes
    payload: bytes
    def __init__(self, header_size: _Optional[int] = ..., shard: _Optional[int] = ..., seq: _Optional[int] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., ended: bool = ..., open: _Optional[_Union[Opened, _Mapping]] = ..., reset: _Optional[_Union[Transition, _Mapping]] = ..., step: _Optional[_Union[Transition, _Mapping]] = ..., state: _Optional[_Union[States, _Mapping]] = ..., snapshot: _Optional[_Union[Snapshots, _Mapping]] = ..., restore: _Optional[_Union[Restored, _Mapping]] = ..., close: _Optional[_Union[Closed, _Mapping]] = ..., extension: _Optional[_Union[_any_pb2.Any, _Mapping]] = ..., padding: _Optional[bytes] = ..., payload: _Optional[bytes] = ...) -> None: ...
