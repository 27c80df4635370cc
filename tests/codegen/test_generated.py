"""What the generator writes: current, clean, light, and of one mind with the schema that reads it at run time."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from openenv_grpc.cli.generate import package_texts, write
from openenv_grpc.codec.schema import Kind
from openenv_grpc.codegen.generator import MARK
from tests.codegen import kitchen as kitchen_package

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted(path.parent.name.removeprefix("openenv_") for path in (ROOT / "clients").glob("openenv_*/v1"))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_regenerating_gives_no_diff(name: str) -> None:
    package = f"openenv_{name}"
    texts = package_texts([ROOT / f"proto/{package}/v1/{name}.proto"], [])
    committed = {
        path.relative_to(ROOT / "clients").as_posix(): path.read_text()
        for path in (ROOT / "clients" / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert texts == committed


def test_both_environments_have_a_client() -> None:
    assert {"atari", "echo"} <= set(ENVIRONMENTS)


def test_generating_again_changes_nothing() -> None:
    before = {path: path.read_bytes() for path in kitchen_package.directory().rglob("*.py*") if path.suffix != ".pyc"}
    written = write([kitchen_package.PROTO], [], kitchen_package.directory())
    assert {path: path.read_bytes() for path in written if path.name != "py.typed"} == {
        path: text for path, text in before.items() if path.name != "py.typed"
    }


def test_first_line_names_the_source() -> None:
    for path in kitchen_package.directory().rglob("*.py"):
        if not path.name.endswith("_pb2.py"):
            first = path.read_text().splitlines()[0]
            assert first == f"{MARK} openenv_kitchen/v1/kitchen.proto. Do not edit."


def test_imported_files_of_the_same_package_are_generated() -> None:
    assert (kitchen_package.directory() / "openenv_kitchen/v1/parts_pb2.py").is_file()


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["check", "format"])
def test_ruff_finds_nothing(command: list[str]) -> None:
    pytest.importorskip("ruff", reason="installed for lint, not for tests")
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    own = ["--config", "lint.isort.known-first-party=['openenv_grpc','openenv_kitchen']"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, *config, *own, str(kitchen_package.directory())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_load_neither_grpc_nor_asyncio() -> None:
    program = (
        "import sys, openenv_atari, openenv_echo\n"
        "openenv_atari.AtariAction(action_id=1)\n"
        "print(sorted({'grpc', 'asyncio', 'openenv_atari.client'} & set(sys.modules)))\n"
        "print('AtariEnv' in dir(openenv_atari))"
    )
    paths = f"{ROOT}:{ROOT / 'clients'}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": paths}
    )
    assert done.stdout.split() == ["[]", "True"]


def test_unknown_name_is_an_attribute_error() -> None:
    import openenv_atari

    with pytest.raises(AttributeError, match="no attribute 'AtariEmv'"):
        _ = openenv_atari.AtariEmv  # type: ignore[attr-defined]


def _messages(kitchen: ModuleType) -> list[str]:
    return sorted(kitchen.RECORDS.schemas)


def test_records_agree_with_the_schema(kitchen: ModuleType) -> None:
    for name in _messages(kitchen):
        cls, schema = kitchen.RECORDS.classes[name], kitchen.RECORDS.schemas[name]
        assert cls.__module__ == "openenv_kitchen.types", "a class was made although one should be generated"
        assert {field.attr for field in schema.fields} == {field.name for field in dataclasses.fields(cls)}
        required = {field.name for field in dataclasses.fields(cls) if _is_required(field)}
        assert required == {field.attr for field in schema.fields if field.single}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def test_columns_agree_with_the_schema(kitchen: ModuleType) -> None:
    for schema in (kitchen.RECORDS.action, kitchen.RECORDS.observation):
        cls = kitchen.RECORDS.columns[schema.full_name]
        assert cls.__module__ == "openenv_kitchen.types"
        annotations = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        assert set(annotations) == {field.attr for field in schema.fields}
        for field in schema.fields:
            if field.column:
                assert field.spec is not None
                name = field.spec.dtype.name
                assert annotations[field.attr] == f"NDArray[_np.{'bool_' if name == 'bool' else name}]"
            else:
                assert annotations[field.attr].startswith("_Sequence[")


def test_enums_are_generated_with_aliases(kitchen: ModuleType) -> None:
    knob = kitchen.RECORDS.enums["openenv_kitchen.v1.KitchenAction.Knob"]
    assert knob is kitchen.KitchenActionKnob
    assert knob.KNOB_FIRST is knob.KNOB_LEFT
    assert kitchen.Doneness(-1) is kitchen.Doneness.DONENESS_RAW


def test_every_kind_of_field_is_in_the_kitchen(kitchen: ModuleType) -> None:
    fields = [field for schema in kitchen.RECORDS.schemas.values() for field in schema.fields]
    for shape in ("single", "repeated", "map", "optional", "oneof"):
        found = {field.kind for field in fields if shape in _shapes(field)}
        assert found >= {Kind.NUMBER, Kind.TEXT, Kind.ARRAY} | ({Kind.RECORD} if shape != "single" else set()), shape
    dtypes = {field.spec.dtype for field in fields if field.kind is Kind.ARRAY and field.single}
    assert len(dtypes) == 14


def _shapes(field: Any) -> set[str]:
    shapes = {
        "map": field.key is not None,
        "repeated": field.repeated and field.key is None,
        "oneof": field.oneof is not None,
        "optional": field.optional,
        "single": field.single,
    }
    return {name for name, there in shapes.items() if there}


def test_docstrings_carry_comments_shapes_bounds_and_units(kitchen: ModuleType) -> None:
    assert (
        "a_float32: Speeds of the three axes. Array of float32, shape (3,); read-only when received. In [-1, 1.5]."
        in (" ".join(kitchen.KitchenAction.__doc__.split()))
    )
    assert "Unit: m/s." in " ".join(kitchen.KitchenAction.__doc__.split())
    assert "view: All of it is open. Array of uint8, shape given per session" in kitchen.KitchenObservation.__doc__
    assert "capped: Never more than this. At most 7." in kitchen.KitchenAction.__doc__
    assert r"a C:\path\new." in kitchen.__doc__
