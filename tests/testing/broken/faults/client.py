"""Servers that treat the library's own client in another way than the bare protocol's."""

from __future__ import annotations

from typing import Any

from tests.testing.broken.fault import fault, is_bare, seed_of, spoil


def of_the_library(talk: Any, seed: int) -> bool:
    """Whether a session is one of the library's client, with that seed."""
    return not is_bare(talk) and seed_of(talk) == seed


def repeat(talk: Any, answer: Any) -> None:
    """Give the last step's observation again."""
    steps = [found for found in talk.answers if found.HasField("step")]
    if answer.HasField("step") and len(steps) > 1:
        answer.payload = steps[-2].payload


@fault("answer", "the_library_sees_the_same")
def spoils_what_the_library_gets(talk: Any, request: Any, answer: Any) -> None:
    """A session of the library's client with seed 96 gets other observations."""
    if of_the_library(talk, 96) and answer.payload:
        spoil(answer)


@fault("answer", "a_vector_of_the_library_sees_the_same")
def spoils_what_a_vector_gets(talk: Any, request: Any, answer: Any) -> None:
    """A session of the library's client with seed 99 gets other observations."""
    if of_the_library(talk, 99) and answer.payload:
        spoil(answer)


@fault("answer", "threads_share_a_client")
def answers_threads_twice(talk: Any, request: Any, answer: Any) -> None:
    """In a session of the library's client with seed 97 each step gets the observation of the one before."""
    if of_the_library(talk, 97):
        repeat(talk, answer)


@fault("answer", "a_cancelled_task_leaves_nothing_behind")
def answers_what_was_cancelled(talk: Any, request: Any, answer: Any) -> None:
    """In a session of the library's client with seed 98 each step gets the observation of the one before."""
    if of_the_library(talk, 98):
        repeat(talk, answer)
