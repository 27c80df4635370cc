"""The figure of what transport costs: its environment looks like Atari, and both sides' shares add up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import openenv_grpc as oe
from benchmarks.figures import transport
from benchmarks.setting import Setting


@pytest.fixture
def setting() -> Iterator[Setting]:
    with ExitStack() as stack:
        yield Setting(stack, print)


def answers(address: str, connect: Callable[..., Any], **options: Any) -> tuple[Any, ...]:
    """What a session says of itself, and the looks of an answer."""
    with connect(address, transport="local", **options) as env:
        env.reset()
        seen, reward, *_, info = env.step(0 if connect is oe.connect else [0] * options["num_envs"])
        spec = getattr(env, "client", env).spec
        return spec.observation, spec.action, getattr(seen, "screen", seen).shape, np.shape(reward), set(info)


def test_its_environment_answers_as_atari_does(setting: Setting):
    idle, atari = (setting.ours(environment).address for environment in (transport.ENVIRONMENT, "atari"))
    one = answers(atari, oe.connect)
    assert one[2] == (210, 160, 3)
    assert answers(idle, oe.connect) == one
    several = answers(atari, oe.connect_vec, num_envs=4)
    assert several[2] == (4, 210, 160, 3)
    for together in (True, False):
        assert answers(idle, oe.connect_vec, num_envs=4, together=together) == several


def test_shares_of_both_sides_add_up(setting: Setting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport, "QUICK", (1, 0.1))
    figures = {figure.name: figure.row() for figure in transport.measure(setting, quick=True)}
    names = [face.figure for face in transport.FACES]
    own = [transport.OWN, f"{transport.OWN}, {transport.ALONE}"]
    assert list(figures) == names + own
    assert transport.TARGETS[0].rows[0] in names
    for name in names:
        row = figures[name]
        client, server = map(float, re.findall(r"\d+(?:\.\d+)?", row["note"])[:2])
        assert client > 0
        assert server > figures[own[transport.ALONE in name]]["value"] > 0
        assert row["value"] == pytest.approx(client + server, rel=0.05)
