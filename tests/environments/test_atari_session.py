"""What a session hands the environment and asks of it: options, seeds, actions, specs, destinations."""

from __future__ import annotations

import inspect
import mmap
from typing import Any

import numpy as np
import pytest

from openenv_atari import AtariAction, AtariObservation, AtariState
from openenv_atari.types import RECORDS
from openenv_atari_server import AtariEnvironment
from openenv_grpc.environment import message_types
from openenv_grpc.errors import IllegalVerb, InvalidArgument
from openenv_grpc.specs import ArraySpec


def test_it_names_its_messages():
    assert message_types(AtariEnvironment) == (AtariAction, AtariObservation, AtariState)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("obs_type", "RGB"),
        ("frameskip", 0),
        ("frameskip", -4),
        ("frameskip", 2.0),
        ("frameskip", True),
        ("frameskip", "4"),
        ("frameskip", 2**31),
        ("repeat_action_probability", -0.1),
        ("repeat_action_probability", 1.0),
        ("repeat_action_probability", float("nan")),
        ("repeat_action_probability", "0"),
        ("full_action_space", 1),
        ("mode", 2),
        ("mode", -1),
        ("mode", "0"),
        ("difficulty", 4),
        ("difficulty", -1),
        ("noop_max", -1),
        ("noop_max", 1.5),
        ("terminal_on_life_loss", None),
        ("max_episode_frames", -1),
        ("max_episode_frames", 2**31),
        ("max_episode_frames", None),
        ("preprocessing", None),
    ],
)
def test_a_bad_option_is_refused_by_name(field: str, value: Any):
    with pytest.raises(InvalidArgument) as caught:
        AtariEnvironment(**{field: value})
    assert caught.value.field == field
    assert repr(value) in caught.value.message


@pytest.mark.parametrize("seed", [-1, 2**31, 2**64, 1.0, True, "7", float("nan")])
def test_a_bad_seed_is_refused_and_changes_nothing(seed: Any):
    env = AtariEnvironment()
    env.reset(seed=1, options={})
    env.step(AtariAction(action_id=1))
    before = env.state()
    with pytest.raises(InvalidArgument) as caught:
        env.reset(seed=seed, options={})
    assert caught.value.field == "seed"
    assert env.state() == before


def test_a_reset_has_no_options():
    env = AtariEnvironment()
    with pytest.raises(InvalidArgument) as caught:
        env.reset(seed=1, options={"mode": 1})
    assert caught.value.field == "options.mode"


@pytest.mark.parametrize("index", [-1, 6, 2**63])
def test_a_bad_action_is_refused_and_plays_nothing(index: int):
    env = AtariEnvironment()
    env.reset(seed=1, options={})
    with pytest.raises(InvalidArgument, match=r"\[0, 5\].*pong") as caught:
        env.step(AtariAction(action_id=index))
    assert caught.value.field == "action_id"
    assert (env.state().step_count, env.state().frame_number) == (0, 0)


def test_nothing_goes_before_the_first_reset():
    env = AtariEnvironment()
    with pytest.raises(IllegalVerb):
        env.step(AtariAction(action_id=0))
    with pytest.raises(IllegalVerb):
        env.state()


def test_a_step_may_take_a_numpy_integer():
    env = AtariEnvironment()
    env.reset(seed=1, options={})
    assert env.step(AtariAction(action_id=np.int64(5))).info["frame_number"] == 4


@pytest.mark.parametrize(
    ("options", "field", "shape"),
    [
        ({}, "screen", (210, 160, 3)),
        ({"obs_type": "grayscale", "game": "adventure"}, "screen", (250, 160)),
        ({"obs_type": "ram"}, "ram", (128,)),
    ],
)
def test_specs(options: dict[str, Any], field: str, shape: tuple[int, ...]):
    env = AtariEnvironment(**options)
    other = {"screen": "ram", "ram": "screen"}[field]
    spec = env.observation_spec()
    assert spec.keys() == {"screen", "ram"}
    assert spec[field] == ArraySpec(np.uint8, shape, 0, 255)
    assert spec[other].absent
    result = env.reset(seed=1, options={})
    assert getattr(result.observation, field).shape == shape
    assert getattr(result.observation, other).shape == (0,)


def test_the_full_action_space():
    few, all_ = AtariEnvironment(), AtariEnvironment(full_action_space=True)
    assert few.action_spec() == {"action_id": ArraySpec(np.int64, (), 0, 5)}
    assert all_.action_spec() == {"action_id": ArraySpec(np.int64, (), 0, 17)}
    for env in (few, all_):
        env.reset(seed=4, options={})
    names = few.state().action_meanings
    assert names == ["NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"]
    for name in names * 20:
        a, b = (env.step(AtariAction(action_id=env.state().action_meanings.index(name))) for env in (few, all_))
        assert a.observation == b.observation


@pytest.mark.parametrize(("obs_type", "field"), [("rgb", "screen"), ("grayscale", "screen"), ("ram", "ram")])
def test_it_renders_into_the_destination(obs_type: str, field: str):
    env, other = (AtariEnvironment(obs_type=obs_type) for _ in range(2))
    shape = env.observation_spec()[field].shape
    size = int(np.prod(shape))
    memory = mmap.mmap(-1, size + 4096)
    memory[:] = b"\xaa" * len(memory)
    out = np.frombuffer(memoryview(memory)[64 : 64 + size], np.uint8).reshape(shape)
    env.out = {field: out}
    results = [e.reset(seed=1, options={}) for e in (env, other)]
    for index in (0, 1, 2, 3):
        assert getattr(results[0].observation, field) is out
        assert results[0].observation == results[1].observation
        assert memory[:64] + memory[64 + size :] == b"\xaa" * 4096
        results = [e.step(AtariAction(action_id=index)) for e in (env, other)]
    assert getattr(results[1].observation, field).base is None


def test_a_field_that_nobody_wants_is_not_rendered():
    env = AtariEnvironment()
    env.out = {}
    result = env.reset(seed=1, options={})
    assert result.observation.screen.shape == (0,)
    env.out = {"ram": np.zeros(128, np.uint8)}  # not this session's field: left alone
    result = env.step(AtariAction(action_id=1))
    assert result.observation.screen.shape == result.observation.ram.shape == (0,)
    assert not env.out["ram"].any()
    assert result.info["frame_number"] == 4


def test_state():
    env = AtariEnvironment(game="Breakout", mode=4, frameskip=3)
    env.reset(seed=1, options={})
    first = env.state()
    for _ in range(5):
        env.step(AtariAction(action_id=0))
    state = env.state()
    assert state.episode_id == first.episode_id
    played = 15 + first.frame_number  # a mode is chosen by pressing select, which takes frames
    assert (first.step_count, first.frame_number) == (0, 4)
    assert (state.step_count, state.frame_number, state.episode_frame_number, state.lives) == (5, played, played, 5)
    assert state.options["game"] == "breakout"
    names = list(inspect.signature(AtariEnvironment).parameters)
    assert list(state.options) == names[: names.index("preprocessing") + 1]  # the others mean nothing without it
    assert AtariEnvironment(**state.options).observation_spec() == env.observation_spec()
    env.reset(seed=None, options={})
    again = env.state()
    assert again.episode_id != state.episode_id
    assert (again.step_count, again.frame_number, again.episode_frame_number) == (0, played + 4, 4)


def test_state_and_observation_can_be_sent():
    env = AtariEnvironment()
    result = env.reset(seed=1, options={})
    for record, specs in ((env.state(), None), (result.observation, env.observation_spec())):
        message = RECORDS.encode(record.MESSAGE, record, specs)
        assert RECORDS.decode(message, specs) == record


def test_two_environments_do_not_share_a_destination():
    a, b = AtariEnvironment(), AtariEnvironment()
    a.out = {}
    assert b.reset(seed=1, options={}).observation.screen.size
