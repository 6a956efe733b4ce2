"""How much of what fine-tuned agents do is chance.

`python benchmarks/deviations.py CSV TASK RUN ...` plays four episodes of 250 steps by the mean of
the policy and notes the deviation of every entry of every action: 0.1 is the least there is, 2.1
the most, where actions lie within -1 and 1.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import torch

from choreo.agent import Agent, load
from choreo.envs import VectorEnv
from choreo.envs.vector import make_vector
from choreo.evaluation.rollouts import run_episodes
from choreo.imagination.actor_critic import ContinuousActor

EPISODES, STEPS, SEED = 4, 250, 5


def main(path: Path, task: str, runs: list[Path]) -> None:
    """Append a line for every run."""
    fresh = not path.exists()
    with path.open("a", newline="") as file, make_vector(task, EPISODES, parallel=False) as vector:
        table = csv.writer(file, lineterminator="\n")
        if fresh:
            table.writerow(["task", "agent", "clamp_stops", "median", "above_1", "tenth_above"])
        for run in runs:
            agent = load(run)
            policy = agent.skill_policy if agent.task_policy is None else agent.task_policy
            assert isinstance(policy.actor, ContinuousActor)
            found = deviations(agent, policy.actor, vector)
            figures = np.median(found), (found > 1).mean(), np.quantile(found, 0.9)
            name = run.parent.name if run.name == "run" else run.name
            stops = int(policy.actor.clamp_stops)
            table.writerow([task, name, stops, *(f"{x:.2f}" for x in figures)])
            file.flush()


def deviations(agent: Agent, actor: ContinuousActor, vector: VectorEnv) -> np.ndarray:
    """Of every action of the episodes, (steps, episodes, actions)."""
    outputs: list[torch.Tensor] = []
    handle = actor.std.register_forward_hook(lambda *args: outputs.append(args[2].clone()))
    run_episodes(agent, vector, "task", episodes=EPISODES, seed=SEED, steps=STEPS)
    handle.remove()
    return 2 * torch.sigmoid(torch.stack(outputs) / 2).numpy() + actor.min_std


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2], [Path(run) for run in sys.argv[3:]])
