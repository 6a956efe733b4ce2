"""What is compared: the agent, the same agent untrained, and random actions, on equal terms."""

from collections.abc import Callable

import numpy as np

from choreo.agent import Agent, PolicyName
from choreo.envs import EnvSpec, VectorEnv
from choreo.evaluation.episode import Episode, KeepImages
from choreo.evaluation.rollouts import run_episodes
from choreo.evaluation.windows import keep_windows
from choreo.record.progress import Tell, silent

CONDITIONS = ("trained", "untrained", "random")
"""The agent, the same agent with fresh weights, and uniformly random actions."""

STAGES = {
    "trained": "playing the skills",
    "untrained": "playing the untrained agent",
    "random": "playing random actions",
}


def usual_steps(spec: EnvSpec) -> int:
    """Steps of an episode of the report: 250, or with images, which take long to draw, 250 frames.

    Never fewer than 100, so that enough are left of what the hit rate skips. Source: ours.
    """
    return max(100, 250 // spec.action_repeat) if spec.images else 250


def play_conditions(
    agent: Agent,
    untrained: Agent,
    vector: VectorEnv,
    episodes_per_skill: int,
    steps: int,
    seed: int,
    sample: bool = False,
    tell: Tell = silent,
) -> dict[str, list[Episode]]:
    """Episodes of every condition, with equal starts and numbers of steps."""
    actors: dict[str, tuple[Agent, PolicyName]] = {
        "trained": (agent, "skill"),
        "untrained": (untrained, "skill"),
        "random": (agent, "random"),
    }
    keep = keep_windows(agent.num_skills, episodes_per_skill) if agent.spec.images else None
    total = agent.num_skills * episodes_per_skill * steps
    played = {}
    for name, (actor, policy) in actors.items():

        def told(taken: int, stage: str = STAGES[name]) -> None:
            tell(stage, min(taken, total), total)

        played[name] = play_skills(
            actor, vector, policy, episodes_per_skill, steps, seed, sample, keep, told
        )
    return played


def play_skills(
    agent: Agent,
    vector: VectorEnv,
    policy: PolicyName,
    episodes_per_skill: int,
    steps: int,
    seed: int,
    sample: bool = False,
    keep_images: KeepImages | None = None,
    tell: Callable[[int], None] | None = None,
) -> list[Episode]:
    """Episodes of every skill from the same starts, exactly `episodes_per_skill x steps` of each.

    Episodes that end before are followed by others from further starts. `keep_images` says which
    images are kept, see `run_episodes`; `tell` is told how many steps were taken.
    """
    left = np.full(agent.num_skills, episodes_per_skill * steps)
    start, rounds, kept = 0, episodes_per_skill, []
    while left.any():
        before = int((episodes_per_skill * steps - left).sum())
        skills = np.flatnonzero(left).tolist() * rounds
        starts = np.repeat(np.arange(start, start + rounds), len(skills) // rounds).tolist()
        played = run_episodes(
            agent,
            vector,
            policy,
            episodes=len(skills),
            seed=seed,
            skills=skills,
            sample=sample,
            steps=steps,
            starts=starts,
            keep_images=keep_images,
            tell=None if tell is None else lambda taken, done=before: tell(done + taken),
        )
        for episode, skill in zip(played, skills):
            if left[skill] > 0:
                kept.append(episode.cut(int(left[skill])))
                left[skill] -= kept[-1].length
        start, rounds = start + rounds, 1
    return kept
