"""The pytest suite that an environment's author inherits."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from openenv_grpc.testing.case import ALL, Case, Face
from openenv_grpc.testing.launch import check_target
from openenv_grpc.testing.runner import FAILED, SKIPPED, run_case, select
from openenv_grpc.testing.target import TIMEOUT_S, Hints, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ConformanceSuite:
    """Runs every conformance case as a test of its own, against a server that is started for the class.

    A subclass names its environment, and may say what the cases cannot find out; see `Hints` for the latter.

        class TestChess(ConformanceSuite):
            environment = "chess"

    Attributes:
        environment: An installed environment, or `module:Class`.
        address: A server that runs already, to use instead.
        token: What that server asks of its clients, if it does.
        options: Construction options of every session.
        faces: Faces to run the cases on.
        timeout_s: Seconds that one case may take.
    """

    environment: ClassVar[str | None] = None
    address: ClassVar[str | None] = None
    token: ClassVar[str | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    faces: ClassVar[tuple[Face, ...]] = ALL
    timeout_s: ClassVar[float] = TIMEOUT_S
    actions: ClassVar[Sequence[Mapping[str, Any]]] = ()
    ending_action: ClassVar[Mapping[str, Any] | None] = None
    truncating_action: ClassVar[Mapping[str, Any] | None] = None
    slow_action: ClassVar[Mapping[str, Any] | None] = None
    failing_action: ClassVar[Mapping[str, Any] | None] = None
    stochastic: ClassVar[bool | None] = None
    _target: ClassVar[Target]
    _resources: ClassVar[ExitStack]

    @classmethod
    def setup_class(cls) -> None:
        """Find or start the server."""
        hints = Hints(**{item.name: getattr(cls, item.name) for item in dataclasses.fields(Hints)})
        with ExitStack() as stack:
            cls._target = stack.enter_context(
                check_target(cls.environment, cls.address, cls.options, hints, cls.timeout_s, cls.token)
            )
            cls._resources = stack.pop_all()

    @classmethod
    def teardown_class(cls) -> None:
        """End it."""
        cls._resources.close()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test per case and face."""
        if "conformance" in metafunc.fixturenames:
            chosen = select(faces=self.faces)
            ids = [f"{case.name}-{face.value}" for case, face in chosen]
            metafunc.parametrize("conformance", chosen, ids=ids)

    def test_conformance(self, conformance: tuple[Case, Face]) -> None:
        """Run one case on one face."""
        import pytest

        result = run_case(self._target, *conformance)
        if result.status == SKIPPED:
            pytest.skip(result.message)
        if result.status == FAILED:
            pytest.fail(f"{result.case.rule}\nexpected: {result.expected}\ngot:      {result.got}", pytrace=False)
