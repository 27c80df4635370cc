"""Servers that treat seeds carelessly."""

from __future__ import annotations

import itertools
from typing import Any

from openenv_grpc.errors import EnvironmentCrashed
from tests.testing.broken.fault import fault, is_bare, refuse
from tests.testing.subject import PLAIN

_sessions = itertools.count()


def seeds(request: Any) -> list[Any]:
    """The seeds of a reset."""
    return list(request.reset.seeds) if request.HasField("reset") else []


@fault("request", "same_seed_same_trace")
def mixes_the_session_into_the_seed(talk: Any, request: Any) -> None:
    """Seed 11 is another one in every session."""
    for seed in seeds(request):
        if seed.value == 11:
            seed.value += talk.notes.setdefault("session", next(_sessions))


@fault("request", "a_seed_fixes_the_episode_whatever_came_before")
def mixes_the_past_into_the_seed(talk: Any, request: Any) -> None:
    """Seed 31 is another one after some steps."""
    for seed in seeds(request):
        if seed.value == 31:
            seed.value += len(talk.requests)


@fault("request", "different_seeds_differ")
def ignores_small_seeds(talk: Any, request: Any) -> None:
    """All seeds from 1 to 4 are the same."""
    for seed in seeds(request):
        if 0 < seed.value < 5:
            seed.value = 1


@fault("request", "each_lane_has_its_seed")
def seeds_all_lanes_alike(talk: Any, request: Any) -> None:
    """All lanes get the first one's seed."""
    found = seeds(request)
    if found and all(seed.HasField("value") for seed in found):
        for seed in found:
            seed.value = found[0].value


@fault("request", "lanes_without_a_seed_stand_beside_seeded_ones")
def seeds_all_lanes_or_none(talk: Any, request: Any) -> None:
    """One lane without a seed has all lanes go without."""
    found = seeds(request)
    if not all(seed.HasField("value") for seed in found):
        del request.reset.seeds[:]


@fault("request", "a_wrong_number_of_seeds_is_refused")
def makes_do_with_the_seeds_there_are(talk: Any, request: Any) -> None:
    """Seeds that lack are left out, seeds too many dropped."""
    lanes = talk.requests[0].open.lanes if talk.requests[0].HasField("open") else 2
    if seeds(request) and is_bare(talk):
        while len(request.reset.seeds) < lanes:
            request.reset.seeds.add()
        del request.reset.seeds[lanes:]


@fault("answer", "extreme_seeds_are_answered")
def crashes_on_negative_seeds(talk: Any, request: Any, answer: Any) -> None:
    """A negative seed is answered as a crash."""
    if any(seed.value < 0 for seed in seeds(request)):
        refuse(answer, EnvironmentCrashed("the worker is gone"))


@fault("request", "seeds_are_refused_where_they_cannot_be_honoured", environment=PLAIN)
def ignores_seeds(talk: Any, request: Any) -> None:
    """Seeds that cannot be honoured are dropped."""
    if request.HasField("reset"):
        del request.reset.seeds[:]
