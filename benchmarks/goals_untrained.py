"""Tasks that nobody trained for: what the skill returns that imagination ranks first.

`python benchmarks/goals_untrained.py CSV RUN TASK ... [--sample]` imagines every skill of a
pre-trained agent from four starts, judges what it imagined by the task's reward, and plays the best
one in the simulator beside all skills, the explorer and random actions. Starts are equal; of "all
skills" each meets the first four. Nothing is chosen where a reward cannot be told from what the
agent observes. "found" is the share of episodes with a reward. Policies act by their mean, with
--sample as they do in training.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from choreo.agent import Agent, PolicyName, find_checkpoint, load
from choreo.envs import VectorEnv
from choreo.envs.vector import make_vector
from choreo.evaluation.evaluate import evaluate
from choreo.evaluation.imagining import start_of_reset
from choreo.evaluation.named_rewards import named_rewards
from choreo.evaluation.prompts import Reward, prompt

STARTS, STEPS, EPISODES, SEED = 4, 100, 20, 1000
FOUND = 0.01  # a return above it


def main(path: Path, run: Path, tasks: list[str], sample: bool) -> None:
    """Write one row for each task and policy."""
    agent = load(find_checkpoint(run))
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["task", "who", "skill", "episodes", "return", "low", "high", "found"])
        for task in tasks:
            with make_vector(task, EPISODES, parallel=False) as vector:
                best = ranked_first(agent, vector, task)
                every = list(range(agent.num_skills))
                players: list[tuple[str, list[int] | None, PolicyName, int]] = [
                    ("all skills", every, "skill", STARTS),
                    ("explorer", None, "explore", EPISODES),
                    ("random", None, "random", EPISODES),
                ]
                if best is not None:
                    players.insert(0, ("chosen", [best], "skill", EPISODES))
                for who, skills, policy, episodes in players:
                    found = evaluate(agent, vector, policy, episodes, SEED, skills, sample)
                    interval = found.interval95
                    assert interval is not None
                    numbers = [f"{x:.1f}" for x in (found.mean, *interval)]
                    played = best if who == "chosen" else ""
                    share = np.mean(np.array(found.returns) > FOUND)
                    numbers.append(f"{share:.2f}")
                    table.writerow([task, who, played, len(found.returns), *numbers])
                    file.flush()


def ranked_first(agent: Agent, vector: VectorEnv, task: str) -> int | None:
    """The skill of the largest imagined reward, over all starts; None where none can be judged."""
    if task not in [reward.name for reward in named_rewards(agent)]:
        return None
    total = np.zeros(agent.num_skills)
    for number in range(STARTS):
        start = start_of_reset(agent, vector, SEED + number)
        for one in prompt(agent, start, Reward(task), SEED, STEPS):
            total[one.skill] += one.score
    return int(total.argmax())


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--sample"]
    main(Path(words[0]), Path(words[1]), words[2:], "--sample" in sys.argv)
