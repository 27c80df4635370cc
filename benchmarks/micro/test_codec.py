"""The codec: columns and frames of several sizes and dtypes, written and read."""

from __future__ import annotations

import numpy as np
import pytest

from openenv_grpc.codec import frame as frames
from openenv_grpc.codec.columns import ColumnLayout
from openenv_grpc.specs import ArraySpec
from openenv_grpc.v1 import session_pb2

LIMIT = 64 << 20
SIZES = {"128": (128,), "100k": (210, 160, 3), "3M": (32, 210, 160, 3)}
DTYPES = ("uint8", "float32", "bool")


@pytest.fixture(params=[(dtype, name) for dtype in DTYPES for name in SIZES], ids=lambda each: "-".join(each))
def column(request):
    dtype, name = request.param
    shape = SIZES[name]
    layout = ColumnLayout({"pixels": ArraySpec(dtype, shape)})
    return layout, {"pixels": np.ones((1, *shape), dtype)}


def test_columns_encode(benchmark, column):
    layout, columns = column
    assert len(benchmark(layout.join, columns, 1)) == columns["pixels"].nbytes


def test_columns_decode(benchmark, column):
    layout, columns = column
    payload = layout.join(columns, 1)
    assert (benchmark(layout.read, payload, 0, len(payload), 1)["pixels"] == columns["pixels"]).all()


@pytest.fixture(params=[0, 128, 100_800, 3_225_600])
def payload(request):
    return bytes(request.param)


def test_frame_encode(benchmark, payload):
    message = session_pb2.SessionResponse(seq=1, step={})
    assert benchmark(frames.encode, message, payload).endswith(payload)


def test_frame_decode(benchmark, payload):
    data = frames.encode(session_pb2.SessionResponse(seq=7, step={}), payload)
    found = benchmark(frames.decode, data, session_pb2.SessionResponse, LIMIT)
    assert (found.header.seq, found.size) == (7, len(payload))
