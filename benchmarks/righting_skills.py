"""Which skills of a quadruped get up from its back: `python benchmarks/righting_skills.py CSV RUN`.

Every skill is played from the same 16 starts, which are random orientations.
"""

import csv
import sys
from pathlib import Path

from righting import BACK, LANDED, STANDS, UPRIGHT

from choreo.agent import find_checkpoint, load
from choreo.envs.vector import make_vector
from choreo.evaluation.rollouts import run_episodes

STARTS, STEPS, LAST = 16, 500, 100


def main(path: Path, run: Path) -> None:
    """Write one row a skill."""
    agent = load(find_checkpoint(run))
    with path.open("w", newline="") as file, make_vector("quadruped", STARTS, False) as vector:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["skill", "starts", "on_back", "got_up", "upright_at_the_end"])
        for skill in range(agent.num_skills):
            played = run_episodes(
                agent, vector, "skill", STARTS, 0, skills=[skill] * STARTS, steps=STEPS
            )
            upright = [episode.observations["observation"][:, UPRIGHT] for episode in played]
            fell = [one for one in upright if one[LANDED] < BACK]
            rose = sum((one[LANDED:] > STANDS).any() for one in fell)
            end = sum(one[-LAST:].mean() > STANDS for one in upright)
            table.writerow([skill, STARTS, len(fell), rose, end])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
