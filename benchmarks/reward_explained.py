"""How well the reward head knows the reward: `python benchmarks/reward_explained.py CSV RUN ...`.

Every fine-tuned run plays one episode of its task in each of 16 environments, by samples as in
training. Of what its model says of each state on arrival, beside the simulator's reward: the share
of the variance that is explained, and the means where there is no reward (below 0.01) and where
there is much (above 0.7).
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch

from choreo.agent import Agent, find_checkpoint, load
from choreo.envs.vector import make_vector
from choreo.record import episode_seed

EPISODES, SEED, NONE, MUCH = 16, 77, 0.01, 0.7


def main(path: Path, runs: list[Path]) -> None:
    """Write one row for each run, under the name of its folder."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["run", "reward", "explained", "said_where_none", "said_where_much", "states"]
        )
        for run in runs:
            real, said = play(load(find_checkpoint(run)))
            error, spread = np.square(real - said).mean(), real.var()
            explained = f"{1 - error / spread:.3f}" if spread > 0 else ""
            means = [said[mask] for mask in (real < NONE, real > MUCH)]
            told = [f"{x.mean():.3f}" if x.size else "" for x in means]
            table.writerow([run.name, f"{real.mean():.3f}", explained, *told, real.size])
            file.flush()


@torch.no_grad()
def play(agent: Agent) -> tuple[np.ndarray, np.ndarray]:
    """Rewards of the simulator and what the model says of them, each (T, E)."""
    real, said, again = [], [], np.full(EPISODES, False)
    options = agent.spec.make_options()
    with make_vector(agent.spec.id, EPISODES, parallel=False, **options) as vector:
        session = agent.session(EPISODES)
        seeds = np.array([episode_seed(SEED, "evaluation", row) for row in range(EPISODES)])
        actions = np.zeros((EPISODES, vector.spec.action_size), np.float32)
        seen = vector.step(actions, ~again, seeds)
        while True:
            actions = session.act(
                seen.observation, policy="task", sample=True, is_first=seen.is_first
            )
            if not seen.is_first.any():
                real.append(seen.reward.copy())
                said.append(agent.world_model.predict_reward(session.memory.state.feat).numpy())
            if seen.is_last.any():
                return np.array(real), np.array(said)
            seen = vector.step(actions, again, seeds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
