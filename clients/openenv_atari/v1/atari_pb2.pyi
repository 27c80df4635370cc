from openenv_grpc.v1 import array_pb2 as _array_pb2
from openenv_grpc.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AtariAction(_message.Message):
    __slots__ = ("action_id",)
    ACTION_ID_FIELD_NUMBER: _ClassVar[int]
    action_id: int
    def __init__(self, action_id: _Optional[int] = ...) -> None: ...

class AtariObservation(_message.Message):
    __slots__ = ("screen", "ram")
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    RAM_FIELD_NUMBER: _ClassVar[int]
    screen: _array_pb2.Array
    ram: _array_pb2.Array
    def __init__(self, screen: _Optional[_Union[_array_pb2.Array, _Mapping]] = ..., ram: _Optional[_Union[_array_pb2.Array, _Mapping]] = ...) -> None: ...

class AtariState(_message.Message):
    __slots__ = ("episode_id", "step_count", "lives", "frame_number", "episode_frame_number", "action_meanings", "options")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    EPISODE_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIVES_FIELD_NUMBER: _ClassVar[int]
    FRAME_NUMBER_FIELD_NUMBER: _ClassVar[int]
    EPISODE_FRAME_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTION_MEANINGS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    episode_id: str
    step_count: int
    lives: int
    frame_number: int
    episode_frame_number: int
    action_meanings: _containers.RepeatedScalarFieldContainer[str]
    options: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, episode_id: _Optional[str] = ..., step_count: _Optional[int] = ..., lives: _Optional[int] = ..., frame_number: _Optional[int] = ..., episode_frame_number: _Optional[int] = ..., action_meanings: _Optional[_Iterable[str]] = ..., options: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...
