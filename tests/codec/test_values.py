"""Values ⇄ messages: options and infos keep their types, and what cannot be sent is named by its path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openenv_grpc.codec import values
from openenv_grpc.codec.records import _equal
from openenv_grpc.errors import InvalidArgument
from openenv_grpc.v1 import session_pb2, value_pb2
from tests.codec import strategies


def round_trip(value: Any) -> Any:
    return values.from_message(value_pb2.Value.FromString(values.to_message(value).SerializeToString()))


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types all the way down; a tuple is read as a list."""
    if isinstance(a, list | tuple):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and _equal(a, b)


@given(strategies.plain_values())
@settings(max_examples=120, deadline=None)
def test_round_trip(value: Any) -> None:
    assert same(value, round_trip(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), [1, 2]),
        (np.float32(1.5), 1.5),
        (np.int8(-1), -1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (bytearray(b"a"), b"a"),
        (-(1 << 63), -(1 << 63)),
        ({}, {}),
        ([], []),
        ("", ""),
        (b"", b""),
        (0, 0),
        (False, False),
    ],
)
def test_what_is_read_for_what_is_written(value: Any, expected: Any) -> None:
    assert same(expected, round_trip(value))


REFUSED: dict[str, tuple[Any, str]] = {
    "object": (object(), "object cannot be sent"),
    "set": ({1}, "set cannot be sent"),
    "complex": (1j, "complex cannot be sent"),
    "integer beyond 64 bits": (1 << 63, "does not fit into 64 bits"),
    "integer beyond what str() writes": (1 << 20_000, "a number that large does not fit into 64 bits"),
    "lone surrogate": ("\ud800", "lone surrogates"),
    "key with a lone surrogate": ({"\ud800": 1}, "lone surrogates"),
    "key that is no text": ({1: 1}, "keys must be text, got int"),
    "inner object": ({"a": [0, {"b": object()}]}, r"^a\.1\.b: object cannot be sent"),
    "array of objects": ([np.array([None])], "^0: object is not a numeric dtype or bool"),
}


@pytest.mark.parametrize(("value", "complaint"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_sent_is_named(value: Any, complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        values.to_message(value)


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = {"lists": lambda value: [value], "maps": lambda value: {"a": value}}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_deepest_value_survives_in_every_message_that_carries_one(wrap: Callable[[Any], Any]) -> None:
    value = nested(values.MAX_DEPTH, wrap)
    request = session_pb2.SessionRequest()
    values.to_map({"a": value}, request.open.options, "options")
    read = session_pb2.SessionRequest.FromString(request.SerializeToString())
    assert values.from_map(read.open.options, "open.options") == {"a": value}
    response = session_pb2.SessionResponse()
    values.info_columns([{"a": value}], response.step.info)
    answer = session_pb2.SessionResponse.FromString(response.SerializeToString())
    assert values.read_info(answer.step.info, 1) == [{"a": value}]


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_deeper_is_refused(wrap: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidArgument, match="nested more than 32 levels deep"):
        values.to_message(nested(values.MAX_DEPTH + 1, wrap))


@pytest.mark.parametrize("kind", ["list", "map"])
def test_deeper_from_a_peer_is_refused(kind: str) -> None:
    message = innermost = value_pb2.Value()
    for _ in range(values.MAX_DEPTH + 1):
        innermost = innermost.list.items.add() if kind == "list" else innermost.map.entries["a"]
    innermost.integer = 1
    with pytest.raises(InvalidArgument, match="nested more than 32 levels deep"):
        values.from_message(message)


def test_a_list_within_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidArgument, match="nested more than 32 levels deep"):
        values.to_message(value)


@pytest.mark.parametrize(
    ("options", "field"), [({"a": {1}}, "options.a"), ({"\ud800": 1}, "options.?"), ({5: 1}, "options.5")]
)
def test_map_names_the_key(options: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        values.to_map(options, session_pb2.Open().options, "options")
    assert caught.value.field == field


def infos() -> st.SearchStrategy[list[dict[str, Any] | None]]:
    value = st.booleans() | strategies.INT64 | st.floats() | strategies.plain_values()
    row = st.none() | st.dictionaries(st.sampled_from("abc"), value, max_size=3)
    return st.lists(row, min_size=1, max_size=4)


@given(infos())
@settings(max_examples=120, deadline=None)
def test_infos_round_trip(rows: list[dict[str, Any] | None]) -> None:
    transition = session_pb2.Transition()
    values.info_columns(rows, transition.info)
    found = values.read_info(session_pb2.Transition.FromString(transition.SerializeToString()).info, len(rows))
    assert same([row or {} for row in rows], found)


@pytest.mark.parametrize(("row", "lists"), [({"a": True}, "booleans"), ({"a": 1}, "integers"), ({"a": 1.0}, "numbers")])
def test_plain_infos_travel_as_plain_lists(row: dict[str, Any], lists: str) -> None:
    transition = session_pb2.Transition()
    values.info_columns([row, row], transition.info)
    assert len(getattr(transition.info[0], lists)) == 2
    assert not transition.info[0].values


@pytest.mark.parametrize(
    ("info", "field"),
    [({"a": object()}, "info.a"), ({5: 1}, "info"), ({"\ud800": 1}, "info"), ({"a": 1 << 63}, "info.a")],
)
def test_info_that_cannot_be_sent_is_named(info: Any, field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        values.info_columns([info], session_pb2.Transition().info)
    assert caught.value.field == field


HOSTILE = {
    "too few": value_pb2.InfoColumn(key="a", integers=[1]),
    "too many": value_pb2.InfoColumn(key="a", integers=[1, 2, 3]),
    "none": value_pb2.InfoColumn(key="a"),
    "mask too short": value_pb2.InfoColumn(key="a", integers=[1, 2], present=b"\1"),
}


@pytest.mark.parametrize("column", HOSTILE.values(), ids=HOSTILE)
def test_info_of_another_length_is_refused(column: value_pb2.InfoColumn) -> None:
    with pytest.raises(InvalidArgument) as caught:
        values.read_info([column], 2)
    assert caught.value.field == "info.a"


def test_info_with_several_lists_is_read_without_harm() -> None:
    column = value_pb2.InfoColumn(key="a", integers=[1], values=[values.to_message("x")])
    assert values.read_info([column], 1) == [{"a": 1}]
