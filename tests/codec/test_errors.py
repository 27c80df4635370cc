"""A status from a peer becomes an error that is safe to act on."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from openenv_grpc.errors import MAX_DELAY_S, ServerFull, from_status, to_status


@pytest.mark.parametrize(
    ("seconds", "nanos", "expected"),
    [(2, 500_000_000, 2.5), (-5, 0, 0.0), (0, -1, 0.0), (10**11, 0, MAX_DELAY_S), (-(2**63), -(2**31), 0.0)],
)
def test_a_delay_is_one_that_can_be_slept(seconds: int, nanos: int, expected: float):
    status = to_status(ServerFull("full"))
    delay = error_details_pb2.RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos))
    status.details.add().Pack(delay)
    assert from_status(status).retry_after_s == expected
