"""One environment as the generator sees it: its three messages, all they reach, and what everything is called."""

from __future__ import annotations

import builtins
import keyword
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from openenv_grpc.codegen.model import Field, Type, fields_of

if TYPE_CHECKING:
    from openenv_grpc.codegen.sources import Entry, SourceFile, Sources

ROLES = ("Action", "Observation", "State")


@dataclass(frozen=True)
class Message:
    """A message and its fields."""

    entry: Entry
    fields: list[Field]


@dataclass(frozen=True)
class EnvironmentModel:
    """All that the generated files are made of.

    Attributes:
        source: The environment's `.proto`.
        prefix: What the names of the three messages begin with, and so those of the clients.
        roots: Action, Observation and State.
        messages: All messages reachable from them, nested ones first.
        enums: All enums reachable from them.
    """

    source: SourceFile
    prefix: str
    roots: tuple[Message, Message, Message]
    messages: list[Message]
    enums: list[Entry]

    @property
    def path(self) -> str:
        """Path of the `.proto`, as protoc knows it."""
        return self.source.proto.name

    @property
    def package(self) -> str:
        """The client's Python package, which holds types and clients."""
        return self.source.proto.package.partition(".")[0]

    @property
    def name(self) -> str:
        """Name of the environment, as in `openenv-grpc serve NAME`."""
        return self.package.removeprefix("openenv_")

    @property
    def message_module(self) -> tuple[str, str]:
        """Package and name of the module that protoc writes."""
        return self.source.proto.package, f"{PurePosixPath(self.path).stem.replace('-', '_')}_pb2"

    @property
    def batched(self) -> tuple[Message, Message]:
        """The messages that have a columns class: Action and Observation."""
        return self.roots[0], self.roots[1]

    @property
    def clients(self) -> tuple[str, str, str, str]:
        """Names of the four client classes: single and vector, synchronous and asyncio."""
        one, many = f"{self.prefix}Env", f"{self.prefix}VectorEnv"
        return one, f"Async{one}", many, f"Async{many}"

    def exports(self) -> list[str]:
        """Names of all classes in the module of types."""
        entries = [message.entry.class_name for message in self.messages] + [enum.class_name for enum in self.enums]
        return entries + [f"{message.entry.class_name}Columns" for message in self.batched]


def read(sources: Sources, path: str) -> EnvironmentModel:
    """Find an environment's messages in its file and follow their fields.

    Raises:
        InvalidArgument: The file or one of its fields breaks a rule; the error names it and says what to do.
    """
    source = sources.files[path]
    _check_file(source)
    entries = [_root(source, sources, role) for role in ROLES]
    prefix = entries[0].class_name.removesuffix("Action")
    for entry, role in zip(entries, ROLES, strict=True):
        if not prefix or entry.class_name != prefix + role:
            names = ", ".join((prefix or "Chess") + role for role in ROLES)
            entry.refuse(f"the three messages must share what comes before Action, Observation, State: {names}")
    messages, enums = _reachable(entries, sources)
    by_name = {message.entry.full_name: message for message in messages}
    action, observation, state = (by_name[entry.full_name] for entry in entries)
    model = EnvironmentModel(source, prefix, (action, observation, state), messages, enums)
    _check_names(model)
    return model


def _check_file(source: SourceFile) -> None:
    proto = source.proto
    if proto.syntax != "proto3":
        source.refuse('only proto3 is supported; the file must begin with syntax = "proto3";')
    parts = proto.package.split(".")
    bad = [part for part in parts if not part.isidentifier() or keyword.iskeyword(part)]
    if bad:
        source.refuse(f'needs a package of Python names, such as openenv_chess.v1; "{bad[0]}" is none')
    if PurePosixPath(proto.name).parts[:-1] != tuple(parts):
        place = f"{'/'.join(parts)}/{PurePosixPath(proto.name).name}"
        source.refuse(f"package {proto.package} belongs into {place}, seen from a directory given by --proto-path")


def _root(source: SourceFile, sources: Sources, role: str) -> Entry:
    """The one message at the top level of the file whose name ends in the role."""
    scope = source.proto.package
    names = [message.name for message in source.proto.message_type if message.name.endswith(role)]
    if not names:
        source.refuse(
            f"no message whose name ends in {role}; an environment has one Action, one Observation and one State "
            "(a file that is only imported need not be named: it is generated with the file that imports it)"
        )
    if len(names) > 1:
        source.refuse(f"{' and '.join(names)} all end in {role}; rename or nest all but the environment's own")
    return sources.entries[f"{scope}.{names[0]}"]


def _reachable(roots: list[Entry], sources: Sources) -> tuple[list[Message], list[Entry]]:
    """Messages (nested ones first) and enums that the roots' fields lead to."""
    messages: dict[str, Message] = {}
    enums: dict[str, Entry] = {}
    visited: set[str] = set()

    def visit(entry: Entry) -> None:
        if entry.full_name in visited:
            return
        visited.add(entry.full_name)
        fields = fields_of(entry, sources)
        for field in fields:
            follow(field.type)
        messages[entry.full_name] = Message(entry, fields)

    def follow(kind: Type) -> None:
        if kind.entry is not None and kind.python == "record":
            visit(kind.entry)
        elif kind.entry is not None:
            enums[kind.entry.full_name] = kind.entry

    for root in roots:
        visit(root)
    return list(messages.values()), list(enums.values())


def _check_names(model: EnvironmentModel) -> None:
    """Refuse messages and enums whose classes would clash with each other, with Python or with generated names."""
    columns = [f"{message.entry.class_name}Columns" for message in model.batched]
    taken = dict.fromkeys([*model.clients, *columns, "RECORDS"], "generated")
    for entry in [*(message.entry for message in model.messages), *model.enums]:
        name = entry.class_name
        if keyword.iskeyword(name) or hasattr(builtins, name) or name.startswith("_"):
            entry.refuse(f"{name} cannot name a Python class; rename it")
        if name in taken:
            entry.refuse(f"its class would be named {name}, which is {taken[name]} too; rename it")
        taken[name] = f"the class of {entry.full_name}"
