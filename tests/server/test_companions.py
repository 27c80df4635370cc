"""The standard services beside ours: health and reflection; and what Describe says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from openenv_grpc.specs import PROTOCOL_REVISION
from tests.helpers import processes
from tests.helpers.packages import BARE, PROBE
from tests.helpers.server import Server, running
from tests.helpers.stream import Unary

SERVICE = "openenv_grpc.v1.EnvironmentService"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running(PROBE, "--option=joints=3", tcp=True, sessions=7, lanes=5) as found:
        yield found


@pytest.fixture
def channel(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.address) as found:
        yield found


@pytest.mark.parametrize("service", ["", SERVICE])
def test_health_is_the_standard_one(channel: Any, service: str):
    stub = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_another_service_is_not_known(channel: Any):
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="other"), timeout=5)


@pytest.mark.exhaustive
def test_health_can_be_watched_until_the_server_drains():
    with running(BARE) as server, grpc.insecure_channel(server.address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=20)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.process.terminate()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.wait() == 0


def ask(channel: Any, **request: Any) -> Any:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**request)]), timeout=5)
    return next(call)


def test_reflection_lists_the_services(channel: Any):
    answer = ask(channel, list_services="")
    assert {service.name for service in answer.list_services_response.service} == {
        SERVICE,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_reflection_describes_every_method(channel: Any):
    answer = ask(channel, file_containing_symbol=SERVICE)
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(f) for f in answer.file_descriptor_response.file_descriptor_proto
    ]
    (file,) = [file for file in files if file.name == "openenv_grpc/v1/environment.proto"]
    assert [method.name for method in file.service[0].method][:2] == ["Describe", "Session"]


def test_reflection_can_be_turned_off():
    with running(BARE, "--no-reflection") as server, grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
            ask(channel, list_services="")
        assert health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1


def test_describe_says_everything(server: Server):
    with Unary(server.address) as unary:
        answer = unary("Describe")
    assert answer.protocol_revision == PROTOCOL_REVISION
    assert (answer.limits.sessions, answer.limits.lanes, answer.limits.chunk) == (7, 5, 256)
    assert answer.isolation_tier == 1
    environment = answer.environment
    assert environment.name == "ProbeEnvironment"
    assert environment.action_message == "openenv_probe.v1.ProbeAction"
    assert environment.capabilities.seeds
    assert not environment.capabilities.snapshot
    assert [option.name for option in environment.options] == ["joints", "construct", "note"]
    assert environment.options[0].default.integer == 2
    force = next(column for column in environment.session.action if column.name == "force")
    assert (list(force.shape), force.low, force.high) == ([3], -1, 1)  # the server's own option
    files = descriptor_pb2.FileDescriptorSet.FromString(environment.descriptor_set)
    assert "openenv_probe/v1/probe.proto" in [file.name for file in files.file]
    assert len(environment.spec_hash) == 64


@pytest.mark.parametrize(
    ("environment", "options", "reason", "message"),
    [
        (
            "tests.environments_for_tests.probe:UnbuildableEnvironment",
            [],
            "ENVIRONMENT_FAILED",
            "the engine is missing",
        ),
        ("tests.environments_for_tests.broken:Environment", [], "ENVIRONMENT_FAILED", "the licence has expired"),
        ("tests.environments_for_tests.nowhere:Environment", [], "ENVIRONMENT_FAILED", "nowhere"),
        ("tests.environments_for_tests.probe:Nothing", [], "ENVIRONMENT_FAILED", "Nothing"),
        ("tests.environments_for_tests.probe:blank", [], "ENVIRONMENT_FAILED", "not a subclass"),
        (PROBE, ["--option=joint=2"], "INVALID_ARGUMENT", "joints"),
        (PROBE, ["--option=joints=two"], "INVALID_ARGUMENT", "joints"),
        (PROBE, ["--option=construct=exit:5"], "ENVIRONMENT_CRASHED", "exited with code 5"),
        ("tests.environments_for_tests.quits:Environment", [], "SERVER_UNAVAILABLE", "died"),
    ],
)
def test_an_environment_that_cannot_be_served_says_why(environment: str, options: list[str], reason: str, message: str):
    with running(environment, *options) as server, Unary(server.address) as unary:
        assert unary.health() == "NOT_SERVING"
        assert unary.health(SERVICE) == "NOT_SERVING"
        found = unary.refused("Describe")
        assert found.reason == reason
        assert message in found.message
        assert message in server.text
        assert unary.refused("Open").reason == reason
        assert server.stop() == 0
        processes.until(lambda: not server.socket.exists())
