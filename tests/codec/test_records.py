"""Records ⇄ messages: whatever an environment can say survives the wire, typed or not, in records or in columns."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec.columns import ColumnLayout
from openenv_grpc.codec.describe import descriptor_set, records_of
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.schema import Schema
from openenv_grpc.specs import ArraySpec, EnvironmentSpec, SessionSpec
from tests.codec import strategies

ROOTS = ["KitchenAction", "KitchenObservation", "KitchenState"]


@pytest.fixture(scope="session")
def dynamic(kitchen: ModuleType) -> RecordSet:
    """Records made from the description alone, in a descriptor pool of their own."""
    records = kitchen.RECORDS
    spec = EnvironmentSpec(
        name="kitchen",
        version="",
        descriptor_set=descriptor_set(records.action.descriptor.file),
        action_message=records.action.full_name,
        observation_message=records.observation.full_name,
        state_message=records.state.full_name,
        spec_hash=records.spec_hash,
        session=SessionSpec({}, {}),
    )
    return records_of(spec)


def fields(record: Any) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}


def as_data(value: Any) -> Any:
    """A record as plain dicts, so that records of different classes compare."""
    if dataclasses.is_dataclass(value):
        return {name: as_data(item) for name, item in fields(value).items()}
    if isinstance(value, dict):
        return {key: as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, float) and np.isnan(value):
        return "nan"
    return value


@pytest.mark.parametrize("root", ROOTS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_typed_round_trip(root: str, kitchen: ModuleType, data: st.DataObject) -> None:
    records: RecordSet = kitchen.RECORDS
    name = f"openenv_kitchen.v1.{root}"
    record = data.draw(strategies.records(records, name))
    wire = records.encode(name, record).SerializeToString()
    found = records.decode(records.parse(name, wire))
    assert type(found) is getattr(kitchen, root)
    assert found == record
    assert as_data(found) == as_data(record)


@pytest.mark.parametrize("root", ROOTS)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_dynamic_records_read_and_write_the_same_bytes(
    root: str, kitchen: ModuleType, dynamic: RecordSet, data: st.DataObject
) -> None:
    name = f"openenv_kitchen.v1.{root}"
    record = data.draw(strategies.records(kitchen.RECORDS, name))
    wire = kitchen.RECORDS.encode(name, record).SerializeToString(deterministic=True)
    found = dynamic.decode(dynamic.parse(name, wire))
    assert type(found) is dynamic.classes[name]
    assert type(found) is not type(record)
    assert as_data(found) == as_data(record)
    assert dynamic.encode(name, found).SerializeToString(deterministic=True) == wire
    assert kitchen.RECORDS.decode(kitchen.RECORDS.encode(name, found)) == record, "a foreign record is read as our own"


def test_the_dynamic_pool_is_foreign(kitchen: ModuleType, dynamic: RecordSet) -> None:
    assert dynamic.action.message_class.DESCRIPTOR.file.pool is not kitchen.RECORDS.action.descriptor.file.pool


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_mapping_and_message_say_the_same_as_a_record(kitchen: ModuleType, data: st.DataObject) -> None:
    records: RecordSet = kitchen.RECORDS
    name = records.state.full_name
    record = data.draw(strategies.records(records, name))
    message = records.encode(name, record)
    assert records.encode(name, fields(record)) == message
    assert records.encode(name, message) == message


def split(records: RecordSet, schema: Schema, rows: list[Any], specs: dict[str, ArraySpec]) -> Any:
    """A batch as the session core sends it: columns, and one record per row for the rest."""
    taken = [records.fields_of(schema.full_name, row) for row in rows]
    columns = {
        f.name: np.stack([np.asarray(row[f.name], specs[f.name].dtype) for row in taken]) for f in schema.columns
    }
    rest = [records.encode_fields(schema.full_name, row, schema.rest).SerializeToString() for row in taken]
    return columns, rest


@given(data=st.data())
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("what", ["action", "observation"])
def test_batch_becomes_columns_and_rest_and_rows_again(what: str, kitchen: ModuleType, data: st.DataObject) -> None:
    records: RecordSet = kitchen.RECORDS
    schema: Schema = getattr(records, what)
    session = (
        {"rows": ArraySpec(np.int16, (2, 3)), "view": ArraySpec(np.uint8, (2, 1, 2))} if what == "observation" else {}
    )
    specs = {f.name: session.get(f.name, f.spec) for f in schema.columns if f.spec is not None}
    rows = data.draw(st.lists(strategies.records(records, schema.full_name, **session), min_size=1, max_size=3))
    columns, rest = split(records, schema, rows, specs)

    layout = ColumnLayout(specs)
    payload = layout.join(layout.cast(columns, (len(rows),)), len(rows))
    read = layout.read(payload, 0, len(payload), len(rows))
    layout.check(read)
    for index, row in enumerate(rows):
        found = records.decode_fields(records.parse(schema.full_name, rest[index]), schema.rest)
        for field in schema.columns:
            found[field.name] = read[field.name][index]
        expected = records.fields_of(schema.full_name, row)
        assert set(found) == set(expected)
        for name, value in expected.items():
            same = np.asarray(value, specs[name].dtype) if name in specs else value
            assert as_data(found[name] if name not in specs else np.asarray(found[name])) == as_data(same), name
