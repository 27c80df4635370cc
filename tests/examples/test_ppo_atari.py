"""The PPO example: a run of a few updates, its advantages against a slow reference, its rollouts against lock step."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

reason = "needs torch and matplotlib: scripts/test --examples runs it"
torch = pytest.importorskip("torch", reason=reason)
pytest.importorskip("matplotlib", reason=reason)

import ppo_atari as ppo  # noqa: E402  it needs both

ROOT = Path(__file__).parents[2]
LANES, LENGTH = 4, 24
TINY = [f"--num-envs={LANES}", f"--rollout-length={LENGTH}", "--epochs=1", "--max-episode-frames=40"]


def random_rollout(length: int, lanes: int) -> Any:
    torch.manual_seed(3)
    rollout = ppo.Rollout(length, lanes)
    for column in (rollout.rewards, rollout.values, rollout.final_values):
        column.normal_()
    rollout.ended[:] = torch.rand(length, lanes) < 0.3
    return rollout


def reference(rollout: Any, gamma: float, gae_lambda: float) -> np.ndarray:
    """The definition, as sums: of each lane's errors from a step on to the end of the episode or of the rollout."""
    rewards, values, ended = rollout.rewards.double(), rollout.values.double(), rollout.ended
    found = np.zeros(rewards.shape)
    for (step, lane), _ in np.ndenumerate(found):
        weight = 1.0
        for later in range(step, len(rewards)):
            over = bool(ended[later, lane])
            following = rollout.final_values[later, lane] if over else values[later + 1, lane]
            found[step, lane] += weight * float(rewards[later, lane] + gamma * following - values[later, lane])
            if over:
                break
            weight *= gamma * gae_lambda
    return found


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.99, 0.95), (0.9, 0.0), (1.0, 1.0)])
def test_advantages_are_as_defined(gamma: float, gae_lambda: float):
    rollout = random_rollout(17, 5)
    assert rollout.ended.any(0).all()
    found = rollout.advantages(gamma, gae_lambda)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), reference(rollout, gamma, gae_lambda), rtol=1e-4, atol=1e-4)


def test_what_follows_an_end_is_no_consequence_of_it():
    rollout = random_rollout(8, 1)
    rollout.ended[:] = False
    rollout.ended[4] = True
    rollout.final_values[4] = 0  # terminated
    before = rollout.advantages(0.99, 0.95)
    torch.testing.assert_close(before[4], rollout.rewards[4] - rollout.values[4])
    rollout.values[5:] += 7
    rollout.rewards[5:] -= 3
    after = rollout.advantages(0.99, 0.95)
    assert torch.equal(after[:5], before[:5])
    assert not torch.isclose(after[5:], before[5:]).any()

    rollout.final_values[4] = 2  # cut off
    torch.testing.assert_close(rollout.advantages(0.99, 0.95)[4], before[4] + 0.99 * 2)


def play(*, rollouts: int) -> tuple[list[dict[str, Any]], list[float], Any]:
    """Columns of so many rollouts, the returns, and the agent; the game soon takes 300 points for a collision."""
    options = ppo.parse([*TINY, "--game=journey_escape"])
    returns: list[float] = []
    found = []
    with ppo.open_games(options) as vec:
        torch.manual_seed(5)
        agent = ppo.Agent(int(vec.single_action_space.n))
        player = ppo.Player(vec, agent, options)
        for _ in range(rollouts):
            returns += player.play()
            found.append({name: column.clone() for name, column in vars(player.rollout).items()})
    return found, returns, agent


def test_rollouts_are_what_lock_step_plays():
    """One shard or two, in whatever order they answer; ends, cut-off episodes and returns included."""
    rollouts, returns, agent = play(rollouts=2)
    assert torch.equal(rollouts[0]["screens"][-1], rollouts[1]["screens"][0])
    options = ppo.parse([*TINY, "--game=journey_escape", "--shards=1"])
    scores, wanted = np.zeros(LANES), []
    with ppo.open_games(options) as vec, torch.no_grad():
        screens, _ = vec.reset(seed=options.seed)
        for rollout in rollouts:
            for step in range(LENGTH):
                assert np.array_equal(rollout["screens"][step].numpy(), screens)
                screens, reward, terminated, truncated, info = vec.step(rollout["actions"][step].numpy())
                assert np.array_equal(rollout["rewards"][step].numpy(), reward.clip(-1, 1))
                assert np.array_equal(rollout["ended"][step].numpy(), truncated)
                assert not terminated.any()
                last = [
                    agent(torch.tensor(screen[None]))[1].item() if cut else 0.0
                    for screen, cut in zip(info.get("final_obs", [None] * LANES), truncated, strict=True)
                ]
                np.testing.assert_allclose(rollout["final_values"][step].numpy(), last, atol=1e-5)
                assert all(last[lane] for lane in np.flatnonzero(truncated))
                scores += reward
                wanted += scores[truncated].tolist()
                scores[truncated] = 0
            assert np.array_equal(rollout["screens"][LENGTH].numpy(), screens)
            log_probabilities, values = agent(rollout["screens"].flatten(0, 1))
            torch.testing.assert_close(rollout["values"].flatten(), values, atol=1e-5, rtol=1e-4)
            taken = log_probabilities[: LENGTH * LANES].gather(-1, rollout["actions"].reshape(-1, 1)).squeeze(-1)
            torch.testing.assert_close(rollout["log_probabilities"].flatten(), taken, atol=1e-5, rtol=1e-4)
    assert returns == wanted
    assert len(returns) >= 2 * LANES
    assert -300 in returns
    actions = torch.cat([rollout["actions"] for rollout in rollouts])
    assert len(actions.unique()) > 8


def test_a_seed_plays_the_same_games():
    (first,), _, _ = play(rollouts=1)
    (second,), _, _ = play(rollouts=1)
    assert torch.equal(first["actions"], second["actions"])
    assert torch.equal(first["screens"], second["screens"])


def test_learning_prefers_what_was_rewarded():
    torch.manual_seed(0)
    agent, rollout = ppo.Agent(3), ppo.Rollout(16, 4)
    rollout.screens.random_(0, 256)
    rollout.actions.random_(0, 3)
    rollout.rewards[:] = (rollout.actions == 1).float()
    rollout.ended[:] = True
    rollout.log_probabilities[:] = math.log(1 / 3)
    optimizer = torch.optim.Adam(agent.parameters(), 1e-3)
    means = ppo.learn(agent, optimizer, rollout, ppo.parse(["--epochs=3"]))
    with torch.no_grad():
        policy = agent(rollout.screens[0])[0].exp()
    assert (policy[:, 1] > 0.4).all()
    assert set(means) == {"policy_loss", "value_loss", "entropy", "kl"}
    assert means["policy_loss"] < 0 < means["kl"]
    assert 0 < means["entropy"] <= math.log(3)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("--num-envs=3", "--num-envs must be a multiple of --shards"),
        ("--epochs=0", "--epochs must be at least 1"),
        ("--learning-rate=nan", "--learning-rate must be at least 0"),
        ("--total-steps=95", "at least one rollout of all lanes, 96"),
        ("--minibatches=49", "--minibatches is too many"),
        ("--device=abacus", "--device abacus"),
    ],
)
def test_options_that_cannot_be_are_named(wrong: str, named: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit, match="2"):
        ppo.parse([*TINY, wrong])
    assert named in capsys.readouterr().err


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(ROOT / "examples/ppo_atari.py"), *TINY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_a_run_of_a_few_updates(tmp_path: Path):
    done = run(f"--total-steps={3 * LANES * LENGTH + 5}", f"--output={tmp_path}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "% waiting for environments" in done.stdout
    with (tmp_path / "progress.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["steps"]) for row in rows] == [96, 192, 288]
    for row in rows:
        shares = [float(row[name]) for name in ("waiting", "sending", "acting", "learning", "rest")]
        assert all(0 < share < 1 for share in shares)
        assert sum(shares) == pytest.approx(1)
        assert all(math.isfinite(float(row[name])) for name in ("policy_loss", "value_loss", "kl", "mean_return"))
        assert 0 < float(row["entropy"]) <= math.log(6) + 1e-5
    assert int(rows[-1]["episodes"]) >= LANES
    assert float(rows[0]["seconds"]) < float(rows[-1]["seconds"])
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_game_is_one_line(tmp_path: Path):
    done = run("--game=chess", f"--output={tmp_path}", "--total-steps=96")
    assert done.returncode == 1
    assert done.stderr.startswith("ppo_atari: ")
    assert "chess" in done.stderr
    assert done.stderr.count("\n") == 1
