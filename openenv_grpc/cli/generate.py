"""`openenv-grpc generate`: writes the typed client package of an environment from its `.proto`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from openenv_grpc.codegen import generate as generate_files
from openenv_grpc.codegen import protoc
from openenv_grpc.codegen.generator import MARK, local_files
from openenv_grpc.errors import InvalidArgument

_PACKAGE = re.compile(r"^\s*package\s+([\w.]+)\s*;", re.MULTILINE)


def generate(
    protos: Annotated[list[Path], typer.Argument(help="Files that each declare one Action, Observation and State.")],
    proto_path: Annotated[
        list[Path] | None,
        typer.Option(help="Directory to search for imports. Default: the one that the file's package starts in."),
    ] = None,
    output: Annotated[Path, typer.Option(help="Directory that the packages are written into.")] = Path(),
) -> None:
    """Write typed client packages: dataclasses with numpy fields, and clients that know them."""
    for path in write(protos, proto_path or [], output):
        typer.echo(path)


def write(protos: list[Path], proto_path: list[Path], output: Path) -> list[Path]:
    """Generate packages and write them; nothing is written when one of the files is wrong.

    Raises:
        InvalidArgument: A file is missing or wrong, or a hand-written file is in the way.
        Unsupported: grpcio-tools is not installed.
    """
    texts = package_texts(protos, proto_path)
    for name in texts:
        _check_target(output / name)
    for name, text in texts.items():
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return [output / name for name in texts]


def package_texts(protos: list[Path], proto_path: list[Path]) -> dict[str, str]:
    """All files of the packages of some environments, by path relative to the output directory."""
    texts: dict[str, str] = {}
    for proto in protos:
        root, name = _locate(proto, proto_path)
        roots = list(dict.fromkeys([root, *proto_path]))
        files = protoc.describe([name], roots)
        package = generate_files(files, name)
        clash = sorted(texts.keys() & package.keys())
        if clash:
            message = f"writes {clash[0]}, and so does another of the files; an environment needs a package of its own"
            raise InvalidArgument(message, field=str(proto))
        texts |= package | protoc.messages(local_files(files, name), roots)
    return texts


def _locate(proto: Path, proto_path: list[Path]) -> tuple[Path, str]:
    """The import directory that a file lies in, and its name seen from there."""
    if not proto.is_file():
        message = "no such file"
        raise InvalidArgument(message, field=str(proto))
    path = proto.resolve()
    for root in proto_path:
        if path.is_relative_to(root.resolve()):
            return root, path.relative_to(root.resolve()).as_posix()
    if proto_path:
        message = f"lies in none of the directories given by --proto-path: {', '.join(map(str, proto_path))}"
        raise InvalidArgument(message, field=str(proto))
    return _infer(path, proto)


def _infer(path: Path, proto: Path) -> tuple[Path, str]:
    declared = _PACKAGE.search(path.read_text(encoding="utf-8", errors="replace"))
    parts = tuple(declared[1].split(".")) if declared else ()
    if not parts:
        message = "declares no package; begin it with one such as: package openenv_chess.v1;"
        raise InvalidArgument(message, field=str(proto))
    if path.parent.parts[-len(parts) :] != parts:
        message = f"package {'.'.join(parts)} belongs into {'/'.join(parts)}/{path.name}; move it, or say --proto-path"
        raise InvalidArgument(message, field=str(proto))
    return path.parents[len(parts)], "/".join((*parts, path.name))


def _check_target(target: Path) -> None:
    """Refuse to overwrite what a person wrote."""
    if target.name.endswith(("_pb2.py", "_pb2.pyi")) or not target.exists():
        return
    text = target.read_text(encoding="utf-8", errors="replace")
    if text.strip() and not text.startswith(MARK):
        message = "exists and was not generated; move it away, or choose another --output"
        raise InvalidArgument(message, field=str(target))
