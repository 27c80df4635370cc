from __future__ import annotations

import pytest

from openenv_echo import EchoAction, EchoObservation, EchoState
from openenv_echo_server import EchoEnvironment
from openenv_grpc.environment import StepResult, message_types


def test_it_names_its_messages():
    assert message_types(EchoEnvironment) == (EchoAction, EchoObservation, EchoState)


def test_a_reset_is_silent():
    result = EchoEnvironment().reset(seed=7, options={})
    assert result == StepResult(EchoObservation(message="", length=0))
    assert not result.done


@pytest.mark.parametrize("message", ["", "hello", "grüß dich", "🜁" * 10_000, "\0\n"])
def test_it_says_back_what_it_is_told(message: str):
    env = EchoEnvironment()
    env.reset(seed=None, options={})
    result = env.step(EchoAction(message=message))
    assert result.observation == EchoObservation(message=message, length=len(message))
    assert result.reward == pytest.approx(0.1 * len(message))
    assert not result.done


def test_state_counts_the_steps_of_an_episode():
    env = EchoEnvironment()
    env.reset(seed=None, options={})
    first = env.state()
    env.step(EchoAction(message="a"))
    env.step(EchoAction(message="b"))
    assert first.step_count == 0
    assert env.state() == EchoState(episode_id=first.episode_id, step_count=2)
    env.reset(seed=None, options={})
    assert env.state().step_count == 0
    assert env.state().episode_id != first.episode_id
