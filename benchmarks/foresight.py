"""What fine-tuned agents expect beside what they get: `python benchmarks/foresight.py CSV RUN ...`.

Every run plays ten episodes of its task, as evaluations do. Of every 25th of the first 500 states:
what the critic says of it, beside the discounted return that follows (at gamma 0.99 what follows
the end of the episode is less than one percent of it); and the rewards of the next 15 steps as the
model imagines them, beside the simulator's.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch

from choreo.agent import Agent, find_checkpoint, load
from choreo.envs.vector import make_vector
from choreo.record import episode_seed
from choreo.world_model import State

EPISODES, STEPS, JUDGED, EVERY, HORIZON, SEED = 10, 1000, 500, 25, 15, 2000
COLUMNS = ("return", "value", "discounted", "imagined_rewards", "rewards")


def main(path: Path, runs: list[Path]) -> None:
    """Write one row for each run: task, method and seed in its name, and means over all states."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["run", *COLUMNS, "states"])
        for run in runs:
            agent = load(find_checkpoint(run))
            gamma = agent.config.imagination.gamma
            rewards, judged = play(agent)
            discounted = np.zeros((STEPS + 1, EPISODES))
            for step in reversed(range(STEPS)):
                discounted[step] = rewards[step] + gamma * discounted[step + 1]
            rows = [
                (value, discounted[step - 1], imagined, rewards[step : step + HORIZON].sum(axis=0))
                for step, (value, imagined) in judged.items()
            ]
            means = rewards.sum(axis=0).mean(), *np.mean(rows, axis=(0, 2))
            name = run.parent.name if run.name == "run" else run.name
            table.writerow([name, *(f"{x:.3f}" for x in means), len(rows) * EPISODES])
            file.flush()


@torch.no_grad()
def play(agent: Agent) -> tuple[np.ndarray, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Rewards (T, E), and at the judged steps values (E,) and imagined rewards (E,)."""
    judged: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with make_vector(agent.spec.id, EPISODES, parallel=False) as vector:
        session = agent.session(EPISODES)
        seeds = np.array([episode_seed(SEED, "evaluation", row) for row in range(EPISODES)])
        actions = np.zeros((EPISODES, vector.spec.action_size), np.float32)
        rewards = np.zeros((STEPS, EPISODES))
        for step in range(STEPS + 1):
            seen = vector.step(actions, np.full(EPISODES, step == 0), seeds)
            if step:
                rewards[step - 1] = seen.reward
            actions = session.act(seen.observation, policy="task", is_first=seen.is_first)
            if 0 < step <= JUDGED and step % EVERY == 0:
                assert session.value is not None
                imagined = imagine(agent, session.memory.state, session.memory.action)
                judged[step] = session.value.numpy(), imagined
    return rewards, judged


def imagine(agent: Agent, state: State, action: torch.Tensor) -> np.ndarray:
    """Sum of the rewards (E,) that the model expects of the next steps."""
    generator, total = torch.Generator().manual_seed(SEED), np.zeros(EPISODES)
    for _ in range(HORIZON):
        state = agent.world_model.rssm.imagine_step(state, action, generator)
        total += agent.world_model.predict_reward(state.feat).numpy()
        action = agent.decide(state, "task")
    return total


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
