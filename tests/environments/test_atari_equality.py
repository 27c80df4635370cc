"""The environment plays exactly as ALE in process and as Gymnasium do."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from openenv_atari import AtariAction
from openenv_atari_server import AtariEnvironment
from tests.environments.reference import Reference, assert_same, frame

STEPS = 500


def drive(env: AtariEnvironment, reference: Reference, steps: int = STEPS) -> int:
    """Play both with the same random actions, on through ends of episodes; how many there were."""
    rng, ends = np.random.default_rng(1), 0
    for _ in range(steps):
        index = int(rng.integers(len(reference.actions)))
        result = env.step(AtariAction(action_id=index))
        assert_same(result, reference.step(index))
        if result.done:
            ends += 1
            result = env.reset(seed=None, options={})
            reference.ale.reset_game()
            assert_same(result, (reference.observe(), 0.0, False, False, reference.info()))
    return ends


@pytest.mark.parametrize("obs_type", ["rgb", "grayscale", "ram"])
@pytest.mark.parametrize(
    ("game", "ends"), [("breakout", True), ("pong", False), ("pooyan", False), ("pitfall2", False)]
)
def test_equal_to_ale_in_process(game: str, ends: bool, obs_type: str):
    env = AtariEnvironment(game=game, obs_type=obs_type)
    for seed, steps in ((3, STEPS), (2**31 - 1, 20), (0, 20)):  # a used emulator equals a new one
        reference = Reference(game, seed, obs_type=obs_type)
        result = env.reset(seed=seed, options={})
        assert_same(result, (reference.observe(), 0.0, False, False, reference.info() | {"seed": seed}))
        assert bool(drive(env, reference, steps)) == (ends and steps == STEPS)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": 4, "difficulty": 1},
        {"mode": 0},
        {"difficulty": 0},
        {"repeat_action_probability": 0.0, "frameskip": 1},
        {"repeat_action_probability": 0.9, "frameskip": 7},
    ],
    ids=str,
)
def test_equal_with_options(options: dict[str, float]):
    env = AtariEnvironment(game="breakout", **options)
    given = {"repeat" if name == "repeat_action_probability" else name: value for name, value in options.items()}
    reference = Reference("breakout", 11, **given)
    env.reset(seed=11, options={})
    drive(env, reference, 100)


@pytest.mark.parametrize("game", ["ALE/Pong-v5", "ALE/Breakout-v5"])
def test_equal_to_gymnasium(game: str):
    theirs = gymnasium.make(game, disable_env_checker=True)
    observation, info = theirs.reset(seed=1)
    seed = int(info.pop("seeds")[1])  # what Gymnasium makes of its seed; of some seeds, more than 31 bits
    env = AtariEnvironment(game=game)
    assert_same(env.reset(seed=seed, options={}), (observation, 0.0, False, False, info | {"seed": seed}))
    rng = np.random.default_rng(1)
    for _ in range(STEPS):
        index = int(rng.integers(theirs.action_space.n))
        result = env.step(AtariAction(action_id=index))
        assert_same(result, theirs.step(index))
        if result.done:
            break
    theirs.close()


def test_the_first_reset_draws_a_seed_that_plays_the_same_again():
    one, two = AtariEnvironment(obs_type="ram"), AtariEnvironment(obs_type="ram")
    seeds = [env.reset(seed=None, options={}).info["seed"] for env in (one, two)]
    assert seeds[0] != seeds[1]
    two.reset(seed=seeds[0], options={})
    for index in [2, 3, 4, 5] * 25:
        a, b = (env.step(AtariAction(action_id=index)) for env in (one, two))
        assert_same(a, (frame(b), *list(b)[1:]))
    assert "seed" not in one.reset(seed=None, options={}).info


def test_an_end_is_where_ale_stands_still():
    env = AtariEnvironment(max_episode_frames=40, frameskip=7)
    reference = Reference("pong", 1, max_frames=40, frameskip=7)
    env.reset(seed=1, options={})
    for step in range(1, 9):
        result = env.step(AtariAction(action_id=1))
        assert_same(result, reference.step(1))
        assert not result.terminated
        assert result.truncated == (step >= 6)
    assert result.info["episode_frame_number"] == 40
    assert result.reward == 0


def test_no_limit_of_frames():
    env = AtariEnvironment(max_episode_frames=0, frameskip=1, obs_type="ram")
    env.reset(seed=1, options={})
    assert not env.step(AtariAction(action_id=0)).truncated


def test_a_lost_life_ends_the_episode():
    env = AtariEnvironment(game="breakout", terminal_on_life_loss=True, obs_type="ram")
    reference = Reference("breakout", 5, obs_type="ram")
    env.reset(seed=5, options={})
    rng, lives, ends = np.random.default_rng(2), 5, []
    for _ in range(STEPS):
        index = int(rng.integers(4))
        result = env.step(AtariAction(action_id=index))
        observation, reward, over, truncated, info = reference.step(index)
        assert_same(result, (observation, reward, over or info["lives"] < lives, truncated, info))
        lives = info["lives"]
        if result.terminated:
            ends.append(lives)
            env.reset(seed=None, options={})
            reference.ale.reset_game()
            lives = 5
    assert ends
    assert set(ends) == {4}


def test_no_ops_are_drawn_from_the_seed():
    env = AtariEnvironment(game="breakout", noop_max=30)
    reference = Reference("breakout", 9)
    draws = np.random.default_rng(9)
    for seed in (9, None, None):
        result = env.reset(seed=seed, options={})
        noops = int(draws.integers(1, 31))
        if seed is None:
            reference.ale.reset_game()
        for _ in range(noops):
            reference.ale.act(0)
        assert frame(result).tobytes() == reference.observe().tobytes()
        assert result.info["episode_frame_number"] == noops
    drive(env, reference, 20)


def test_no_ops_never_end_an_episode():
    env = AtariEnvironment(noop_max=30, max_episode_frames=4)
    for seed in range(5):
        assert env.reset(seed=seed, options={}).info["episode_frame_number"] < 4
        assert env.state().episode_frame_number < 4
