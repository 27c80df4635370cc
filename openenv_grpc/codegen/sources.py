"""Descriptors by full name, with what descriptors alone do not say: file, line and comment.

Works on `FileDescriptorProto` rather than on linked descriptors, because only the former keep the comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from openenv_grpc.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, SourceCodeInfo

# Field numbers within descriptor.proto, of which the paths of source locations are made.
_FILE_PACKAGE, _FILE_MESSAGES, _FILE_ENUMS, _FILE_SYNTAX = 2, 4, 5, 12
_MESSAGE_FIELDS, _MESSAGE_NESTED, _MESSAGE_ENUMS = 2, 3, 4
_ENUM_VALUES = 2


@dataclass(frozen=True)
class Entry:
    """One message, enum, field or enum value, and where it stands.

    Attributes:
        proto: Its descriptor.
        full_name: Full name, without a leading dot.
        source: The file that declares it.
        path: Path of its source location within the file.
    """

    proto: Any
    full_name: str
    source: SourceFile
    path: tuple[int, ...]

    @property
    def class_name(self) -> str:
        """Name of the Python class that stands for a message or enum: nested names are joined."""
        return self.full_name.removeprefix(f"{self.source.proto.package}.").replace(".", "")

    @property
    def comment(self) -> str:
        """The comment above it, or else the one behind it."""
        return self.source.comment(self.path)

    def fields(self) -> Iterator[Entry]:
        """Fields of a message, in the order of the file."""
        return self._parts(self.proto.field, _MESSAGE_FIELDS)

    def values(self) -> Iterator[Entry]:
        """Values of an enum, in the order of the file."""
        return self._parts(self.proto.value, _ENUM_VALUES)

    def _parts(self, protos: Any, number: int) -> Iterator[Entry]:
        for index, proto in enumerate(protos):
            yield Entry(proto, f"{self.full_name}.{proto.name}", self.source, (*self.path, number, index))

    def refuse(self, message: str) -> NoReturn:
        """Raise an InvalidArgument that names file, line and element."""
        self.source.refuse(f"{self.full_name}: {message}", self.path)


class SourceFile:
    """One `.proto` file."""

    def __init__(self, proto: FileDescriptorProto) -> None:
        """Index its source locations."""
        self.proto = proto
        self._locations: dict[tuple[int, ...], SourceCodeInfo.Location] = {
            tuple(location.path): location for location in proto.source_code_info.location
        }

    def comment(self, path: tuple[int, ...]) -> str:
        """The comment of an element, or an empty text."""
        location = self._locations.get(path)
        return (location.leading_comments or location.trailing_comments) if location else ""

    def position(self, path: tuple[int, ...]) -> str:
        """`file:line` of an element, or the file alone where the line is not known."""
        location = self._locations.get(path) if path else None
        return f"{self.proto.name}:{location.span[0] + 1}" if location else self.proto.name

    @property
    def documentation(self) -> str:
        """The comment above `syntax` or above `package`."""
        return self.comment((_FILE_SYNTAX,)) or self.comment((_FILE_PACKAGE,))

    def entries(self) -> Iterator[Entry]:
        """All messages and enums, nested ones included."""
        for index, message in enumerate(self.proto.message_type):
            yield from self._nested(self._entry(message, self.proto.package, (_FILE_MESSAGES, index)))
        for index, enum in enumerate(self.proto.enum_type):
            yield self._entry(enum, self.proto.package, (_FILE_ENUMS, index))

    def _nested(self, entry: Entry) -> Iterator[Entry]:
        yield entry
        for index, message in enumerate(entry.proto.nested_type):
            yield from self._nested(self._entry(message, entry.full_name, (*entry.path, _MESSAGE_NESTED, index)))
        for index, enum in enumerate(entry.proto.enum_type):
            yield self._entry(enum, entry.full_name, (*entry.path, _MESSAGE_ENUMS, index))

    def _entry(self, proto: Any, scope: str, path: tuple[int, ...]) -> Entry:
        return Entry(proto, f"{scope}.{proto.name}" if scope else proto.name, self, path)

    def refuse(self, message: str, path: tuple[int, ...] = ()) -> NoReturn:
        """Raise an InvalidArgument that names file and line."""
        raise InvalidArgument(message, field=self.position(path))


class Sources:
    """All files of a descriptor set.

    Attributes:
        files: Files by name.
        entries: Messages and enums by full name.
    """

    def __init__(self, files: FileDescriptorSet) -> None:
        """Index files and what they declare."""
        self.files = {file.name: SourceFile(file) for file in files.file}
        self.entries = {entry.full_name: entry for file in self.files.values() for entry in file.entries()}

    def of_type(self, field: Any) -> Entry:
        """The message or enum that a field's type names."""
        return self.entries[field.type_name.lstrip(".")]
