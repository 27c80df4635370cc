"""Bad input to the generator: each mistake an author can make is refused by name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from openenv_grpc.cli.generate import package_texts, write
from openenv_grpc.codegen import protoc
from openenv_grpc.errors import InvalidArgument, Unsupported

HEAD = """\
syntax = "proto3";
package openenv_bad.v1;
import "openenv_grpc/v1/array.proto";
import "openenv_grpc/v1/value.proto";
"""
ACTION = "message BadAction {}\n"
OBSERVATION = "message BadObservation {}\n"
STATE = "message BadState {}\n"
ARRAY = "openenv_grpc.v1.Array"
RULE = "(openenv_grpc.v1.rule)"


def put(directory: Path, text: str, name: str = "openenv_bad/v1/bad.proto") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(directory: Path, text: str) -> str:
    path = put(directory, text)
    with pytest.raises(InvalidArgument) as caught:
        write([path], [], directory / "out")
    assert not (directory / "out").exists(), "something was written although the file is wrong"
    return str(caught.value)


def test_the_good_file_is_accepted(tmp_path: Path) -> None:
    path = put(tmp_path, HEAD + ACTION + OBSERVATION + STATE)
    assert "openenv_bad/types.py" in package_texts([path], [])


FIELDS = {
    "array without a rule": (f"{ARRAY} a = 1;", "an Array field needs a rule"),
    "array with a rule without a dtype": (f"{ARRAY} a = 1 [{RULE}.shape = 3];", "an Array field needs a rule"),
    "repeated array without a rule": (f"repeated {ARRAY} a = 1;", "an Array field needs a rule"),
    "map of arrays without a rule": (f"map<string, {ARRAY}> a = 1;", "an Array field needs a rule"),
    "dtype on a number": (f"int32 a = 1 [{RULE}.dtype = DTYPE_INT8];", "only Array fields have a dtype and a shape"),
    "shape on a text": (f"string a = 1 [{RULE}.shape = 3];", "only Array fields have a dtype and a shape"),
    "bounds on a text": (f"string a = 1 [{RULE}.low = 3];", "only numbers and arrays have bounds"),
    "bounds on a message": (f"BadState a = 1 [{RULE}.high = 3];", "only numbers and arrays have bounds"),
    "bounds in the wrong order": (f"int32 a = 1 [{RULE} = {{low: 2, high: 1}}];", "low 2.0 is not at most high 1.0"),
    "nan as a bound": (f"double a = 1 [{RULE}.low = nan];", "NaN is no bound"),
    "axis below -1": (f"{ARRAY} a = 1 [{RULE} = {{dtype: DTYPE_INT8, shape: [-2]}}];", "is not a shape"),
    "name of a class attribute": ("int32 MESSAGE = 1;", "cannot name a field of a Python record"),
    "mangled name": ("int32 __a = 1;", "cannot name a field of a Python record"),
}


@pytest.mark.parametrize(("field", "complaint"), FIELDS.values(), ids=FIELDS)
def test_bad_field(tmp_path: Path, field: str, complaint: str) -> None:
    name = re.search(r"(\w+) = 1", field)
    assert name is not None
    message = refusal(tmp_path, f"{HEAD}message BadAction {{\n  {field}\n}}\n{OBSERVATION}{STATE}")
    assert message.startswith("openenv_bad/v1/bad.proto:6: openenv_bad.v1.BadAction." + name[1])
    assert complaint in message


def test_bad_field_of_a_nested_message(tmp_path: Path) -> None:
    inner = f"message Inner {{\n  {ARRAY} a = 1;\n}}\n"
    message = refusal(tmp_path, f"{HEAD}{inner}{ACTION}{OBSERVATION}message BadState {{ map<string, Inner> i = 1; }}")
    assert message.startswith("openenv_bad/v1/bad.proto:6: openenv_bad.v1.Inner.a: an Array field needs a rule")


def test_two_fields_of_the_same_python_name(tmp_path: Path) -> None:
    # protoc itself refuses the pair class and class_ in proto3; the generator would too, for any protoc that does not.
    message = refusal(tmp_path, HEAD + "message BadAction { int32 class = 1; int32 class_ = 2; }" + OBSERVATION + STATE)
    assert "class_" in message


@pytest.mark.parametrize("role", ["Action", "Observation", "State"])
def test_missing_message(tmp_path: Path, role: str) -> None:
    kept = {"Action": ACTION, "Observation": OBSERVATION, "State": STATE}
    del kept[role]
    message = refusal(tmp_path, HEAD + "".join(kept.values()))
    assert message.startswith(f"openenv_bad/v1/bad.proto: no message whose name ends in {role}")


def test_nested_message_is_no_root(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEAD + "message Holder { message BadAction {} }" + OBSERVATION + STATE)
    assert "no message whose name ends in Action" in message


def test_two_actions(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEAD + "message OtherAction {}\n" + ACTION + OBSERVATION + STATE)
    assert "OtherAction and BadAction all end in Action" in message


@pytest.mark.parametrize("action", ["message GoodAction {}\n", "message Action {}\n"])
def test_different_prefixes(tmp_path: Path, action: str) -> None:
    message = refusal(tmp_path, HEAD + action + OBSERVATION + STATE)
    assert "must share what comes before Action, Observation, State" in message
    assert re.match(r"openenv_bad/v1/bad.proto:\d+: openenv_bad.v1.", message)


def test_proto2_and_groups(tmp_path: Path) -> None:
    group = "message BadAction { optional group Extra = 1 { optional int32 a = 2; } }\n"
    text = HEAD.replace("proto3", "proto2") + group + OBSERVATION + STATE
    assert refusal(tmp_path, text) == (
        'openenv_bad/v1/bad.proto: only proto3 is supported; the file must begin with syntax = "proto3";'
    )


def test_editions(tmp_path: Path) -> None:
    text = HEAD.replace('syntax = "proto3"', 'edition = "2023"') + ACTION + OBSERVATION + STATE
    assert "only proto3 is supported" in refusal(tmp_path, text)


def test_imported_proto2(tmp_path: Path) -> None:
    put(tmp_path, 'syntax = "proto2"; package openenv_bad.v1; message Old {}', "openenv_bad/v1/old.proto")
    text = HEAD + 'import "openenv_bad/v1/old.proto";\nmessage BadAction { Old old = 1; }' + OBSERVATION + STATE
    assert "BadAction.old: openenv_bad.v1.Old is not proto3" in refusal(tmp_path, text)


def test_syntax_error_comes_from_protoc(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEAD + "message BadAction { int32 }")
    assert re.match(r"protoc: \S*openenv_bad/v1/bad.proto:5:27: Expected field name", message)


def test_unknown_import_comes_from_protoc(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEAD + 'import "nowhere.proto";\n' + ACTION + OBSERVATION + STATE)
    assert "nowhere.proto: File not found" in message


def test_classes_of_the_same_name(tmp_path: Path) -> None:
    other = 'syntax = "proto3"; package openenv_bad.other; message Thing {}'
    put(tmp_path, other, "openenv_bad/other/thing.proto")
    text = f"""{HEAD}
import "openenv_bad/other/thing.proto";
message Thing {{}}
message BadAction {{ Thing a = 1; openenv_bad.other.Thing b = 2; }}
{OBSERVATION}{STATE}"""
    message = refusal(tmp_path, text)
    assert "openenv_bad.other.Thing: its class would be named Thing" in message
    assert "the class of openenv_bad.v1.Thing" in message


@pytest.mark.parametrize("name", ["BadEnv", "BadActionColumns", "AsyncBadVectorEnv", "RECORDS"])
def test_message_named_like_a_generated_class(tmp_path: Path, name: str) -> None:
    text = f"{HEAD}message {name} {{}}\nmessage BadAction {{ {name} a = 1; }}\n{OBSERVATION}{STATE}"
    assert f"its class would be named {name}, which is generated too" in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["None", "Exception", "_Hidden"])
def test_message_named_like_nothing_in_python(tmp_path: Path, name: str) -> None:
    text = f"{HEAD}message {name} {{}}\nmessage BadAction {{ {name} a = 1; }}\n{OBSERVATION}{STATE}"
    assert f"{name} cannot name a Python class" in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["None", "mro", "_a_"])
def test_enum_value_named_like_nothing_in_python(tmp_path: Path, name: str) -> None:
    text = f"{HEAD}enum E {{ ZERO = 0; {name} = 1; }}\nmessage BadAction {{ E a = 1; }}\n{OBSERVATION}{STATE}"
    message = refusal(tmp_path, text)
    assert "cannot name a member of a Python enum" in message
    assert message.startswith("openenv_bad/v1/bad.proto:5: ")


def test_package_that_is_no_python_package(tmp_path: Path) -> None:
    path = put(
        tmp_path, HEAD.replace("openenv_bad.v1", "class.v1") + ACTION + OBSERVATION + STATE, "class/v1/bad.proto"
    )
    with pytest.raises(InvalidArgument, match=r'needs a package of Python names, .*; "class" is none'):
        package_texts([path], [])


def test_file_outside_its_package(tmp_path: Path) -> None:
    path = put(tmp_path, HEAD + ACTION + OBSERVATION + STATE, "elsewhere/bad.proto")
    with pytest.raises(InvalidArgument, match=r"belongs into openenv_bad/v1/bad\.proto; move it, or say --proto-path"):
        package_texts([path], [])
    with pytest.raises(InvalidArgument, match=r"belongs into openenv_bad/v1/bad\.proto, seen from a directory"):
        package_texts([path], [tmp_path])


def test_file_without_package(tmp_path: Path) -> None:
    path = put(tmp_path, 'syntax = "proto3";' + ACTION + OBSERVATION + STATE, "bad.proto")
    with pytest.raises(InvalidArgument, match="declares no package"):
        package_texts([path], [])
    with pytest.raises(InvalidArgument, match="needs a package of Python names"):
        package_texts([path], [tmp_path])


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"nothing\.proto: no such file"):
        package_texts([tmp_path / "nothing.proto"], [])


def test_file_outside_every_proto_path(tmp_path: Path) -> None:
    path = put(tmp_path, HEAD + ACTION + OBSERVATION + STATE)
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidArgument, match="lies in none of the directories given by --proto-path"):
        package_texts([path], [tmp_path / "other"])


def test_two_environments_in_one_package(tmp_path: Path) -> None:
    first = put(tmp_path, HEAD + ACTION + OBSERVATION + STATE)
    second = put(tmp_path, HEAD + (ACTION + OBSERVATION + STATE).replace("Bad", "Worse"), "openenv_bad/v1/worse.proto")
    with pytest.raises(InvalidArgument, match="an environment needs a package of its own"):
        package_texts([first, second], [])


def test_hand_written_file_is_not_overwritten(tmp_path: Path) -> None:
    path = put(tmp_path, HEAD + ACTION + OBSERVATION + STATE)
    mine = put(tmp_path, "print('mine')\n", "openenv_bad/client.py")
    with pytest.raises(InvalidArgument, match=r"client\.py: exists and was not generated"):
        write([path], [], tmp_path)
    assert mine.read_text() == "print('mine')\n"
    assert not (tmp_path / "openenv_bad/types.py").exists()


def test_missing_compiler_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, HEAD + ACTION + OBSERVATION + STATE)
    monkeypatch.setitem(sys.modules, "grpc_tools", None)
    with pytest.raises(Unsupported, match=r"pip install 'openenv-grpc\[generate\]'"):
        protoc.describe([str(path)], [tmp_path])
