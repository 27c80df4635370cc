"""PPO on Atari: an agent that learns to play from pixels, over `openenv_grpc.make_vec`.

    pip install '.[examples]' && python examples/ppo_atari.py --game pong --num-envs 16

Acting and emulation overlap. The lanes are spread over shards (worker processes of the environment's server), and
`recv` returns the first shard that is ready: while the policy chooses actions for one, the others play. A shard with
preprocessing is stepped all or none, so a batch is exactly one shard. While the policy learns, all of them stand still.

`SAME_STEP` autoreset makes every row a real transition: the step that ends an episode answers with the next one's first
observation, and `info["final_obs"]` has the old one's last, whose value counts if the episode was only cut off. Rewards
come as the game gives them, so returns are counted in full; the learner sees them cut to [-1, 1].
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

import openenv_grpc as oe
from openenv_grpc.client import VectorEnv
from openenv_grpc.errors import OpenEnvError
from training_log import Log, Stopwatch

OPTIONS: dict[str, tuple[Any, str]] = {
    "game": ("pong", "the game, by ALE's id"),
    "num-envs": (16, "lanes, a multiple of the shards"),
    "shards": (2, "processes that the lanes are spread over; with 1, acting and playing take turns"),
    "total-steps": (2_000_000, "steps of all lanes together, of which whole rollouts are played"),
    "rollout-length": (128, "steps of each lane between two updates"),
    "learning-rate": (2.5e-4, "at the start; it falls to 0 in a line"),
    "epochs": (4, "passes over a rollout"),
    "minibatches": (4, "parts of a pass, each one step of the optimizer"),
    "entropy-weight": (0.01, "weight of the entropy bonus"),
    "max-episode-frames": (108_000, "frames after which an episode is cut off"),
    "seed": (1, "of the policy, and of the games: lane i has this plus i"),
    "device": ("cpu", "where torch computes: cpu, cuda, …"),
    "provider": ("local", "where the environments run"),
    "output": ("rollouts/ppo", "directory for progress.csv and curve.png"),
}
GAMMA, GAE_LAMBDA, CLIP, VALUE_WEIGHT, MAX_GRADIENT = 0.99, 0.95, 0.1, 0.5, 0.5


class Agent(nn.Module):
    """The convolutional network of DQN (Mnih et al., 2015), with a head for the policy and one for the value."""

    def __init__(self, actions: int) -> None:
        """Orthogonal weights; those of the policy's head are small, so that it begins nearly uniform."""
        super().__init__()
        hidden, self.policy, self.value = nn.Linear(64 * 7 * 7, 512), nn.Linear(512, actions), nn.Linear(512, 1)
        layers: list[Any] = [nn.Conv2d(4, 32, 8, stride=4), nn.Conv2d(32, 64, 4, stride=2), nn.Conv2d(64, 64, 3)]
        first, second, third = layers
        layers += [hidden, self.policy, self.value]
        for layer, gain in zip(layers, [math.sqrt(2)] * 4 + [0.01, 1.0], strict=True):
            nn.init.orthogonal_(layer.weight, gain)
            nn.init.zeros_(layer.bias)
        relu = nn.ReLU()
        self.body = nn.Sequential(first, relu, second, relu, third, relu, nn.Flatten(), hidden, relu)

    def forward(self, screens: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities float32 (B, actions) and values float32 (B,) of screens uint8 (B, 4, 84, 84)."""
        features = self.body(screens.float() / 255)
        return self.policy(features).log_softmax(-1), self.value(features).squeeze(-1)


class Rollout:
    """T steps of N lanes, allocated once, on the CPU.

    `screens` uint8 (T + 1, N, 4, 84, 84) and `values` float32 (T + 1, N) also have the observation after the last step.
    The rest is (T, N): `returns` float64 is NaN but where an episode ended.
    """

    def __init__(self, length: int, lanes: int) -> None:
        """All zero."""
        shape = length, lanes
        self.screens = torch.zeros((length + 1, lanes, 4, 84, 84), dtype=torch.uint8)
        self.values = torch.zeros((length + 1, lanes))
        self.actions = torch.zeros(shape, dtype=torch.int64)
        self.ended = torch.zeros(shape, dtype=torch.bool)
        self.returns = torch.zeros(shape, dtype=torch.float64)
        self.log_probabilities, self.rewards, self.final_values = (torch.zeros(shape) for _ in range(3))

    def advantages(self, gamma: float, gae_lambda: float) -> Tensor:
        """Generalised advantage estimation (Schulman et al., 2016): float32 (T, N).

        What follows a step that ended its episode is no consequence of it: there the value of what follows is
        `final_values` instead (of the last observation where the episode was cut off, 0 where it terminated), and
        nothing is carried back over it.
        """
        following_values = torch.where(self.ended, self.final_values, self.values[1:])
        errors = self.rewards + gamma * following_values - self.values[:-1]
        advantages, following = torch.zeros_like(errors), torch.zeros_like(errors[0])
        for step in reversed(range(len(errors))):
            following = advantages[step] = errors[step] + gamma * gae_lambda * ~self.ended[step] * following
        return advantages


class Player:
    """Acts in all lanes of `vec`, whose batches are whole shards, and fills its `rollout` again and again."""

    def __init__(self, vec: VectorEnv, agent: Agent, options: argparse.Namespace) -> None:
        """Begin an episode in each lane; the stopwatch starts when all of them have begun."""
        self._vec, self._agent, self._device = vec, agent, options.device
        self.rollout = Rollout(options.rollout_length, vec.num_envs)
        self._returns = torch.zeros(vec.num_envs, dtype=torch.float64)
        self._shards = [slice(low, low + vec.batch_size) for low in range(0, vec.num_envs, vec.batch_size)]
        vec.async_reset(seed=options.seed)
        for _ in self._shards:
            screens, *_, info = vec.recv()
            self._keep(screens, -1, self._shards[self._shard_of(info)])
        self.watch = Stopwatch()

    def play(self) -> list[float]:
        """Fill the rollout, acting with the agent as it is now; the returns of episodes that ended, in order."""
        rollout, steps = self.rollout, [0] * len(self._shards)
        rollout.screens[0] = rollout.screens[-1]
        # Drawn for the whole rollout, so that a seed plays the same games whichever shard is quicker.
        self._noise = torch.empty((*rollout.actions.shape, self._agent.policy.out_features)).exponential_()
        for lanes in self._shards:
            self._act(0, lanes)
        for _ in range(len(rollout.actions) * len(self._shards)):
            with self.watch("waiting"):
                screens, reward, terminated, truncated, info = self._vec.recv()
            shard = self._shard_of(info)
            step, lanes, steps[shard] = steps[shard], self._shards[shard], steps[shard] + 1
            self._keep(screens, step + 1, lanes)
            self._score(step, lanes, reward, terminated | truncated)
            self._look_beyond(step, lanes, truncated & ~terminated, info)
            self._act(step + 1, lanes)
        return [float(value) for value in rollout.returns[~rollout.returns.isnan()]]

    def _shard_of(self, info: dict[str, Any]) -> int:
        return int(info["env_id"][0]) // self._vec.batch_size

    def _keep(self, screens: NDArray[np.uint8], step: int, lanes: slice) -> None:
        """Copy an answer's screens uint8 (B, 4, 84, 84) to where learning needs them: the only copy on this side.

        They are a read-only view of memory that the worker writes again (`copy=False`). `torch.from_numpy` warns of
        such arrays, as a tensor could be written to; so it is numpy that copies, into a view of the tensor.
        """
        np.copyto(self.rollout.screens[step, lanes].numpy(), screens)

    def _score(self, step: int, lanes: slice, reward: NDArray[np.float64], ended: NDArray[np.bool_]) -> None:
        """Keep a step's rewards (B,), cut for learning and in full for returns, and whether it ended episodes."""
        self.rollout.rewards[step, lanes] = torch.from_numpy(reward).clamp(-1, 1).float()
        self.rollout.ended[step, lanes] = over = torch.from_numpy(ended)
        so_far = self._returns[lanes].add_(torch.from_numpy(reward))
        self.rollout.returns[step, lanes] = so_far.where(over, torch.nan)
        so_far[over] = 0

    def _look_beyond(self, step: int, lanes: slice, cut_off: NDArray[np.bool_], info: dict[str, Any]) -> None:
        """Where an episode was cut off, bool (B,), keep the value of its last observation."""
        final_values = self.rollout.final_values[step, lanes].zero_()
        if cut_off.any():
            with self.watch("acting"), torch.no_grad():
                screens = torch.from_numpy(np.stack(info["final_obs"][cut_off]))
                final_values[torch.from_numpy(cut_off)] = self._agent(screens.to(self._device))[1].cpu()

    def _act(self, step: int, lanes: slice) -> None:
        """Value the lanes' observations and, unless the rollout is full, choose and send actions."""
        rollout = self.rollout
        with self.watch("acting"), torch.no_grad():
            log_probabilities, values = self._agent(rollout.screens[step, lanes].to(self._device))
            rollout.values[step, lanes] = values.cpu()
            if step == len(rollout.actions):
                return
            # Exponential noise divides probabilities: the largest quotient is a sample of the policy.
            log_probabilities = log_probabilities.cpu()
            actions = (log_probabilities.exp() / self._noise[step, lanes]).argmax(-1)
            rollout.actions[step, lanes] = actions
            rollout.log_probabilities[step, lanes] = log_probabilities.gather(-1, actions[:, None]).squeeze(-1)
        with self.watch("sending"):
            self._vec.send(actions.numpy(), np.arange(lanes.start, lanes.stop))


def learn(agent: Agent, optimizer: Any, rollout: Rollout, options: argparse.Namespace) -> dict[str, float]:
    """Update the agent with a rollout: PPO's clipped objective (Schulman et al., 2017), value loss, entropy bonus.

    Returns:
        Means over all minibatches of the two losses, the entropy, and `kl`, how far the policy has moved.
    """
    advantages = rollout.advantages(GAMMA, GAE_LAMBDA)
    columns = rollout.screens[:-1], rollout.actions, rollout.log_probabilities, advantages, rollout.values[:-1]
    rows = [column.flatten(0, 1).to(options.device) for column in columns]
    means: dict[str, float] = defaultdict(float)
    for _ in range(options.epochs):
        for chosen in torch.randperm(len(rows[0])).tensor_split(options.minibatches):
            screens, actions, old, advantage, value = (row[chosen.to(options.device)] for row in rows)
            log_probabilities, values = agent(screens)
            change = log_probabilities.gather(-1, actions[:, None]).squeeze(-1) - old
            ratio = change.exp()
            scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
            policy_loss = -torch.min(scaled * ratio, scaled * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
            value_loss = 0.5 * (values - (value + advantage)).square().mean()
            entropy = -(log_probabilities.exp() * log_probabilities).sum(-1).mean()
            optimizer.zero_grad()
            (policy_loss + VALUE_WEIGHT * value_loss - options.entropy_weight * entropy).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), MAX_GRADIENT)
            optimizer.step()
            found = policy_loss, value_loss, entropy, (ratio - 1 - change).mean()
            for name, mean in zip(("policy_loss", "value_loss", "entropy", "kl"), found, strict=True):
                means[name] += float(mean.detach()) / (options.epochs * options.minibatches)
    return means


def open_games(options: argparse.Namespace) -> VectorEnv:
    """The environments; closing them ends the server that was started for them."""
    return oe.make_vec(
        "atari",
        options.num_envs,
        provider=options.provider,
        shards=options.shards,
        batch_size=options.num_envs // options.shards,
        autoreset_mode="SAME_STEP",
        copy=False,
        game=options.game,
        preprocessing=True,
        reward_clipping=False,
        max_episode_frames=options.max_episode_frames,
    )


def train(vec: VectorEnv, options: argparse.Namespace, log: Log, progress: Progress) -> None:
    """Play and learn in turns."""
    torch.manual_seed(options.seed)
    agent = Agent(int(vec.single_action_space.n)).to(options.device)
    optimizer = torch.optim.Adam(agent.parameters(), options.learning_rate, eps=1e-5)
    player = Player(vec, agent, options)
    updates = options.total_steps // player.rollout.actions.numel()
    task = progress.add_task("the first rollout", total=updates)
    for update in range(1, updates + 1):
        optimizer.param_groups[0]["lr"] = options.learning_rate * (1 - (update - 1) / updates)
        returns = player.play()
        with player.watch("learning"):
            losses = learn(agent, optimizer, player.rollout, options)
        line = log.add(update * player.rollout.actions.numel(), returns, player.watch.read(), losses)
        progress.update(task, advance=1, description=line)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line's options; what cannot be is said and ends the program."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for name, (default, text) in OPTIONS.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=text)
    options = parser.parse_args(arguments)
    for name, value in vars(options).items():
        least = 1 if isinstance(value, int) and name != "seed" else 0
        if not isinstance(value, str) and not value >= least:
            parser.error(f"--{name.replace('_', '-')} must be at least {least}")
    rows = options.num_envs * options.rollout_length
    if options.num_envs % options.shards:
        parser.error("--num-envs must be a multiple of --shards")
    if options.total_steps < rows:
        parser.error(f"--total-steps must be at least one rollout of all lanes, {rows}")
    if rows < 2 * options.minibatches:
        parser.error("--minibatches is too many: each needs 2 steps, as advantages are normalised within it")
    try:
        torch.zeros(1, device=options.device)
    except (AssertionError, RuntimeError) as error:
        parser.error(f"--device {options.device}: {str(error).splitlines()[0]}")
    return options


def main() -> None:
    """Train, and report what there is however it ends."""
    options = parse()
    console = Console(soft_wrap=True, highlight=False)
    try:
        log = Log(Path(options.output))
    except OSError as error:
        sys.exit(f"ppo_atari: {error}")
    columns = BarColumn(bar_width=20), TextColumn("{task.description}"), TimeRemainingColumn()
    try:
        with Progress(*columns, console=console) as progress, open_games(options) as vec:
            train(vec, options, log, progress)
    except OpenEnvError as error:
        sys.exit(f"ppo_atari: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if log.rows:
            title = f"PPO on {options.game}, {options.num_envs} lanes, seed {options.seed}"
            console.print(log.close(title), markup=False)


if __name__ == "__main__":
    main()
