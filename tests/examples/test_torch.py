"""Observations in torch: whose memory they share, and that nothing in it can be written by mistake."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import openenv_grpc as oe

torch: Any = pytest.importorskip("torch")


def test_arrays_of_ones_own_are_shared():
    with oe.make_vec("atari", num_envs=2, game="pong") as vec:
        out = np.empty((2, 210, 160, 3), np.uint8)
        vec.reset(seed=1, out=out)
        for share in (torch.from_numpy, torch.from_dlpack):
            tensor = share(out)
            assert tensor.data_ptr() == out.ctypes.data
            before = tensor.clone()
            for _ in range(20):
                vec.step(np.array([2, 3]), out=out)
            assert not torch.equal(tensor, before)
            assert np.array_equal(tensor.numpy(), out)


def test_observations_in_shared_memory_go_over_without_a_copy_and_a_copy_is_ones_own():
    with oe.make_vec("atari", num_envs=2, game="pong", copy=False) as vec:
        assert vec.client.transport == "local"
        screen, _ = vec.reset(seed=1)
        assert np.from_dlpack(screen).ctypes.data == screen.ctypes.data
        with pytest.warns(UserWarning, match="not writable"):
            shared = torch.from_numpy(screen)
        assert shared.data_ptr() == screen.ctypes.data
        own = torch.tensor(screen)
        own += 1
        assert not np.array_equal(own.numpy(), screen)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            torch.from_numpy(screen.copy())
