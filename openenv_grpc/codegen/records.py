"""`types.py`: enums, records, columns, and the set of them all."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from openenv_grpc.codegen.docs import WIDTH, docstring, sentence
from openenv_grpc.codegen.model import Field, Type
from openenv_grpc.codegen.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openenv_grpc.codegen.environment import EnvironmentModel, Message
    from openenv_grpc.codegen.sources import Entry

_DECORATOR = "(frozen=True, kw_only=True, eq=False)"
_LIBRARY = dict.fromkeys(("Columns", "Record", "RecordSet"), "openenv_grpc.codec.records")


def types_module(model: EnvironmentModel) -> list[str]:
    """The lines of the module, below its header."""
    package, stem = model.message_module
    taken = {field.attr for message in model.messages for field in message.fields} | {"RECORDS", *model.exports()}
    names = Names(taken, {**_LIBRARY, stem: package})
    body: list[str] = []
    for enum in model.enums:
        body += ["", "", *_enum(enum, names)]
    for message in model.messages:
        body += ["", "", *_record(message, names, per_session=message in model.batched)]
    for message in model.batched:
        body += ["", "", *_columns(message, names)]
    body += ["", "", *_record_set(model, names)]
    comment = model.source.documentation
    fallback = f"Records of the environment {model.name}."
    return [*docstring(comment, fallback), "", "from __future__ import annotations", "", *names.imports(), *body]


def _enum(enum: Entry, names: Names) -> list[str]:
    values = list(enum.values())
    for value in values:
        name = value.proto.name
        if name.startswith("_") or name in ("mro", "name", "value") or keyword.iskeyword(name):
            value.refuse("this cannot name a member of a Python enum; rename it")
    lines = [f"class {enum.class_name}({names('IntEnum')}):"]
    described = _described((value.proto.name, sentence(value.comment)) for value in values)
    lines += docstring(enum.comment, f"Values of `{enum.full_name}`.", indent=4, attributes=described)
    return [*lines, "", *(f"    {value.proto.name} = {value.proto.number}" for value in values)]


def _record(message: Message, names: Names, *, per_session: bool) -> list[str]:
    """A record; `per_session` says that the session decides open shapes, as it does for actions and observations."""
    lines = _class_lines(message.entry.class_name, names("Record"), names)
    notes = ((f.attr, _join(f.comment, *_notes(f, per_session=per_session and f.column))) for f in message.fields)
    fallback = f"The message `{message.entry.full_name}`."
    lines += docstring(message.entry.comment, fallback, indent=4, attributes=_described(notes))
    lines += _message_line(message, names)
    for field in message.fields:
        lines += _assignment(field.attr, _annotation(field, names), _default(field, names))
    return lines


def _columns(message: Message, names: Names) -> list[str]:
    name = message.entry.class_name
    lines = _class_lines(f"{name}Columns", names("Columns"), names)
    summary = f"N rows of `{name}`, field by field."
    notes = ((field.attr, _column_note(field)) for field in message.fields)
    lines += docstring(summary, summary, indent=4, attributes=notes)
    lines += _message_line(message, names)
    for field in message.fields:
        lines += _assignment(field.attr, _column_annotation(field, names), "")
    return lines


def _class_lines(name: str, base: str, names: Names) -> list[str]:
    return [f"@{names('dataclass')}{_DECORATOR}", f"class {name}({base}):"]


def _message_line(message: Message, names: Names) -> list[str]:
    annotation = f"{names('ClassVar')}[{names('str')}]"
    lines = ["", f'    MESSAGE: {annotation} = "{message.entry.full_name}"']
    return [*lines, ""] if message.fields else lines


def _assignment(name: str, annotation: str, default: str) -> list[str]:
    line = f"    {name}: {annotation}{default and f' = {default}'}"
    if len(line) <= WIDTH or not default.endswith(")"):
        return [line]
    call, _, argument = default[:-1].partition("(")
    return [f"    {name}: {annotation} = {call}(", f"        {argument}", "    )"]


def _record_set(model: EnvironmentModel, names: Names) -> list[str]:
    module = names(model.message_module[1])
    roots = [f"{module}.{message.entry.class_name}" for message in model.roots]
    classes = [message.entry.class_name for message in model.messages]
    columns = [f"{message.entry.class_name}Columns" for message in model.batched]
    enums = [f'"{enum.full_name}": {enum.class_name}' for enum in model.enums]
    lines = [f"RECORDS = {names('RecordSet')}("]
    for opening, items, closing in (("[", roots, "]"), ("[", classes, "]"), ("[", columns, "]"), ("{", enums, "}")):
        if items:
            lines += [f"    {opening}", *(f"        {item}," for item in items), f"    {closing},"]
        else:
            lines.append(f"    {opening}{closing},")
    return [*lines, ")", '"""All records of the environment, for the codec."""']


def _value(kind: Type, names: Names) -> str:
    """Annotation of one value."""
    if kind.python == "array":
        return _ndarray(kind.dtype, names)
    if kind.entry is not None:
        return kind.entry.class_name
    return names("Any" if kind.python == "value" else kind.python)


def _ndarray(dtype: str, names: Names) -> str:
    return f"{names('NDArray')}[{names('np')}.{'bool_' if dtype == 'bool' else dtype}]"


def _annotation(field: Field, names: Names) -> str:
    value = _value(field.type, names)
    if field.key is not None:
        return f"{names('Mapping')}[{_value(field.key, names)}, {value}]"
    if field.repeated:
        return f"{names('Sequence')}[{value}]"
    return f"{value} | None" if field.optional and field.type.python != "value" else value


def _default(field: Field, names: Names) -> str:
    if field.key is not None or field.repeated:
        return f"{names('field')}(default_factory={names('dict' if field.key else 'list')})"
    return "None" if field.optional else ""


def _column_annotation(field: Field, names: Names) -> str:
    if field.column:
        return _ndarray(field.type.dtype, names)
    return f"{names('Sequence')}[{_annotation(field, names)}]"


def _described(notes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, text) for name, text in notes if text]


def _join(comment: str, *notes: str) -> str:
    return " ".join(part for part in (sentence(comment), *notes) if part)


def _notes(field: Field, *, per_session: bool) -> list[str]:
    """What the rule says, in words."""
    notes = []
    if field.type.python == "array":
        what = "Arrays" if field.repeated or field.key else "Array"
        notes.append(f"{what} of {field.type.dtype}, {_shape(field, per_session)}; read-only when received.")
    if field.spec is not None:
        notes.append(_bounds(field.spec.low, field.spec.high))
    if field.unit:
        notes.append(f"Unit: {field.unit}.")
    if len(field.rivals) > 1:
        notes.append(f"At most one of {', '.join(field.rivals)} is set.")
    return notes


def _shape(field: Field, per_session: bool) -> str:
    """The declared shape in words."""
    shape = field.spec.shape if field.spec is not None else ()
    if not shape:
        return "shape given per session" if per_session else "any shape"
    text = f"shape ({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    return f"{text}, -1 {'given per session' if per_session else 'any length'}" if -1 in shape else text


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return "" if high is None else f"At most {_number(high)}."
    return f"At least {_number(low)}." if high is None else f"In [{_number(low)}, {_number(high)}]."


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _column_note(field: Field) -> str:
    if not field.column:
        return "N values."
    if field.type.python != "array":
        return f"{field.type.dtype}, shape (N,)."
    shape = field.spec.shape if field.spec is not None else ()
    if not shape:
        return f"{field.type.dtype}, shape (N, …), given per session."
    note = ", -1 given per session" if -1 in shape else ""
    return f"{field.type.dtype}, shape (N, {', '.join(map(str, shape))}){note}."
