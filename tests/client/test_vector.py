"""The vector environment's face: bare arrays or dicts, `out`, masked resets, errors with what went well."""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import pytest

from openenv_atari import AtariAction, AtariVectorEnv
from openenv_grpc import connect_vec, make_vec
from openenv_grpc.client import VectorEnv, VectorEnvClient
from openenv_grpc.errors import EnvironmentFailed, IllegalVerb, InvalidArgument
from openenv_grpc.specs import AutoresetMode
from tests.environments_for_tests.probe import blank
from tests.helpers import processes
from tests.helpers.packages import PROBE
from tests.helpers.same import assert_same
from tests.helpers.server import Server, running

FORCE = np.array([[0.5, 0], [0, 0.5], [0.25, 0.25], [0, 0]], np.float32)


def actions(force: np.ndarray = FORCE, **more: Any) -> dict[str, Any]:
    lanes = len(force)
    return {"force": force, "brake": np.zeros(lanes, np.bool_), "grip": np.ones(lanes, np.int64)} | more


def test_one_field_is_a_bare_array(atari: Server):
    with connect_vec(atari.address, 3, shards=2, game="breakout") as vec, connect_columns(atari, 3) as columns:
        observation, info = vec.reset(seed=1)
        expected = columns.reset(seed=1)
        assert_same(observation, expected.observation.screen)
        assert info["seed"].tolist() == [1, 2, 3]
        for action in ([0, 1, 2], (0, 1, 2), np.array([0, 1, 2], np.uint8), {"action_id": [0, 1, 2]}):
            observation, reward, terminated, truncated, info = vec.step(action)
            expected = columns.step([0, 1, 2])
            assert_same(observation, expected.observation.screen)
            for ours, theirs in zip((reward, terminated, truncated), tuple(expected)[1:4], strict=True):
                assert_same(ours, theirs)
            assert info["frame_number"].tolist() == [one["frame_number"] for one in expected.infos]
        assert not observation.flags.writeable
        assert all(array.flags.writeable for array in (reward, terminated, truncated))
        kept = observation.copy()
        vec.step([AtariAction(action_id=1)] * 3)
        assert (observation == kept).all()


def connect_columns(server: Server, lanes: int) -> AtariVectorEnv:
    return AtariVectorEnv.connect(server.address, lanes, shards=2, game="breakout")


def test_a_field_that_is_absent_does_not_count(atari: Server):
    with connect_vec(atari.address, 2, obs_type="ram") as vec:
        assert vec.reset(seed=1)[0].shape == (2, 128)
        assert vec.single_observation_space == gymnasium.spaces.Box(0, 255, (128,), np.uint8)
        assert vec.single_action_space == gymnasium.spaces.Discrete(6)


def test_fields_that_were_not_asked_for_do_not_count(arm: Server):
    with connect_vec(arm.address, 2, fields=["joints"]) as vec:
        observation, _ = vec.reset(seed=3)
        assert observation.tolist() == [[3, 3], [4, 4]]
        assert vec.observation_space.contains(observation)
    with connect_vec(arm.address, 2, fields=["joints", "heat", "camera"]) as vec:
        assert set(vec.reset()[0]) == set(vec.observation_space) == {"joints", "heat"}


def test_several_fields_are_a_dict(arm: Server):
    with connect_vec(arm.address, 4, shards=2, limit=9) as vec:
        vec.reset(seed=0)
        observation, *_ = vec.step(actions(brake=np.array([0, 1, 0, 1])))  # truth values as Gymnasium samples them
        assert set(observation) == {"joints", "braked", "grip", "turns", "heat"}
        assert observation["joints"].tolist() == [[0.5, 0], [1, 1.5], [2.25, 2.25], [3, 3]]
        assert observation["braked"].tolist() == [False, True, False, True]
        vec.action_space.seed(1)
        for _ in range(3):
            observation, *_ = vec.step(vec.action_space.sample())
            assert vec.observation_space.contains(observation)


def test_action_fields_that_are_present_in_the_session_alone(arm: Server):
    with connect_vec(arm.address, 2, limit=9, light=2) as vec:
        vec.reset()
        light = np.array([[1, 2], [3, 4]], np.uint8)
        observation, *_ = vec.step(actions(FORCE[:2], light=light))
        assert observation["camera"].tolist() == [[[1, 1], [2, 2]], [[3, 3], [4, 4]]]
        with pytest.raises(InvalidArgument, match="light"):
            vec.step(actions(FORCE[:2]))


def test_texts(echo: Server):
    with connect_vec(echo.address, 2) as vec:
        assert vec.reset()[0] == {"message": ("", ""), "length": pytest.approx(np.zeros(2))}
        observation, *_ = vec.step(("one", "three"))
        assert observation["message"] == ("one", "three")
        assert vec.observation_space.contains(observation)
        with pytest.raises(InvalidArgument, match=r"out\.message: only arrays and numbers"):
            vec.step(("a", "b"), out={"message": np.empty(2), "length": np.empty(2, np.int64)})


def test_fields_of_every_kind():
    """Also those that Gymnasium has no space for."""
    with running(PROBE) as server, connect_vec(server.address, 2, shards=2) as vec:
        vec.reset()
        records = [blank("a", words=["x"], flag=True), blank("b", words=["y", "z"])]
        columns = {
            field.name: [getattr(one, field.name) for one in records] for field in dataclasses.fields(records[0])
        }
        for actions in (records, columns):
            observation, *_ = vec.step(actions)
            assert observation["words"] == (["x"], ["y", "z"])
            assert observation["verb"] == ("a", "b")
            assert observation["flag"].tolist() == [True, False]
            assert observation["grid"].shape == (2, 2, 3)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ([1], "actions.action_id"),
        (1, "actions.action_id"),
        ("ab", "actions.action_id"),
        ([1, 2, 99], "action.action_id"),
        ([0.5, 1, 2], "action.action_id"),
        ({"action": [1, 2, 3]}, "action.action"),
        ([AtariAction(action_id=1)], "actions"),
    ],
    ids=str,
)
def test_wrong_actions(atari: Server, wrong: Any, field: str):
    with connect_vec(atari.address, 3, obs_type="ram") as vec:
        vec.reset()
        for call in (vec.step, vec.send):
            with pytest.raises(InvalidArgument) as caught:
                call(wrong)
            assert caught.value.field == field
        assert vec.client.state()[0].step_count == 0


# -- resets of some lanes -------------------------------------------------------------------------------------------


def test_wrong_masks_and_seeds_change_nothing(arm: Server):
    with connect_vec(arm.address, 3) as vec:
        some = np.array([True, False, True])
        with pytest.raises(IllegalVerb, match=r"last observations of the other lanes are not known: reset\(\) all"):
            vec.reset(options={"reset_mask": some})
        vec.reset(seed=5)
        for wrong in ([True, False, True], some.astype(int), some[:2], np.zeros(3, np.bool_), None):
            with pytest.raises(InvalidArgument, match="bool") as caught:
                vec.reset(options={"reset_mask": wrong})
            assert caught.value.field == "options.reset_mask"
        for seed in ([1, 2], 0.5, ["a", "b", "c"]):
            with pytest.raises(InvalidArgument) as caught:
                vec.reset(seed=seed, options={"reset_mask": some})  # type: ignore[arg-type]
            assert caught.value.field == "seed"
        options = {"reset_mask": some, "shift": 1}
        observation, info = vec.reset(options=options)
        assert observation["joints"][:, 0].tolist() == [6, 6, 8]
        assert info["run"].tolist() == [2, 0, 2]
        assert info["_run"].tolist() == [True, False, True]
        assert set(options) == {"reset_mask", "shift"}  # the caller's own


@pytest.mark.parametrize("copy", [True, False])
def test_masked_reset_of_large_observations(atari: Server, copy: bool):
    with connect_vec(atari.address, 4, shards=2, game="breakout", copy=copy) as vec:
        vec.reset(seed=1)
        for _ in range(5):
            before = vec.step([1, 1, 1, 1])[0].copy()
            after = vec.reset(options={"reset_mask": np.array([False, True, False, False])})[0].copy()
            assert (after[[0, 2, 3]] == before[[0, 2, 3]]).all()
            assert (after[1] != before[1]).any()


def test_masked_reset_keeps_texts(echo: Server):
    with connect_vec(echo.address, 2) as vec:
        vec.reset()
        vec.step(["a", "bc"])
        observation, _ = vec.reset(options={"reset_mask": np.array([True, False])})
        assert observation["message"] == ("", "bc")
        assert observation["length"].tolist() == [0, 2]


def test_masked_reset_after_send_and_recv(arm: Server):
    with connect_vec(arm.address, 2) as vec:
        vec.async_reset()
        vec.recv()
        with pytest.raises(IllegalVerb, match=r"async_reset\(env_ids\)"):
            vec.reset(options={"reset_mask": np.array([True, False])})
        assert vec.reset(options={"reset_mask": np.array([True, True])}, seed=4)[0]["joints"][1, 1] == 5


# -- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_lanes_that_fail(arm: Server, shards: int):
    with connect_vec(arm.address, 4, shards=shards, limit=9, autoreset_mode="Disabled") as vec:
        vec.reset(seed=0)
        force = FORCE.copy()
        force[1] = -1
        with pytest.raises(EnvironmentFailed, match="too much force") as caught:
            vec.step(actions(force))
        assert set(caught.value.lane_errors) == {1}
        observation, _, _, _, info = caught.value.partial
        good = info["env_id"] != 1
        assert set(info["env_id"]) >= {0, 2, 3}
        assert observation["joints"][good].tolist() == [[0.5, 0], [2.25, 2.25], [3, 3]]
        assert info["energy"][good].tolist() == [0.5, 0.5, 0]
        observation, *_ = vec.step(actions())
        assert observation["turns"].tolist() == [2, 1, 2, 2]
        with pytest.raises(EnvironmentFailed):
            vec.step(actions(force))
        one = np.array([False, True, False, False])
        observation, _ = vec.reset(seed=7, options={"reset_mask": one})
        assert observation["turns"].tolist() == [3, 0, 3, 3]
        assert observation["joints"][:, 0].tolist() == [1.5, 8, 2.75, 3]


def test_an_ended_lane_without_autoreset(arm: Server):
    with connect_vec(arm.address, 4, limit=1, autoreset_mode=AutoresetMode.DISABLED) as vec:
        vec.reset(seed=0)
        assert vec.step(actions())[2].tolist() == [True, False, False, True]
        with pytest.raises(IllegalVerb, match="lane 0: the episode has ended"):
            vec.step(actions())


# -- making ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(gymnasium.vector.AutoresetMode))
def test_autoreset_modes_by_any_name(arm: Server, mode: gymnasium.vector.AutoresetMode):
    for name in (mode, mode.name, mode.value, AutoresetMode[mode.name]):
        with connect_vec(arm.address, 1, autoreset_mode=name) as vec:
            assert vec.metadata["autoreset_mode"].name == mode.name


def test_wrong_arguments(arm: Server):
    for arguments, field in (
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 3}, "batch_size"),
        ({"batch_size": 1.0}, "batch_size"),
        ({"autoreset_mode": "sometimes"}, "autoreset_mode"),
        ({"autoreset_mode": 1}, "autoreset_mode"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            connect_vec(arm.address, 2, **arguments)  # type: ignore[arg-type]
        assert caught.value.field == field
    processes.until(lambda: not arm.workers, what="no session is left open")


def test_more_requests_than_the_server_lets_wait(arm: Server):
    with pytest.raises(InvalidArgument, match="expected 2 or more"):
        connect_vec(arm.address, 100, shards=1, batch_size=1)
    with connect_vec(arm.address, 100, shards=1, batch_size=2) as vec:
        vec.async_reset()
        assert sorted(lane for _ in range(50) for lane in vec.recv()[4]["env_id"]) == list(range(100))


def test_made_and_closed():
    with make_vec("echo", 2, copy=False) as vec:
        assert (vec.num_envs, vec.batch_size, vec.copy, vec.closed) == (2, 2, False, False)
        assert (vec.spec, vec.render_mode) == (None, None)
        assert isinstance(vec.client, VectorEnvClient)
        vec.reset()
    assert vec.closed
    vec.close()


def test_any_vector_client_will_do(atari: Server):
    with VectorEnv(connect_columns(atari, 2), batch_size=1) as vec:
        assert vec.reset(seed=1)[0].shape == (2, 210, 160, 3)
        assert vec.client.step([0, 0]).observation.screen.shape == (2, 210, 160, 3)
    assert vec.client.closed
