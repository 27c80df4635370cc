"""The short way of a plain step (`codec/rows.py`) and the general one: the same frames, the same results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv_echo_server import EchoEnvironment
from openenv_grpc.errors import OpenEnvError
from openenv_grpc.session.client import ClientCore
from openenv_grpc.session.results import TransitionReader
from openenv_grpc.specs import AutoresetMode
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment, blank
from tests.helpers.pair import Pair

BARE = [1, np.int64(2), {"move": 3}, -1, 50, 10**9, 2.5, "x", None, True, np.array(3), 7, 90, 1, 4, 5]
PROBE = [blank(verb) for verb in ("a", "b", "end", "c", "cut", "raise", "d", "e")]


def outcome(pair: Pair, action: Any) -> Any:
    try:
        result = pair.step(action)
    except OpenEnvError as error:
        return type(error), error.message, error.field
    return result.observation, result.reward, result.terminated, result.truncated, result.info


@pytest.mark.parametrize("mode", list(AutoresetMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize(
    ("environment", "actions"),
    [(BareEnvironment, BARE), (EchoEnvironment, ["a", "", "ü", 3, "b"]), (ProbeEnvironment, PROBE)],
)
def test_both_ways_say_the_same(
    environment: Any, actions: list[Any], mode: AutoresetMode, monkeypatch: pytest.MonkeyPatch
):
    short, general = Pair(environment, mode=mode), Pair(environment, mode=mode)
    general.client._writer._is_plain = False
    for shard in general.shards:
        shard.core._actions._is_plain = False
    taken: list[bool] = []
    plain = TransitionReader.plain

    def counted(self: TransitionReader, *args: Any) -> Any:
        if self is general.client._reader:
            return None
        result = plain(self, *args)
        taken.append(result is not None)
        return result

    monkeypatch.setattr(TransitionReader, "plain", counted)
    for pair in (short, general):
        pair.reset()
    for action in actions * 3:
        found = [outcome(pair, action) for pair in (short, general)]
        assert found[0] == found[1], action
        if mode is AutoresetMode.DISABLED and len(found[0]) == 5 and (found[0][2] or found[0][3]):
            for pair in (short, general):
                pair.reset()
    assert short.sent == general.sent
    assert short.received == general.received
    assert any(taken) == short.client._reader._row.plain  # Probe's arrays of truth values must be looked at


def test_a_step_request_is_serialized_once_per_group_of_lanes():
    pair = Pair(BareEnvironment, lanes=4, goal=10**6)
    pair.reset()
    client: ClientCore = pair.client
    for _ in range(3):
        pair.step([1] * 4)
        pair.step([1, 2], lanes=[0, 3])
    assert len(client._steps) == 2
    for _ in range(300):
        lanes = sorted({int(lane) for lane in np.random.default_rng(_).integers(0, 4, 3)})
        pair.step([0] * len(lanes), lanes=lanes)
    assert len(client._steps) <= 64
