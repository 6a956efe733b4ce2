"""Several robots in one control loop: `python benchmarks/control_loop.py RUN --robots 4 --hz 50`.

Simulators stand for the robots. Every period takes in all observations; skills are switched now
and then, a robot that is at its end begins anew alone, and once a sensor fails. Printed is how long
acting took, and how many periods were longer than they should be.
"""

import argparse
import time

import numpy as np

import choreo
from choreo.envs import make
from choreo.errors import NotFinite

SWITCH = 25  # periods between two skills
LIMIT = 200  # steps of an episode, where the simulator has no limit


def main(run: str, robots: int, hz: float, periods: int) -> dict[str, float]:
    """Run the loop; milliseconds of acting (p50, p99, max), share of late periods, refusals."""
    agent = choreo.load(run)
    limit = agent.spec.episode_steps or LIMIT
    options = {**agent.spec.make_options(), "time_limit": limit}
    fleet = [make(agent.spec.id, **options) for _ in range(robots)]
    session, names = agent.session(num=robots), list(agent.spec.observations)
    session.act(_stack([robot.reset(0) for robot in fleet], names))  # the first call warms up
    session.reset()
    steps = [robot.reset(seed) for seed, robot in enumerate(fleet)]
    command = np.zeros((robots, agent.spec.action_size), np.float32)
    acting, late, refused = [], 0, 0
    for period in range(periods):
        began = time.perf_counter()
        if period % SWITCH == 0:  # every robot its own skill, without a word to the state
            skills = (np.arange(robots) + period // SWITCH) % agent.num_skills
            session.hold(skills, SWITCH)
        seen = _stack(steps, names)
        if period == periods // 2:  # a sensor fails
            seen = {name: np.full(value.shape, np.nan, np.float32) for name, value in seen.items()}
        try:
            command = session.act(seen)
        except (NotFinite, choreo.errors.EnvironmentMismatch):
            refused += 1  # the session is as it was: the last command once more
        acting.append(time.perf_counter() - began)
        for row, robot in enumerate(fleet):
            steps[row] = robot.step(command[row])
            if steps[row].is_last:
                steps[row] = robot.reset(period)
                session.reset(rows=row)
        left = 1 / hz - (time.perf_counter() - began)
        late += left < 0
        time.sleep(max(0.0, left))
    for robot in fleet:
        robot.close()
    p50, p99 = np.percentile(acting, (50, 99)) * 1000
    most, share = 1000 * max(acting), late / periods
    return {"p50": p50, "p99": p99, "max": most, "late": share, "refused": refused}


def _stack(steps: list, names: list[str]) -> dict[str, np.ndarray]:
    """Observations of all robots by name, (robots, ...)."""
    return {name: np.stack([step.observation[name] for step in steps]) for name in names}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--robots", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--hz", type=float, default=50.0)
    parser.add_argument("--periods", type=int, default=1000)
    given = parser.parse_args()
    print(
        "| robots | p50 (ms) | p99 (ms) | longest (ms) | late periods |\n|---:|---:|---:|---:|---:|"
    )
    for count in given.robots:
        found = main(given.run, count, given.hz, given.periods)
        row = [f"{found[name]:.2f}" for name in ("p50", "p99", "max")]
        print(f"| {count} | {' | '.join(row)} | {found['late']:.1%} |")
