"""What an environment class says about itself: its messages, construction options, capabilities and columns."""

from __future__ import annotations

import importlib
import inspect
import logging
import sys
import types
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from openenv_grpc.codec.describe import descriptor_set
from openenv_grpc.codec.schema import resolve
from openenv_grpc.environment import Environment, Snapshot, message_types
from openenv_grpc.errors import EnvironmentFailed, InvalidArgument
from openenv_grpc.session.options import RESERVED
from openenv_grpc.specs import Capabilities, EnvironmentSpec, OptionSpec, OptionType, SessionSpec

if TYPE_CHECKING:
    from openenv_grpc.codec.records import RecordSet

log = logging.getLogger(__name__)
AnyEnvironment = Environment[Any, Any, Any]
_TYPES = {bool: OptionType.BOOLEAN, int: OptionType.INTEGER, float: OptionType.NUMBER, str: OptionType.TEXT}


def load(path: str) -> type[AnyEnvironment]:
    """Import an environment class from `module:Class`.

    Raises:
        InvalidArgument: There is no such module or class, or it is no Environment.
        EnvironmentFailed: The module raised.
    """
    module_name, _, class_name = path.partition(":")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        msg = f"cannot load {path!r}: {error}"
        raise InvalidArgument(msg, field="environment") from error
    except Exception as error:
        log.exception("importing %s raised", module_name)
        msg = f"cannot load {path!r}: {type(error).__name__}: {error}"
        raise EnvironmentFailed(msg) from error
    if not (isinstance(cls, type) and issubclass(cls, Environment)):
        msg = f"{path!r} is not a subclass of openenv_grpc.environment.Environment"
        raise InvalidArgument(msg, field="environment")
    return cls


def records_of(cls: type[AnyEnvironment]) -> RecordSet:
    """The records of an environment class: `RECORDS` of the module that its message classes come from.

    Raises:
        InvalidArgument: The message classes were not made by `openenv-grpc generate`.
    """
    action, observation, state = message_types(cls)
    records: RecordSet | None = getattr(sys.modules[action.__module__], "RECORDS", None)
    if records is None or records.classes.get(getattr(action, "MESSAGE", "")) is not action:
        msg = f"{action.__module__} has no RECORDS; generate the messages with `openenv-grpc generate`"
        raise InvalidArgument(msg, field="environment")
    names = (records.action.full_name, records.observation.full_name, records.state.full_name)
    if names != (action.MESSAGE, observation.MESSAGE, state.MESSAGE):
        msg = f"{cls.__name__} must name its classes in the order Action, Observation, State"
        raise InvalidArgument(msg)
    return records


def capabilities_of(cls: type[AnyEnvironment]) -> Capabilities:
    """What the class can do, by what it implements."""
    return Capabilities(seeds=cls.seeds, snapshot=issubclass(cls, Snapshot))


def session_spec(records: RecordSet, environment: AnyEnvironment) -> SessionSpec:
    """The columns of a session, as one instance knows them."""
    return SessionSpec(
        resolve(records.action, environment.action_spec(), "action"),
        resolve(records.observation, environment.observation_spec(), "observation"),
    )


def options_of(cls: type[AnyEnvironment]) -> tuple[OptionSpec, ...]:
    """Construction options, from the keyword parameters of `__init__`.

    Raises:
        InvalidArgument: One has a name that callers could not give it by.
    """
    hints = get_type_hints(cls.__init__)
    options = []
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        if name in RESERVED:
            msg = f"{cls.__name__} cannot have an option of this name, make() and connect() use it; rename it"
            raise InvalidArgument(msg, field=f"options.{name}")
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            options.append(_option(name, hints.get(name, Any), parameter.default))
    return tuple(options)


def _option(name: str, hint: Any, default: Any) -> OptionSpec:
    required = default is inspect.Parameter.empty
    arms = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    nullable = type(None) in arms
    kinds = [arm for arm in arms if arm is not type(None)]
    kind = kinds[0] if len(kinds) == 1 else Any
    choices: tuple[Any, ...] = ()
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        kind = type(choices[0])
    return OptionSpec(
        name=name,
        type=_TYPES.get(kind, OptionType.ANY),
        required=required,
        nullable=nullable,
        default=None if required else default,
        choices=choices,
    )


def describe(cls: type[AnyEnvironment], name: str, environment: AnyEnvironment) -> EnvironmentSpec:
    """The whole description; `environment` is an instance with the default options."""
    records = records_of(cls)
    schemas = (records.action, records.observation, records.state)
    return EnvironmentSpec(
        name=name,
        version=_version(cls),
        descriptor_set=descriptor_set(*(schema.descriptor.file for schema in schemas)),
        action_message=records.action.full_name,
        observation_message=records.observation.full_name,
        state_message=records.state.full_name,
        spec_hash=records.spec_hash,
        session=session_spec(records, environment),
        options=options_of(cls),
        capabilities=capabilities_of(cls),
        documentation=inspect.getdoc(cls) or "",
    )


def _version(cls: type[AnyEnvironment]) -> str:
    """Version of the distribution that ships the class, found by its entry point."""
    from importlib import metadata  # 2.4 MB, and a server needs this once: the process that describes ends at once

    for entry in metadata.entry_points(group="openenv_grpc.environments"):
        if entry.value == f"{cls.__module__.partition('.')[0]}:{cls.__name__}" and entry.dist is not None:
            return entry.dist.version
    return ""
