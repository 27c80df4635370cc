"""Sync and asyncio are two shells of one thing: what one can do the other can, with the same arguments."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import openenv_atari
import openenv_echo
from openenv_grpc import aio, making
from openenv_grpc.adapters.gymnasium import GymnasiumEnv, GymnasiumVectorEnv
from openenv_grpc.client import AsyncEnvClient, AsyncVectorEnvClient, EnvClient, VectorEnvClient
from openenv_grpc.session.options import RESERVED

PAIRS = [
    (EnvClient, AsyncEnvClient),
    (VectorEnvClient, AsyncVectorEnvClient),
    (openenv_echo.EchoEnv, openenv_echo.AsyncEchoEnv),
    (openenv_atari.AtariEnv, openenv_atari.AsyncAtariEnv),
    (openenv_echo.EchoVectorEnv, openenv_echo.AsyncEchoVectorEnv),
    (openenv_atari.AtariVectorEnv, openenv_atari.AsyncAtariVectorEnv),
]
LOCAL = {"__enter__", "__exit__", "__aenter__", "__aexit__"}  # each in its own way
NOT_AWAITED = {"add_cleanup", "records_class", "set_isolation"}  # no I/O


def public(cls: type[Any]) -> dict[str, Any]:
    names = {name for klass in cls.__mro__[:-1] for name in vars(klass) if not name.startswith("_")}
    return {name: inspect.getattr_static(cls, name) for name in names}


def call_of(member: Any) -> Any:
    return member.__func__ if isinstance(member, classmethod) else member


@pytest.mark.parametrize(("sync", "asynchronous"), PAIRS, ids=lambda cls: cls.__name__)
def test_the_same_names(sync: type[Any], asynchronous: type[Any]):
    assert public(sync).keys() == public(asynchronous).keys()


@pytest.mark.parametrize(("sync", "asynchronous"), PAIRS, ids=lambda cls: cls.__name__)
def test_the_same_signatures(sync: type[Any], asynchronous: type[Any]):
    for name, member in public(sync).items():
        other = public(asynchronous)[name]
        assert type(member) is type(other), name
        one, two = call_of(member), call_of(other)
        if not callable(one):
            continue
        ours, theirs = inspect.signature(one), inspect.signature(two)
        if name != "add_cleanup":  # takes a callback, there an awaitable one
            assert list(ours.parameters.values())[1:] == list(theirs.parameters.values())[1:], name
        assert plain(ours.return_annotation) == plain(theirs.return_annotation), name
        assert inspect.iscoroutinefunction(two) == (name not in NOT_AWAITED), name


def plain(annotation: Any) -> str:
    return re.sub(r"\bAsync", "", str(annotation))


@pytest.mark.parametrize("name", ["make", "make_vec", "connect", "connect_vec"])
def test_making_is_the_same(name: str):
    ours, theirs = inspect.signature(getattr(making, name)), inspect.signature(getattr(aio, name))
    vector = name.endswith("vec")
    of_vectors = {"autoreset_mode", "batch_size", "copy"} if vector else set()
    assert ours.parameters.keys() == theirs.parameters.keys() | of_vectors
    assert all(ours.parameters[name] == parameter for name, parameter in theirs.parameters.items())
    assert theirs.return_annotation == f"Opening[Async{'VectorEnv' if vector else 'Env'}]"
    assert ours.return_annotation == ("VectorEnv" if vector else "EnvClient[Any, Any, Any]")


def test_no_option_can_be_mistaken_for_an_argument():
    calls = (making.make, making.make_vec, EnvClient.connect, VectorEnvClient.connect, GymnasiumEnv, GymnasiumVectorEnv)
    names = {parameter.name for call in calls for parameter in inspect.signature(call).parameters.values()}
    assert names - {"kwargs", "options"} == RESERVED


@pytest.mark.parametrize("module", [making, aio])
def test_nothing_else_is_public(module: Any):
    functions = {
        name
        for name, item in vars(module).items()
        if inspect.isfunction(item) and item.__module__ == module.__name__ and not name.startswith("_")
    }
    assert functions == {"make", "make_vec", "connect", "connect_vec"}
