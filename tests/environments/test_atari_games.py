"""Every game that ships with ale-py, by every name it has."""

from __future__ import annotations

import inspect

import gymnasium
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv as TheirVectorEnv

from openenv_atari import AtariAction
from openenv_atari_server import AtariEnvironment
from openenv_atari_server.games import describe_game, find_game, game_names
from openenv_grpc.errors import InvalidArgument
from tests.environments.vector_reference import NAMES


def registered() -> dict[str, dict[str, object]]:
    specs = [spec for spec in gymnasium.registry.values() if spec.namespace == "ALE" and spec.version == 5]
    return {spec.id: spec.kwargs for spec in specs}


@pytest.mark.parametrize("game", game_names())
def test_every_game_plays(game: str):
    env = AtariEnvironment(game=game)
    spec = env.observation_spec()
    first = env.reset(seed=1, options={})
    assert first.observation.screen.shape == spec["screen"].shape
    assert spec["screen"].shape[0] in (210, 214, 220, 230, 250)
    assert spec["screen"].shape[1:] == (160, 3)
    assert not first.done
    for index in range(len(env.state().action_meanings)):
        result = env.step(AtariAction(action_id=index))
        assert result.observation.screen.dtype == np.uint8
    assert result.info["frame_number"] - first.info["frame_number"] == 4 * env.state().step_count
    assert env.action_spec()["action_id"].high == env.state().step_count - 1


def test_the_games_are_those_that_gymnasium_registers():
    found = {id_: find_game(id_) for id_ in registered()}
    assert len(found) == 104
    assert set(found.values()) == set(game_names())
    assert {id_: kwargs["game"] for id_, kwargs in registered().items()} == found


def test_the_defaults_are_those_that_gymnasium_registers():
    ours = AtariEnvironment().settings.in_force
    theirs = dict(registered()["ALE/Pong-v5"])
    assert ours.pop("max_episode_frames") == theirs.pop("max_num_frames_per_episode")
    module = inspect.signature(gymnasium.make("ALE/Pong-v5", disable_env_checker=True).unwrapped.__class__)
    theirs = {name: p.default for name, p in module.parameters.items()} | theirs
    shared = ours.keys() & theirs.keys()
    assert {name: ours[name] for name in shared} == {name: theirs[name] for name in shared}
    assert ours.keys() - shared == {"noop_max", "terminal_on_life_loss", "preprocessing"}  # AtariPreprocessing's, off
    assert not any(ours[name] for name in ours.keys() - shared)


def test_the_defaults_of_the_preprocessing_are_those_of_the_vector_environment():
    ours = AtariEnvironment(preprocessing=True).settings.in_force
    theirs = {name: p.default for name, p in inspect.signature(TheirVectorEnv).parameters.items()}
    assert theirs.pop("grayscale")
    assert ours.pop("obs_type") == "grayscale"
    ours = {NAMES.get(name, name): value for name, value in ours.items()}
    assert {name: ours[name] for name in ours.keys() & theirs.keys() - {"game"}} == {
        name: theirs[name] for name in ours.keys() & theirs.keys() - {"game"}
    }
    assert ours.keys() - theirs.keys() == {"mode", "difficulty", "preprocessing"}


@pytest.mark.parametrize("name", ["space_invaders", "SpaceInvaders", "spaceinvaders", "ALE/SpaceInvaders-v5"])
def test_a_game_has_several_names(name: str):
    assert find_game(name) == "space_invaders"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pnog", "pong"),
        ("ALE/Breakuot-v5", "breakout"),
        ("Pong-v4", "pong"),  # another frameskip: not the same environment
        ("space-invaders", "space_invaders"),
        ("combat", "two players"),
        ("MazeCraze", "two players"),
        ("", "104 games"),
        ("../../etc/passwd", "104 games"),
        ("x" * 10_000, "104 games"),
        (None, "104 games"),
    ],
)
def test_an_unknown_game_is_refused_with_a_hint(name: str, hint: str):
    with pytest.raises(InvalidArgument, match=hint) as caught:
        AtariEnvironment(game=name)
    assert caught.value.field == "game"
    assert len(str(caught.value)) < 200


def test_a_game_is_described_once():
    assert describe_game("pong") is describe_game("pong")


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALE_ROMS_DIR", "/nowhere")
    describe_game.cache_clear()
    env = AtariEnvironment(game="pong")
    env.reset(seed=1, options={})
    env.step(AtariAction(action_id=0))
    assert capfd.readouterr() == ("", "")
