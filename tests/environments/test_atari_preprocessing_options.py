"""The options of preprocessing, and what its games refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openenv_atari import AtariAction
from openenv_atari_server import AtariEnvironment
from openenv_grpc.errors import IllegalVerb, InvalidArgument
from openenv_grpc.specs import ArraySpec, AutoresetMode
from tests.environments.vector_reference import NEXT, SAME, games
from tests.helpers.pair import Pair


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("preprocessing", 1),
        ("obs_type", "ram"),
        ("mode", 0),
        ("difficulty", 0),
        ("img_height", 0),
        ("img_width", 1025),
        ("img_width", 84.0),
        ("stack_num", 65),
        ("maxpool", 1),
        ("reward_clipping", "yes"),
        ("use_fire_reset", 0),
        ("noop_max", -1),
        ("repeat_action_probability", 1.0),
    ],
)
def test_bad_options_are_refused_by_name(field: str, value: Any):
    options = {"preprocessing": True, field: value}
    for refused in (lambda: AtariEnvironment(**options), lambda: AtariEnvironment.batch(2, NEXT, options)):
        with pytest.raises(InvalidArgument) as caught:
            refused()
        assert caught.value.field == field


@pytest.mark.parametrize(
    "option",
    [
        {"img_height": 84},
        {"img_width": 84},
        {"stack_num": 4},
        {"maxpool": True},
        {"reward_clipping": True},
        {"use_fire_reset": False},
    ],
    ids=str,
)
def test_options_of_the_preprocessing_need_it(option: dict[str, Any]):
    with pytest.raises(InvalidArgument, match="preprocessing=True") as caught:
        AtariEnvironment(**option)
    assert caught.value.field == next(iter(option))


def test_specs_and_options_in_force():
    env = AtariEnvironment(preprocessing=True)
    assert env.observation_spec()["screen"] == ArraySpec(np.uint8, (4, 84, 84), 0, 255)
    assert env.observation_spec()["ram"].absent
    env.reset(seed=1, options={})
    env.step(AtariAction(action_id=2))
    state = env.state()
    assert (state.step_count, state.lives, len(state.action_meanings)) == (1, 0, 6)
    assert dict(state.options) == {
        "game": "pong",
        "obs_type": "grayscale",
        "frameskip": 4,
        "repeat_action_probability": 0.0,
        "full_action_space": False,
        "mode": None,
        "difficulty": None,
        "noop_max": 30,
        "terminal_on_life_loss": False,
        "max_episode_frames": 108_000,
        "preprocessing": True,
        "img_height": 84,
        "img_width": 84,
        "stack_num": 4,
        "maxpool": True,
        "reward_clipping": True,
        "use_fire_reset": True,
    }


@pytest.mark.parametrize("mode", [NEXT, SAME], ids=str)
def test_states_of_lanes(mode: AutoresetMode):
    options = {"preprocessing": True, "game": "breakout", "max_episode_frames": 12}
    pair = Pair(AtariEnvironment, lanes=2, mode=mode, **options)
    pair.reset(seed=1)
    seen = []
    for _ in range(5):
        pair.step([0, 0])
        states = pair.state()
        assert states[0].episode_id != states[1].episode_id
        seen.append((states[0].step_count, states[0].episode_id))
    counts = {NEXT: [1, 2, 3, 0, 1], SAME: [1, 2, 0, 1, 2]}
    assert [count for count, _ in seen] == counts[mode]
    assert len({id_ for _, id_ in seen}) == 2


def test_nothing_goes_before_the_first_reset_or_after_the_end():
    env, batch = AtariEnvironment(preprocessing=True), games(2, NEXT)
    for call in (
        lambda: env.step(AtariAction(action_id=0)),
        env.state,
        lambda: batch.step([0, 1], {"action_id": np.zeros(2, np.int64)}),
        lambda: batch.state(1),
    ):
        with pytest.raises(IllegalVerb, match="not reset"):
            call()
    batch.close()
    batch.close()
    with pytest.raises(IllegalVerb, match="closed"):
        batch.reset([0, 1], seeds=[1, 2], options={})


@pytest.mark.parametrize("index", [-1, 4])
def test_a_bad_action_is_refused_and_plays_nothing(index: int):
    batch = games(2, NEXT, game="breakout")
    batch.reset([0, 1], seeds=[1, 2], options={})
    with pytest.raises(InvalidArgument, match=r"\[0, 3\].*breakout") as caught:
        batch.step([0, 1], {"action_id": np.array([0, index])})
    assert caught.value.field == "action_id"
    assert batch.state(0).step_count == 0


@pytest.mark.parametrize("seed", [-1, 2**31, True])
def test_bad_seeds_and_options_are_refused(seed: Any):
    batch = games(2, NEXT)
    with pytest.raises(InvalidArgument) as caught:
        batch.reset([0, 1], seeds=[1, seed], options={})
    assert caught.value.field == "seed"
    with pytest.raises(InvalidArgument) as caught:
        batch.reset([0, 1], seeds=[1, 2], options={"mode": 1})
    assert caught.value.field == "options.mode"
