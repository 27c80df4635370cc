"""Values for property tests: any record of any schema, any column layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from openenv_grpc.codec.arrays import DTYPES
from openenv_grpc.codec.records import RecordSet
from openenv_grpc.codec.schema import Field, Kind
from openenv_grpc.specs import ArraySpec

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
LEAF_DEPTH = 2
"""Depth of nesting from which on records hold no further records."""


def dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    return st.sampled_from(sorted(DTYPES.values(), key=str))


def shapes(max_dims: int = 3) -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=0, max_dims=max_dims, min_side=0, max_side=4)


def elements(spec: ArraySpec) -> st.SearchStrategy[Any]:
    """One number within a spec's bounds that its dtype can hold exactly."""
    dtype, low, high = spec.dtype, spec.low, spec.high
    if dtype.kind == "b":
        return st.booleans()
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        least = info.min if low is None else max(info.min, int(np.ceil(low)))
        most = info.max if high is None else min(info.max, int(np.floor(high)))
        return st.integers(int(least), int(most))
    if dtype.kind == "c":
        return st.complex_numbers(width=dtype.itemsize * 8)  # type: ignore[arg-type]
    width = dtype.itemsize * 8
    bounds = {"min_value": _inside(low, dtype, np.inf), "max_value": _inside(high, dtype, -np.inf)}
    return st.floats(width=width, **{name: bound for name, bound in bounds.items() if bound is not None})  # type: ignore[arg-type]


def _inside(bound: float | None, dtype: np.dtype[Any], towards: float) -> float | None:
    """The bound itself, or the next number of the dtype that is within it."""
    if bound is None:
        return None
    rounded = dtype.type(bound)
    beyond = rounded < bound if towards > 0 else rounded > bound
    return float(np.nextafter(rounded, dtype.type(towards)) if beyond else rounded)


@st.composite
def arrays(draw: st.DrawFn, spec: ArraySpec, any_shape: bool = False) -> Any:
    """An array that fits a spec; open axes get any length."""
    shape = draw(shapes()) if any_shape else tuple(draw(st.integers(0, 3)) if a == -1 else a for a in spec.shape)
    return draw(hnp.arrays(spec.dtype, shape, elements=elements(spec)))


def plain_values() -> st.SearchStrategy[Any]:
    """Anything that options and infos may hold."""
    number = st.one_of(st.none(), st.booleans(), INT64, st.floats(), st.text(max_size=5), st.binary(max_size=5))
    array = dtypes().flatmap(lambda dtype: hnp.arrays(dtype, shapes(2)))
    return st.recursive(
        number | array,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    )


def records(of: RecordSet, name: str, depth: int = 0, **fixed: ArraySpec) -> st.SearchStrategy[Any]:
    """Any record of a message, an instance of the set's own class; `fixed` are a session's specs of open columns."""

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        schema = of.schemas[name]
        chosen = {oneof: draw(st.sampled_from([None, *members])) for oneof, members in schema.oneofs.items()}
        values = {}
        for field in schema.fields:
            left_out = field.oneof is not None and chosen[field.oneof] is not field
            values[field.attr] = None if left_out else draw(_field(of, field, depth, fixed.get(field.name)))
        return of.classes[name](**values)

    return build()


def _field(of: RecordSet, field: Field, depth: int, fixed: ArraySpec | None) -> st.SearchStrategy[Any]:
    leaf = field.kind is Kind.RECORD and depth >= LEAF_DEPTH
    value = st.none() if leaf else _value(of, field, depth, fixed)
    if field.key is not None:
        keys = _value(of, field.key, depth, None)
        return st.dictionaries(keys, value, max_size=0 if leaf else 2)
    if field.repeated:
        return st.lists(value, max_size=0 if leaf else 2)
    if field.optional and field.oneof is None:
        return st.none() | value
    return value


def _value(of: RecordSet, field: Field, depth: int, fixed: ArraySpec | None) -> st.SearchStrategy[Any]:
    if field.kind is Kind.RECORD:
        return records(of, str(field.type_name), depth + 1)
    if field.kind is Kind.VALUE:
        return plain_values()
    if field.kind is Kind.TEXT:
        return st.text(max_size=5)
    if field.kind is Kind.BLOB:
        return st.binary(max_size=5)
    if field.kind is Kind.ENUM:
        return st.sampled_from(list(of.enums[str(field.type_name)]))
    spec = fixed or field.spec
    assert spec is not None
    if field.kind is Kind.ARRAY:
        return arrays(spec, any_shape=field.any_shape and fixed is None)
    return elements(spec)


@st.composite
def specs(draw: st.DrawFn) -> ArraySpec:
    """Any spec without bounds; one in a few is absent."""
    return ArraySpec(draw(dtypes()), draw(shapes()))


def layouts() -> st.SearchStrategy[dict[str, ArraySpec]]:
    """Specs of up to five columns by name."""
    return st.dictionaries(st.text("abcdef", min_size=1, max_size=3), specs(), max_size=5)


@st.composite
def rows_of(draw: st.DrawFn, layout: dict[str, ArraySpec], rows: int) -> dict[str, Any]:
    """Columns of so many rows."""
    return {name: draw(hnp.arrays(spec.dtype, (rows, *spec.shape))) for name, spec in layout.items()}
