"""Environments whose lanes are stepped together: the tests' others, behind a batch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from openenv_bare import BareAction, BareObservation

from openenv_grpc.codec.scalars import to_enum
from openenv_grpc.codec.schema import Kind
from openenv_grpc.environment import Batch, BatchResult, Environment, StepResult
from openenv_grpc.specs import ArraySpec, AutoresetMode
from openenv_grpc.worker.describe import records_of, session_spec
from tests.environments_for_tests.bare import BareEnvironment
from tests.environments_for_tests.probe import ProbeEnvironment


class Together(Batch[Any]):
    """Single environments in a row, whose results are stacked; destinations are filled where there are any."""

    partial_steps = True

    def __init__(self, cls: type[Environment[Any, Any, Any]], lanes: int, mode: AutoresetMode, options: Any) -> None:
        self.environments = [cls(**options) for _ in range(lanes)]
        self.mode, self.over, self.closed, self.calls = mode, [False] * lanes, 0, 0
        self.records = records_of(cls)
        self.specs = session_spec(self.records, self.environments[0]).observation

    def action_spec(self) -> Mapping[str, ArraySpec]:
        return self.environments[0].action_spec()

    def observation_spec(self) -> Mapping[str, ArraySpec]:
        return self.environments[0].observation_spec()

    def reset(self, lanes: Sequence[int], *, seeds: Sequence[int | None], options: Mapping[str, Any]) -> BatchResult:
        results = [
            self.environments[lane].reset(seed=seed, options=options) for lane, seed in zip(lanes, seeds, strict=True)
        ]
        for lane, result in zip(lanes, results, strict=True):
            self.over[lane] = result.done
        return BatchResult(self.columns(results, self.out), info=infos(results))

    def step(self, lanes: Sequence[int], actions: Mapping[str, Any]) -> BatchResult:
        self.calls += 1
        results, finals = [], []
        for row, lane in enumerate(lanes):
            environment, again = self.environments[lane], self.over[lane]
            result = environment.reset(seed=None, options={}) if again else environment.step(self.action(actions, row))
            self.over[lane] = result.done and self.mode is not AutoresetMode.SAME_STEP
            if result.done and self.mode is AutoresetMode.SAME_STEP:
                finals.append((lane, result))
                fresh = environment.reset(seed=None, options={})
                ends = result.reward, result.terminated, result.truncated
                result = StepResult(fresh.observation, *ends, fresh.info)
            results.append(result)
        last = [result for _, result in finals]
        return BatchResult(
            self.columns(results, self.out),
            np.array([result.reward for result in results]),
            np.array([result.terminated for result in results]),
            np.array([result.truncated for result in results]),
            infos(results),
            [lane for lane, _ in finals],
            self.columns(last, {}),
            infos(last),
        )

    def state(self, lane: int) -> Any:
        return self.environments[lane].state()

    def save(self, lane: int) -> bytes:
        return bytes([self.over[lane]]) + self.environments[lane].save()  # type: ignore[attr-defined]

    def load(self, lane: int, data: bytes) -> None:
        self.over[lane] = bool(data[0])
        self.environments[lane].load(data[1:])  # type: ignore[attr-defined]

    def close(self) -> None:
        self.closed += 1

    def action(self, actions: Mapping[str, Any], row: int) -> Any:
        found: dict[str, Any] = {}
        for field in self.records.action.fields:
            value = actions[field.name][row]
            value = value.item() if isinstance(value, np.generic) else value
            if field.kind is Kind.ENUM and field.column:
                value = to_enum(self.records.enums[str(field.type_name)], value)
            found[field.attr] = value
        return self.records.classes[self.records.action.full_name](**found)

    def columns(self, results: Sequence[StepResult[Any]], out: Mapping[str, Any]) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for field in self.records.observation.fields:
            values = [getattr(result.observation, field.attr) for result in results]
            spec = self.specs.get(field.name)
            columns[field.name] = values
            if spec is not None:
                stacked = np.array(values, spec.dtype).reshape(len(values), *spec.shape)
                columns[field.name] = out.get(field.name, stacked)
                columns[field.name][...] = stacked
        return columns


def infos(results: Sequence[StepResult[Any]]) -> dict[str, Any]:
    """Columns of infos, with a mask where some rows lack a key."""
    columns: dict[str, Any] = {}
    for key in {key: None for result in results for key in result.info}:
        mask = np.array([key in result.info for result in results])
        values = [result.info.get(key) for result in results]
        kinds = {type(result.info[key]) for result in results if key in result.info}
        if len(kinds) == 1 and kinds <= {int, float, bool}:
            (kind,) = kinds
            values = np.array([kind(0) if value is None else value for value in values])
        columns |= {key: values} | ({} if mask.all() else {f"_{key}": mask})
    return columns


class BatchedBareEnvironment(BareEnvironment):
    """Bare, batched. A move of 9 raises and one of -9 takes 0.4 seconds, whichever way it is stepped."""

    batches: ClassVar[list[Together]] = []
    kind: ClassVar[type[Together]] = Together

    def step(self, action: BareAction) -> StepResult[BareObservation]:
        if action.move == 9:
            message = "as told"
            raise RuntimeError(message)
        if action.move == -9:
            time.sleep(0.4)
        return super().step(action)

    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]) -> Together | None:
        cls.batches[:] = [cls.kind(cls, lanes, autoreset_mode, options)]
        return cls.batches[0]


class AllOrNone(Together):
    """Cannot step some of its lanes."""

    partial_steps = False


class AllOrNoneEnvironment(BatchedBareEnvironment):
    """Bare, in a batch that cannot step some of its lanes, except where autoreset is off."""

    kind = AllOrNone

    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]) -> Together | None:
        return None if autoreset_mode is AutoresetMode.DISABLED else super().batch(lanes, autoreset_mode, options)


class AlwaysAllOrNoneEnvironment(BatchedBareEnvironment):
    """Bare, in a batch that cannot step some of its lanes, in every autoreset mode."""

    kind = AllOrNone


class BatchedProbeEnvironment(ProbeEnvironment):
    """Every kind of field, batched."""

    @classmethod
    def batch(cls, lanes: int, autoreset_mode: AutoresetMode, options: Mapping[str, Any]) -> Together:
        return Together(cls, lanes, autoreset_mode, options)
