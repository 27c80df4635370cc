"""OpenEnv's own client: `python -m benchmarks.players.openenv ADDRESS rgb websocket` (or `http`).

Runs in OpenEnv's virtual environment. Over HTTP there is no client class and no session: the server builds the
environment for each request, so a step is the first one of a fresh game.
"""

from __future__ import annotations

import sys
from typing import Any

import requests

from benchmarks.peers import openenv_environments as environments
from benchmarks.player import WORLDS, echo_message, echo_outcome, outcome, random_actions, run


class WebSocketPlayer:
    """A player: the sync client in lock step."""

    def __init__(self, address: str, world: str) -> None:
        """Connect."""
        self._world = world
        kind = environments.EchoClient if world == "echo" else environments.AtariClient
        self._client = self._connect(kind, address)
        self._actions = random_actions(WORLDS[world])
        self.reset()

    def _connect(self, kind: Any, address: str) -> Any:
        return kind(base_url=f"http://{address}").sync().connect()

    def reset(self, **options: Any) -> Any:
        """Begin an episode."""
        return self._client.reset(**options)

    def act(self, action: int) -> Any:
        """Take an action."""
        if self._world == "echo":
            return self._client.step(environments.EchoAction(message=echo_message(action)))
        return self._client.step(environments.AtariAction(action_id=action, obs_type=self._world))

    def _see(self, result: Any) -> str:
        seen, end = result.observation, (result.reward, result.done)
        if self._world == "echo":
            return echo_outcome(seen.message, seen.message_length, *end)
        return outcome(bytes(seen.screen), *end)

    def play(self, seeds: list[int], actions: list[list[int]]) -> list[list[str]]:
        """See `Player`."""
        return [
            [self._see(self.reset(seed=seed)), *(self._see(self.act(action)) for action in each)]
            for seed, each in zip(seeds, actions, strict=True)
        ]

    def step(self) -> int:
        """See `Player`."""
        if self.act(next(self._actions)).done:
            self.reset()
        return 1

    def close(self) -> None:
        """See `Player`."""
        self._client.close()


class HttpPlayer(WebSocketPlayer):
    """A player: a POST per step, on one connection that is kept."""

    def _connect(self, kind: Any, address: str) -> Any:
        self._url = f"http://{address}"
        self._http = requests.Session()
        self._http.trust_env = False
        return kind(base_url=self._url)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        answer = self._http.post(self._url + path, json=body, timeout=30)
        answer.raise_for_status()
        return self._client._parse_result(answer.json())

    def reset(self, **options: Any) -> Any:
        """Begin an episode."""
        return self._post("/reset", options)

    def act(self, action: int) -> Any:
        """Take an action in a fresh environment."""
        model = (
            environments.EchoAction(message=echo_message(action))
            if self._world == "echo"
            else environments.AtariAction(action_id=action, obs_type=self._world)
        )
        return self._post("/step", {"action": self._client._step_payload(model)})

    def close(self) -> None:
        """See `Player`."""
        self._http.close()


if __name__ == "__main__":
    PLAYER = HttpPlayer if sys.argv[3] == "http" else WebSocketPlayer
    run(lambda address: PLAYER(address, sys.argv[2]), sys.argv[1], ("openenv", "uvicorn", "websockets", "fastapi"))
