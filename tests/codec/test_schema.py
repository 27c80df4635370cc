"""Schemas: what is a column, what the hash sees, and what a server's description may not do to a client."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec.describe import descriptor_set, records_of
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.schema import resolve
from openenv_grpc.errors import InvalidArgument, OpenEnvError, ProtocolMismatch, SpecMismatch
from openenv_grpc.specs import ArraySpec, EnvironmentSpec, SessionSpec
from openenv_grpc.v1 import array_pb2

FIELD = descriptor_pb2.FieldDescriptorProto


def description(records: RecordSet) -> EnvironmentSpec:
    return EnvironmentSpec(
        name="kitchen",
        version="",
        descriptor_set=descriptor_set(records.action.descriptor.file),
        action_message=records.action.full_name,
        observation_message=records.observation.full_name,
        state_message=records.state.full_name,
        spec_hash=records.spec_hash,
        session=SessionSpec({}, {}),
    )


@pytest.fixture
def spec(kitchen: ModuleType) -> EnvironmentSpec:
    return description(kitchen.RECORDS)


def changed(spec: EnvironmentSpec, change: Any) -> EnvironmentSpec:
    """The same description with its kitchen.proto changed."""
    files = descriptor_pb2.FileDescriptorSet.FromString(spec.descriptor_set)
    change(next(file for file in files.file if file.name.endswith("kitchen.proto")))
    return dataclasses.replace(spec, descriptor_set=files.SerializeToString())


def field(file: Any, message: str, name: str) -> Any:
    proto = next(m for m in file.message_type if m.name == message)
    return next(f for f in proto.field if f.name == name)


def test_columns_and_rest(kitchen: ModuleType) -> None:
    records: RecordSet = kitchen.RECORDS
    assert [f.name for f in records.action.rest] == ["text", "blob"]
    columns = {f.name for f in records.observation.columns}
    assert columns == {"rows", "view", "class", "from", "float", "field", "np"}
    assert set(records.observation.oneofs) == {"choice"}
    assert len(records.observation.oneofs["choice"]) == 5


def test_good_description_is_read(spec: EnvironmentSpec) -> None:
    assert records_of(spec).spec_hash == spec.spec_hash


CHANGES = {
    "name": lambda file: setattr(field(file, "KitchenAction", "i32"), "name", "other"),
    "number": lambda file: setattr(field(file, "KitchenAction", "i32"), "number", 99),
    "type": lambda file: setattr(field(file, "KitchenAction", "i32"), "type", FIELD.TYPE_SINT32),
    "bound": lambda file: setattr(_rule(field(file, "KitchenAction", "capped")), "high", 8.0),
    "shape": lambda file: _rule(field(file, "KitchenAction", "a_uint8")).shape.append(2),
    "dtype": lambda file: setattr(_rule(field(file, "KitchenAction", "a_uint8")), "dtype", 2),
}


def _rule(proto: Any) -> Any:
    return proto.options.Extensions[array_pb2.rule]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_hash_sees_every_change_of_structure(spec: EnvironmentSpec, change: Any) -> None:
    with pytest.raises(ProtocolMismatch) as caught:
        records_of(changed(spec, change))
    assert caught.value.field == "spec_hash"


def test_hash_does_not_see_comments_and_units(spec: EnvironmentSpec) -> None:
    def change(file: Any) -> None:
        file.source_code_info.location.add(path=[4, 0], span=[0, 0, 1], leading_comments="Other words.")
        _rule(field(file, "KitchenAction", "capped")).unit = "miles"

    assert records_of(changed(spec, change)).spec_hash == spec.spec_hash


BROKEN: dict[str, Any] = {
    "array without a rule": lambda file: field(file, "KitchenAction", "a_uint8").ClearField("options"),
    "rule on text": lambda file: setattr(_rule(field(file, "KitchenAction", "text")), "dtype", 1),
    "bounds on text": lambda file: setattr(_rule(field(file, "KitchenAction", "text")), "low", 1.0),
    "bounds in the wrong order": lambda file: setattr(_rule(field(file, "KitchenAction", "share")), "low", 9.0),
    "unknown dtype": lambda file: setattr(_rule(field(file, "KitchenAction", "a_uint8")), "dtype", 99),
    "axis below -1": lambda file: _rule(field(file, "KitchenAction", "a_uint8")).shape.append(-2),
    "33 axes": lambda file: _rule(field(file, "KitchenAction", "a_uint8")).shape.extend([1] * 33),
    "name of a class attribute": lambda file: setattr(field(file, "KitchenAction", "text"), "name", "MESSAGE"),
    "name of a method": lambda file: setattr(field(file, "KitchenAction", "text"), "name", "__init__"),
    "two names that are one in Python": lambda file: setattr(field(file, "KitchenObservation", "np"), "name", "class_"),
    "name that is none": lambda file: setattr(field(file, "KitchenAction", "text"), "name", "a b"),
    "type that does not exist": lambda file: setattr(field(file, "KitchenAction", "a_int8"), "type_name", ".no.Such"),
    "message missing": lambda file: file.message_type.pop(),
    "import missing": lambda file: file.dependency.append("nowhere.proto"),
    "enum member that Python reserves": lambda file: setattr(file.message_type[0].enum_type[0].value[1], "name", "mro"),
    "map without a value": lambda file: next(
        m for m in file.message_type[1].nested_type if m.options.map_entry
    ).field.pop(),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_broken_description_is_refused(spec: EnvironmentSpec, change: Any) -> None:
    with pytest.raises(OpenEnvError) as caught:
        records_of(changed(spec, change))
    assert isinstance(caught.value, ProtocolMismatch | InvalidArgument)
    assert caught.value.field
    assert caught.value.field != "spec_hash", "the description was believed until its hash was compared"


def test_description_that_is_no_description(spec: EnvironmentSpec) -> None:
    for data in (b"\xff\xff", b"", bytes(5 << 20)):
        with pytest.raises(ProtocolMismatch) as caught:
            records_of(dataclasses.replace(spec, descriptor_set=data))
        assert caught.value.field == "descriptor_set"


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_changed_description_is_an_error_of_ours(kitchen: ModuleType, data: st.DataObject) -> None:
    spec = description(kitchen.RECORDS)
    raw = bytearray(spec.descriptor_set)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        records = records_of(dataclasses.replace(spec, descriptor_set=bytes(raw)))
    except OpenEnvError:
        return
    assert records.spec_hash == spec.spec_hash


def test_enum_members_cannot_replace_what_python_needs(spec: EnvironmentSpec) -> None:
    def change(file: Any) -> None:
        file.message_type[0].enum_type[0].value[1].name = "_missing_"

    enum = records_of(changed(spec, change)).enums["openenv_kitchen.v1.KitchenAction.Knob"]
    assert "_missing_" not in enum.__members__
    with pytest.raises(ValueError, match="77 is not a valid"):
        enum(77)


ROWS, VIEW = ArraySpec(np.int16, (2, 5)), ArraySpec(np.uint8, (4, 4, 3))


def test_resolve_completes_open_shapes(kitchen: ModuleType) -> None:
    specs = resolve(kitchen.RECORDS.observation, {"rows": ROWS, "view": VIEW}, "observation")
    assert (specs["rows"], specs["view"]) == (ROWS, VIEW)
    assert specs["class"] == ArraySpec(np.int32)
    absent = resolve(kitchen.RECORDS.observation, {"rows": ArraySpec("i2", (0,)), "view": VIEW}, "observation")
    assert absent["rows"].absent


UNRESOLVED = {
    "nothing said": ({"view": VIEW}, "rows", "must give its shape"),
    "axis left open": ({"rows": ArraySpec("i2", (2, -1)), "view": VIEW}, "rows", "must give its shape"),
    "all axes left open": ({"rows": ROWS}, "view", "must give its shape"),
    "another axis": ({"rows": ArraySpec("i2", (3, 5)), "view": VIEW}, "rows", r"the .proto says int16\[2, -1\]"),
    "another number of axes": ({"rows": ArraySpec("i2", (2,)), "view": VIEW}, "rows", "the .proto says"),
    "another dtype": ({"rows": ROWS, "view": ArraySpec("i1", (1,))}, "view", "the .proto says uint8"),
    "unknown field": ({"rows": ROWS, "view": VIEW, "sound": VIEW}, "sound", "no such column"),
    "text": ({"rows": ROWS, "view": VIEW, "str": VIEW}, "str", "no such column"),
}


@pytest.mark.parametrize(("instance", "name", "complaint"), UNRESOLVED.values(), ids=UNRESOLVED)
def test_resolve_refuses(kitchen: ModuleType, instance: dict[str, ArraySpec], name: str, complaint: str) -> None:
    with pytest.raises(SpecMismatch, match=complaint) as caught:
        resolve(kitchen.RECORDS.observation, instance, "observation")
    assert caught.value.field == f"observation.{name}"
