from openenv_grpc.v1 import array_pb2 as _array_pb2
from openenv_grpc.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OptionType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTION_TYPE_UNSPECIFIED: _ClassVar[OptionType]
    OPTION_TYPE_BOOLEAN: _ClassVar[OptionType]
    OPTION_TYPE_INTEGER: _ClassVar[OptionType]
    OPTION_TYPE_NUMBER: _ClassVar[OptionType]
    OPTION_TYPE_TEXT: _ClassVar[OptionType]

class IsolationTier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISOLATION_TIER_UNSPECIFIED: _ClassVar[IsolationTier]
    ISOLATION_TIER_PROCESS: _ClassVar[IsolationTier]
OPTION_TYPE_UNSPECIFIED: OptionType
OPTION_TYPE_BOOLEAN: OptionType
OPTION_TYPE_INTEGER: OptionType
OPTION_TYPE_NUMBER: OptionType
OPTION_TYPE_TEXT: OptionType
ISOLATION_TIER_UNSPECIFIED: IsolationTier
ISOLATION_TIER_PROCESS: IsolationTier

class ColumnSpec(_message.Message):
    __slots__ = ("name", "dtype", "shape", "low", "high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: _array_pb2.Dtype
    shape: _containers.RepeatedScalarFieldContainer[int]
    low: float
    high: float
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[_array_pb2.Dtype, str]] = ..., shape: _Optional[_Iterable[int]] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class SessionSpec(_message.Message):
    __slots__ = ("action", "observation")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_FIELD_NUMBER: _ClassVar[int]
    action: _containers.RepeatedCompositeFieldContainer[ColumnSpec]
    observation: _containers.RepeatedCompositeFieldContainer[ColumnSpec]
    def __init__(self, action: _Optional[_Iterable[_Union[ColumnSpec, _Mapping]]] = ..., observation: _Optional[_Iterable[_Union[ColumnSpec, _Mapping]]] = ...) -> None: ...

class OptionSpec(_message.Message):
    __slots__ = ("name", "type", "required", "nullable", "default", "choices")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    NULLABLE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: OptionType
    required: bool
    nullable: bool
    default: _value_pb2.Value
    choices: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[_Union[OptionType, str]] = ..., required: bool = ..., nullable: bool = ..., default: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., choices: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ...) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("seeds", "snapshot")
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    seeds: bool
    snapshot: bool
    def __init__(self, seeds: bool = ..., snapshot: bool = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("sessions", "lanes", "message_bytes", "in_flight", "chunk", "step_time_s", "session_idle_s", "waiting", "shards")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    STEP_TIME_S_FIELD_NUMBER: _ClassVar[int]
    SESSION_IDLE_S_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    sessions: int
    lanes: int
    message_bytes: int
    in_flight: int
    chunk: int
    step_time_s: float
    session_idle_s: float
    waiting: int
    shards: int
    def __init__(self, sessions: _Optional[int] = ..., lanes: _Optional[int] = ..., message_bytes: _Optional[int] = ..., in_flight: _Optional[int] = ..., chunk: _Optional[int] = ..., step_time_s: _Optional[float] = ..., session_idle_s: _Optional[float] = ..., waiting: _Optional[int] = ..., shards: _Optional[int] = ...) -> None: ...

class EnvironmentSpec(_message.Message):
    __slots__ = ("name", "version", "descriptor_set", "action_message", "observation_message", "state_message", "spec_hash", "session", "options", "capabilities", "documentation")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTOR_SET_FIELD_NUMBER: _ClassVar[int]
    ACTION_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SPEC_HASH_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTATION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    descriptor_set: bytes
    action_message: str
    observation_message: str
    state_message: str
    spec_hash: str
    session: SessionSpec
    options: _containers.RepeatedCompositeFieldContainer[OptionSpec]
    capabilities: Capabilities
    documentation: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., descriptor_set: _Optional[bytes] = ..., action_message: _Optional[str] = ..., observation_message: _Optional[str] = ..., state_message: _Optional[str] = ..., spec_hash: _Optional[str] = ..., session: _Optional[_Union[SessionSpec, _Mapping]] = ..., options: _Optional[_Iterable[_Union[OptionSpec, _Mapping]]] = ..., capabilities: _Optional[_Union[Capabilities, _Mapping]] = ..., documentation: _Optional[str] = ...) -> None: ...
