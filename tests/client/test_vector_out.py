"""Observations in arrays of the caller's own, and in other libraries."""

from __future__ import annotations

import numpy as np
import pytest

from openenv_grpc import connect_vec
from openenv_grpc.errors import InvalidArgument
from tests.helpers.same import assert_same
from tests.helpers.server import Server


def test_out_is_filled_and_returned(atari: Server):
    with connect_vec(atari.address, 4, shards=2, batch_size=2) as vec, connect_vec(atari.address, 4) as other:
        mine = np.empty((4, 210, 160, 3), np.uint8)
        observation, _ = vec.reset(seed=1, out=mine)
        assert observation is mine
        assert_same(mine, other.reset(seed=1)[0])
        assert vec.step([2] * 4, out=mine)[0] is mine
        expected = other.step([2] * 4)[0]
        assert_same(mine, expected)
        vec.send([2] * 4)
        half, expected = np.empty((2, 210, 160, 3), np.uint8), other.step([2] * 4)[0]
        for _ in range(2):
            observation, *_, info = vec.recv(out=half)
            assert observation is half
            assert_same(half, expected[info["env_id"]])


def test_out_of_several_fields(arm: Server):
    with connect_vec(arm.address, 4, shards=2) as vec:
        mine = {
            "joints": np.zeros((4, 2), np.float32),
            "braked": np.zeros(4, np.bool_),
            "grip": np.zeros(4, np.int32),
            "turns": np.zeros(4, np.int64),
            "heat": np.zeros(4),
        }
        assert vec.reset(seed=1, out=mine)[0] is mine
        assert mine["joints"][:, 0].tolist() == [1, 2, 3, 4]
        mask = np.array([True, False, False, False])
        assert vec.reset(seed=8, options={"reset_mask": mask}, out=mine)[0] is mine
        assert mine["joints"][:, 0].tolist() == [8, 2, 3, 4]


def test_out_that_does_not_fit(atari: Server):
    read_only = np.empty((2, 128), np.uint8)
    read_only.flags.writeable = False
    with connect_vec(atari.address, 2, obs_type="ram") as vec:
        vec.reset(seed=1)
        for wrong, hint in (
            (np.empty((2, 128), np.int8), "int8"),
            (np.empty((3, 128), np.uint8), r"shape \(3, 128\)"),
            (read_only, "read-only"),
            ([0] * 256, "list"),
            ({"ram": np.empty((2, 128), np.uint8)}, "dict"),
        ):
            for call in (
                lambda out: vec.step([0, 0], out=out),
                lambda out: vec.reset(out=out),
                lambda out: vec.recv(out=out),
            ):
                with pytest.raises(InvalidArgument, match=hint) as caught:
                    call(wrong)
                assert caught.value.field == "out"
        assert vec.client.state()[0].step_count == 0


def test_out_that_lacks_a_field(arm: Server):
    with connect_vec(arm.address, 2) as vec:
        for wrong in (np.empty((2, 2), np.float32), {"joints": np.empty((2, 2), np.float32)}):
            with pytest.raises(InvalidArgument, match="out: expected a dict of arrays with the keys joints, braked"):
                vec.reset(out=wrong)


def test_hand_over_without_a_copy(atari: Server):
    """Observations go through DLPack and the buffer protocol; what is written into `out` is seen by all its views."""
    with connect_vec(atari.address, 2, shards=1, obs_type="ram") as vec:
        observation, _ = vec.reset(seed=1)
        assert np.shares_memory(np.frombuffer(memoryview(observation), np.uint8), observation)
        if np.lib.NumpyVersion(np.__version__) >= "2.1.0":  # the first that hands over read-only arrays
            view = np.from_dlpack(observation)
            assert np.shares_memory(view, observation)
            assert not view.flags.writeable
        mine = np.empty_like(observation)
        mine.flags.writeable = True
        view = np.from_dlpack(mine)
        vec.step([0, 0], out=mine)
        assert (view == mine).all()
        assert not (view == observation).all()
