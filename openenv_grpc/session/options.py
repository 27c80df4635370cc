"""Construction options: checked against their specs before a worker is started for them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from openenv_grpc.errors import InvalidArgument
from openenv_grpc.specs import OptionSpec, OptionType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RESERVED = frozenset(
    (
        "address",
        "autoreset_mode",
        "batch_size",
        "copy",
        "environment",
        "fields",
        "num_envs",
        "pool",
        "profile",
        "provider",
        "render_mode",
        "shards",
        "tcp",
        "timeout_s",
        "token",
        "transport",
        "wait_s",
    )
)
"""Names that options cannot have: `make` and `connect` take options beside arguments of these names."""

_ACCEPTED: dict[OptionType, tuple[type, ...]] = {
    OptionType.BOOLEAN: (bool,),
    OptionType.INTEGER: (int,),
    OptionType.NUMBER: (int, float),
    OptionType.TEXT: (str,),
}


def check_options(specs: Sequence[OptionSpec], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options to construct with: only those given, each checked.

    Raises:
        InvalidArgument: Unknown or missing name, wrong type, or a value outside the closed set; `field` names it.
    """
    known = {spec.name: spec for spec in specs}
    for name in given:
        if name not in known:
            close = _close_to(name, known)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none'}"
            msg = f"no such option; {hint}"
            raise InvalidArgument(msg, field=f"options.{name:.64}")
    missing = [spec.name for spec in specs if spec.required and spec.name not in given]
    if missing:
        msg = "the environment needs it"
        raise InvalidArgument(msg, field=f"options.{missing[0]}")
    return {name: _check(known[name], value) for name, value in given.items()}


def _close_to(text: str, words: Iterable[str]) -> list[str]:
    """The word that was meant, most likely. Long texts are nobody's typing errors, and costly to compare."""
    return difflib.get_close_matches(text, list(words), 1) if len(text) <= 64 else []


def _check(spec: OptionSpec, value: Any) -> Any:
    field = f"options.{spec.name}"
    if value is None and (spec.nullable or spec.type is OptionType.ANY):
        return None
    accepted = _ACCEPTED.get(spec.type)
    if accepted and (not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted)):
        msg = f"expected {spec.type.value}, got {type(value).__name__} {value!r:.40}"
        raise InvalidArgument(msg, field=field)
    if spec.choices and value not in spec.choices:
        choices = ", ".join(map(str, spec.choices))
        close = _close_to(str(value), map(str, spec.choices))
        hint = f"; did you mean {close[0]}?" if close else ""
        msg = f"{value!r:.40} is none of {choices}{hint}"
        raise InvalidArgument(msg, field=field)
    return float(value) if spec.type is OptionType.NUMBER else value


def parse_option(specs: Sequence[OptionSpec], text: str) -> tuple[str, Any]:
    """Read `name=value` as a person types it, by the option's type where it is known.

    Raises:
        InvalidArgument: Not of that form, or not a value of the option's type.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        msg = "write it as name=value"
        raise InvalidArgument(msg, field=text)
    spec = next((spec for spec in specs if spec.name == name), OptionSpec(name))
    if value.lower() in ("none", "null") and spec.type is not OptionType.TEXT:
        return name, None
    try:
        return name, _READ[spec.type](value)
    except ValueError:
        msg = f"{value!r} is no {spec.type.value}"
        raise InvalidArgument(msg, field=f"options.{name}") from None


def _read_bool(text: str) -> bool:
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in words:
        raise ValueError(text)
    return words[text.lower()]


def _read_any(text: str) -> Any:
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


_READ: dict[OptionType, Any] = {
    OptionType.BOOLEAN: _read_bool,
    OptionType.INTEGER: int,
    OptionType.NUMBER: float,
    OptionType.TEXT: str,
    OptionType.ANY: _read_any,
}
