"""Records that cannot be sent and messages that cannot be believed: each is refused, and the field is named."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from openenv_grpc.codec.records import RecordSet
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import ArraySpec

ACTION = "openenv_kitchen.v1.KitchenAction"
OBSERVATION = "openenv_kitchen.v1.KitchenObservation"
STATE = "openenv_kitchen.v1.KitchenState"


@pytest.fixture
def records(kitchen: ModuleType) -> RecordSet:
    found: RecordSet = kitchen.RECORDS
    return found


def neutral(records: RecordSet, name: str) -> dict[str, Any]:
    """A mapping that is accepted: every field at zero, or as near to zero as its bounds allow."""
    found = {}
    for field in records.schemas[name].fields:
        found[field.attr] = field.neutral()
        if field.spec is not None and field.single:
            shape = tuple(max(axis, 0) for axis in field.spec.shape)
            low = max(field.spec.low or 0, 0)
            found[field.attr] = np.full(shape, low, field.spec.dtype) if shape else low if low else field.neutral()
    return found


def dish(kitchen: ModuleType, **changes: Any) -> Any:
    plain = {"name": "soup", "heat": np.zeros(2, np.float32), "doneness": 0, "weight": 1.0}
    return kitchen.Dish(**(plain | changes))


@pytest.mark.parametrize("name", [ACTION, OBSERVATION, STATE])
def test_the_neutral_record_is_accepted(records: RecordSet, name: str) -> None:
    message = records.encode(name, neutral(records, name))
    assert records.decode(records.parse(name, message.SerializeToString())) is not None


WRONG_ACTION = {
    "number for a truth value": ("flag", 1, "expected bool, got int"),
    "truth value for a number": ("i32", True, "expected int32, got bool"),
    "text for a number": ("i64", "1", "expected int64, got str"),
    "nothing for a number": ("u32", None, "expected uint32, got NoneType"),
    "float for an integer": ("u64", 1.0, "expected uint64, got float"),
    "list for a number": ("i32", [1], "expected int32, got list"),
    "array for a number": ("i32", np.zeros(2, int), r"expected one int32, got an array of shape \(2,\)"),
    "complex for a float": ("twice", 1j, "expected float64, got complex"),
    "overflow of 32 bits": ("s32", 1 << 31, "2147483648 does not fit into int32"),
    "overflow of 64 bits": ("f64", 1 << 64, "does not fit into uint64"),
    "negative for unsigned": ("f32", -1, "-1 does not fit into uint32"),
    "more digits than str() writes": ("i64", 1 << 20_000, "a number that large does not fit into int64"),
    "float beyond float32": ("single", 1e300, "does not fit into float32"),
    "integer beyond float64": ("twice", 10**400, "does not fit into float64"),
    "below its bound": ("share", 0.5, r"0.5 is not within \["),
    "above its bound": ("capped", 8, r"8 is not within \[None, 7"),
    "nan where bounded": ("share", float("nan"), "nan is not within"),
    "enum below its bound": ("doneness", -2, "-2 is not within"),
    "enum by name": ("knob", "KNOB_LEFT", "expected int32, got str"),
    "bytes for text": ("text", b"abc", "expected text, got bytes"),
    "text with half a surrogate pair": ("text", "\ud800", "lone surrogates"),
    "text for bytes": ("blob", "abc", "expected bytes, got str"),
    "array of another dtype": ("a_uint8", np.zeros((7, 3)), "dtype float64, expected uint8"),
    "array of another shape": ("a_uint8", np.zeros((3, 7), np.uint8), r"shape \(3, 7\), expected \(7, 3\)"),
    "array with a value too large": ("a_int8", [[1, 2], [3, 128]], "does not fit into int8"),
    "array out of bounds": ("a_float32", [0, 1, 2], r"2.0 is not within \[-1, 1.5\]"),
    "array with nan where bounded": ("a_float64", np.full((2, 3), np.nan), r"nan is not within \[0, inf\]"),
    "nothing for an array": ("a_bool", None, "dtype object, expected bool"),
}


@pytest.mark.parametrize(("field", "value", "complaint"), WRONG_ACTION.values(), ids=WRONG_ACTION)
def test_wrong_field_of_a_record(records: RecordSet, field: str, value: Any, complaint: str) -> None:
    mapping = neutral(records, ACTION) | {field: value}
    for given in (mapping, records.classes[ACTION](**mapping)):
        with pytest.raises(InvalidArgument, match=complaint) as caught:
            records.encode(ACTION, given)
        assert caught.value.field == field


def test_missing_and_unknown_fields(records: RecordSet) -> None:
    mapping = neutral(records, ACTION)
    del mapping["a_uint8"]
    with pytest.raises(InvalidArgument, match="needs it") as caught:
        records.encode(ACTION, mapping)
    assert caught.value.field == "a_uint8"
    with pytest.raises(InvalidArgument, match="has no such field; it has flag, i32") as caught:
        records.encode(ACTION, {"flagg": True})
    assert caught.value.field == "flagg"


@pytest.mark.parametrize("given", [None, 5, "text", [1], object()])
def test_no_record_at_all(records: RecordSet, given: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"expected a {ACTION}, a mapping or a message"):
        records.encode(ACTION, given)


def test_record_and_message_of_another_type(records: RecordSet, kitchen: ModuleType) -> None:
    with pytest.raises(InvalidArgument, match=f"expected a {ACTION}, a mapping or a message, got Dish"):
        records.encode(ACTION, dish(kitchen))
    with pytest.raises(InvalidArgument, match=f"expected a {ACTION}, got a openenv_kitchen.v1.KitchenState"):
        records.encode(ACTION, records.state.message_class())


WRONG_STATE = {
    "text for a list": ("texts", "abc", "texts", "expected a list, got str"),
    "number in numpy for a list": ("s32s", np.array(1), "s32s", "expected a list, got ndarray"),
    "set for a list": ("flags", {True}, "flags", "expected a list, got set"),
    "list for a map": ("of_double", [1.0], "of_double", "expected a mapping, got list"),
    "wrong item": ("s32s", [1, "2"], "s32s.1", "expected int32, got str"),
    "item out of bounds": ("doubles", [0.0, -6.0], "doubles.1", "-6.0 is not within"),
    "array item of another shape": ("arrays", [np.zeros((1, 3), "f4")], "arrays.0", r"expected \(-1, 2\)"),
    "value that cannot be sent": ("values", [1, {"a": {2}}], "values.1.a", "set cannot be sent"),
    "wrong key": ("by_int", {"1": 1}, "by_int", "expected int32, got str"),
    "wrong value of a key": ("of_bytes", {"a": b"", "b": ""}, "of_bytes.b", "expected bytes, got str"),
    "array of a key": ("of_array", {"a": [1.5], "b": "x"}, "of_array.b", "expected complex64"),
    "record of a key": ("of_dish", {"a": {"name": "pie"}}, "of_dish.a.heat", "needs it"),
    "key of a value": ("of_value", {1: object()}, "of_value.1", "object cannot be sent"),
    "nested record": ("any", {"ids": [1, -1]}, "any.ids.1", "-1 does not fit into uint32"),
    "something for a record": ("any", 7, "any", "expected a openenv_kitchen.v1.KitchenState.Any"),
}


@pytest.mark.parametrize(("field", "value", "path", "complaint"), WRONG_STATE.values(), ids=WRONG_STATE)
def test_wrong_field_inside(records: RecordSet, field: str, value: Any, path: str, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint) as caught:
        records.encode(STATE, neutral(records, STATE) | {field: value})
    assert caught.value.field == path


@pytest.mark.parametrize("value", [[[1], [1, 2]], [np.zeros(1), np.zeros(2)]], ids=["lists", "arrays"])
def test_ragged_values_where_the_shape_is_open(records: RecordSet, value: Any) -> None:
    with pytest.raises(InvalidArgument, match="view: not an array of uint8"):
        records.encode(OBSERVATION, neutral(records, OBSERVATION) | {"view": value})


def test_two_members_of_a_oneof(records: RecordSet) -> None:
    given = neutral(records, OBSERVATION) | {"by_name": "a", "by_number": 1}
    with pytest.raises(InvalidArgument, match="only one of by_name, by_number may be set") as caught:
        records.encode(OBSERVATION, given)
    assert caught.value.field == "by_number"


def test_record_within_itself(records: RecordSet, kitchen: ModuleType) -> None:
    snake = dish(kitchen, parts=[])
    snake.parts.append(snake)
    with pytest.raises(InvalidArgument, match="nested too deeply, or within itself"):
        records.encode("openenv_kitchen.v1.Dish", snake)


def test_names_of_python_and_of_the_proto_are_both_known(records: RecordSet) -> None:
    given = neutral(records, OBSERVATION)
    plain = {name.rstrip("_"): value for name, value in given.items()}
    assert "class" in plain
    assert "class_" in given
    assert records.encode(OBSERVATION, plain) == records.encode(OBSERVATION, given)


# -- messages that came from a peer ------------------------------------------------------------------------------


def hostile(records: RecordSet, name: str, **changes: Any) -> bytes:
    message = records.encode(name, neutral(records, name))
    for field, value in changes.items():
        target = getattr(message, field)
        if value is None:
            message.ClearField(field)
        elif isinstance(value, dict):
            for part, content in value.items():
                if isinstance(content, list):
                    getattr(target, part)[:] = content
                else:
                    setattr(target, part, content)
        else:
            setattr(message, field, value)
    return message.SerializeToString()


HOSTILE: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "missing array": (ACTION, {"a_uint8": None}, "a_uint8", "the array is missing"),
    "wrong dtype": (ACTION, {"a_int16": {"dtype": 7}}, "a_int16", "dtype uint16, expected int16"),
    "no dtype": (ACTION, {"a_int16": {"dtype": 0}}, "a_int16.dtype", "not a known element type"),
    "wrong shape": (ACTION, {"a_uint8": {"shape": [3, 7]}}, "a_uint8", "expected"),
    "shape without its data": (ACTION, {"a_uint8": {"shape": [7, 4]}}, "a_uint8.data", "do not make"),
    "truncated data": (ACTION, {"a_uint8": {"data": bytes(20)}}, "a_uint8.data", "20 bytes do not make"),
    "long data": (ACTION, {"a_uint8": {"data": bytes(22)}}, "a_uint8.data", "22 bytes do not make"),
    "endless axis": (ACTION, {"a_uint8": {"shape": [(1 << 64) - 1, 7]}}, "a_uint8.data", "do not make"),
    "array out of bounds": (ACTION, {"a_float64": {"data": b"\0" * 40 + b"\xbf" * 8}}, "a_float64", "is not within"),
    "nan where bounded": (ACTION, {"a_float32": {"data": b"\xff" * 12}}, "a_float32", "nan is not within"),
    "neither true nor false": (ACTION, {"a_bool": {"data": b"\0\1\2"}}, "a_bool", "the byte 0 or 1"),
    "number out of bounds": (ACTION, {"capped": 8}, "capped", "8 is not within"),
    "nan": (ACTION, {"share": float("nan")}, "share", "nan is not within"),
    "enum out of bounds": (ACTION, {"doneness": 3}, "doneness", "3 is not within"),
    "open axis beside a wrong one": (OBSERVATION, {"rows": {"shape": [0, 3]}}, "rows", "expected"),
}


@pytest.mark.parametrize(("name", "changes", "path", "complaint"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_message(records: RecordSet, name: str, changes: dict[str, Any], path: str, complaint: str) -> None:
    data = hostile(records, name, **changes)
    with pytest.raises(InvalidArgument, match=complaint) as caught:
        records.decode(records.parse(name, data))
    assert caught.value.field == path


def test_hostile_nested_message(records: RecordSet, kitchen: ModuleType) -> None:
    message = records.encode(
        STATE, neutral(records, STATE) | {"of_dish": {"a": dish(kitchen)}, "dishes": [dish(kitchen)]}
    )
    message.dishes[0].weight = -1  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgument, match=r"-1\.0 is not within") as caught:
        records.decode(records.parse(STATE, message.SerializeToString()))
    assert caught.value.field is not None
    assert caught.value.field.startswith("dishes")
    assert caught.value.field.endswith("weight")


@pytest.mark.parametrize(
    ("text", "path"),
    [(b"\x82\x01\x01\xff", "text"), (b"\x82\x01\x02\xc3\x28", "text"), (b"\x82\x01\x05ab", None), (b"\xff", None)],
    ids=["not UTF-8", "broken sequence", "truncated", "no tag"],
)
def test_bytes_that_are_no_message(records: RecordSet, text: bytes, path: str | None) -> None:
    with pytest.raises(InvalidArgument, match=f"not a valid {ACTION}") as caught:
        records.parse(ACTION, text)
    assert caught.value.field == path


def test_message_nested_deeper_than_protobuf_reads(records: RecordSet) -> None:
    data = b""
    for _ in range(200):
        size = len(data)
        length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
        data = b"\x1a" + length + data
    with pytest.raises(InvalidArgument, match=r"not a valid openenv_kitchen\.v1\.Dish"):
        records.parse("openenv_kitchen.v1.Dish", data)


def test_unknown_enum_value_is_kept_as_a_number(records: RecordSet) -> None:
    message = records.parse(ACTION, hostile(records, ACTION, knob=77))
    found = records.decode(message)
    assert found.knob == 77
    assert records.encode(ACTION, found) == message


def test_bounds_of_float32_hold_at_both_ends(records: RecordSet) -> None:
    for bound in (0.7, 1.1):
        message = records.encode(ACTION, neutral(records, ACTION) | {"share": bound})
        assert records.decode(records.parse(ACTION, message.SerializeToString())).share == float(np.float32(bound))


def test_session_specs_replace_open_shapes(records: RecordSet) -> None:
    specs = {"rows": ArraySpec(np.int16, (2, 3)), "view": ArraySpec(np.uint8, (0,))}
    given = neutral(records, OBSERVATION) | {"rows": np.zeros((2, 3), np.int16)}
    message = records.encode(OBSERVATION, given, specs)
    assert not message.HasField("view"), "a field that is absent in the session travels"
    found = records.decode(message, specs)
    assert found.view.shape == (0,)
    with pytest.raises(InvalidArgument, match=r"rows: shape \(2, 4\), expected \(2, 3\)"):
        records.encode(OBSERVATION, given | {"rows": np.zeros((2, 4), np.int16)}, specs)


def test_records_are_frozen_compare_by_value_and_do_not_hash(kitchen: ModuleType) -> None:
    soup = dish(kitchen)
    assert soup == dish(kitchen)
    assert soup != dish(kitchen, heat=np.zeros(2))
    assert soup != dish(kitchen, heat=np.zeros((2, 1), np.float32))
    assert soup != dish(kitchen, heat=np.ones(2, np.float32))
    assert dish(kitchen, weight=float("nan")) == dish(kitchen, weight=float("nan"))
    assert soup != 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        soup.name = "stew"
    with pytest.raises(TypeError, match="unhashable"):
        hash(soup)
