"""Atari and echo written to the API of OpenEnv 0.10, as its own environments are: models, environments, clients.

Runs in OpenEnv's virtual environment. What upstream's Atari environment does is kept: the screen as a flat list of
numbers, the shape beside it, the list of legal actions, metadata with the actions' names, pydantic on both sides. What
is added: a seed, so that observations can be compared, and episodes that end as Gymnasium's do.
"""

from __future__ import annotations

import uuid
from typing import Any

from ale_py import ALEInterface, LoggerMode, roms
from openenv.core.client_types import StepResult
from openenv.core.env_client import EnvClient
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State

GAME = "pong"
FRAMESKIP = 4
DEFAULT_SEED = 5
"""Of an environment that is never reset, which is what each HTTP request gets."""


class AtariAction(Action):
    """Index of an action, and what upstream's action repeats with every step."""

    action_id: int
    game_name: str = GAME
    obs_type: str = "rgb"
    full_action_space: bool = False


class AtariObservation(Observation):
    """A screen, or memory, as a list of numbers."""

    screen: list[int]
    screen_shape: list[int]
    legal_actions: list[int]
    lives: int = 0
    episode_frame_number: int = 0
    frame_number: int = 0


class AtariEnvironment(Environment):
    """Pong."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, obs_type: str = "rgb") -> None:
        """Load the game."""
        super().__init__()
        ALEInterface.setLoggerMode(LoggerMode.Error)
        self._obs_type = obs_type
        self._ale = ALEInterface()
        self._ale.setFloat("repeat_action_probability", 0.25)
        self._ale.setInt("max_num_frames_per_episode", 108_000)
        self._load(DEFAULT_SEED)
        self._actions = self._ale.getMinimalActionSet()
        rgb = obs_type == "rgb"
        self._shape = [*self._ale.getScreenDims(), 3] if rgb else [self._ale.getRAMSize()]
        self._state = State(episode_id=str(uuid.uuid4()), step_count=0)

    def _load(self, seed: int) -> None:
        self._ale.setInt("random_seed", seed)
        self._ale.loadROM(roms.get_rom_path(GAME))
        self._ale.reset_game()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **_: Any) -> AtariObservation:
        """Begin an episode."""
        if seed is None:
            self._ale.reset_game()
        else:
            self._load(seed)
        self._state = State(episode_id=episode_id or str(uuid.uuid4()), step_count=0)
        return self._observe(0.0)

    def step(self, action: Action, timeout_s: float | None = None, **_: Any) -> AtariObservation:
        """Hold an action for four frames."""
        assert isinstance(action, AtariAction)
        reward = 0.0
        for _frame in range(FRAMESKIP):
            reward += self._ale.act(self._actions[action.action_id])
        self._state.step_count += 1
        return self._observe(reward)

    def _observe(self, reward: float) -> AtariObservation:
        seen = self._ale.getScreenRGB() if self._obs_type == "rgb" else self._ale.getRAM()
        return AtariObservation(
            screen=seen.flatten().tolist(),
            screen_shape=self._shape,
            legal_actions=list(range(len(self._actions))),
            lives=self._ale.lives(),
            episode_frame_number=self._ale.getEpisodeFrameNumber(),
            frame_number=self._ale.getFrameNumber(),
            done=self._ale.game_over(),
            reward=reward,
            metadata={"game_name": GAME, "action_meanings": [str(action) for action in self._actions]},
        )

    @property
    def state(self) -> State:
        """The episode."""
        return self._state


class AtariClient(EnvClient[AtariAction, AtariObservation, State]):
    """Upstream's client: JSON into models."""

    def _step_payload(self, action: AtariAction) -> dict[str, Any]:
        return action.model_dump(exclude={"metadata"})

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[AtariObservation]:
        seen = AtariObservation(**payload["observation"], reward=payload["reward"], done=payload["done"])
        return StepResult(observation=seen, reward=payload["reward"], done=payload["done"])

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(**payload)


class EchoAction(Action):
    """What to say."""

    message: str


class EchoObservation(Observation):
    """What was said."""

    message: str
    message_length: int


class EchoEnvironment(Environment):
    """Says back what it is told."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._state = State(episode_id=str(uuid.uuid4()), step_count=0)

    def reset(self, seed: int | None = None, episode_id: str | None = None, **_: Any) -> EchoObservation:
        """Begin an episode."""
        self._state = State(episode_id=episode_id or str(uuid.uuid4()), step_count=0)
        return EchoObservation(message="", message_length=0, reward=0.0)

    def step(self, action: Action, timeout_s: float | None = None, **_: Any) -> EchoObservation:
        """Say it back."""
        assert isinstance(action, EchoAction)
        self._state.step_count += 1
        length = len(action.message)
        return EchoObservation(message=action.message, message_length=length, reward=0.1 * length)

    @property
    def state(self) -> State:
        """The episode."""
        return self._state


class EchoClient(EnvClient[EchoAction, EchoObservation, State]):
    """Upstream's client: JSON into models."""

    def _step_payload(self, action: EchoAction) -> dict[str, Any]:
        return {"message": action.message}

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[EchoObservation]:
        seen = EchoObservation(**payload["observation"], reward=payload["reward"], done=payload["done"])
        return StepResult(observation=seen, reward=payload["reward"], done=payload["done"])

    def _parse_state(self, payload: dict[str, Any]) -> State:
        return State(**payload)
