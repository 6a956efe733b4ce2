"""Whether an agent can switch: how well a skill is met that starts where another one ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.evaluation.codes import SKIPPED
from choreo.evaluation.episode import Episode
from choreo.evaluation.rollouts import run_episodes
from choreo.record import derive_seed
from choreo.record.progress import Tell, silent

SKILL_STEPS = (
    75  # steps of a skill before the next one: 50 to get there and 25 to be counted [ours]
)
MOST = 16  # skills in the matrix, as their pairs grow with the square [ours]
CHAIN = 9  # pairs that one episode plays at most [ours]
STAGE = "playing skill after skill"


@dataclass(frozen=True)
class Switching:
    """Hit rate of every skill (column) when it starts where another (row) ended, (n, n).

    NaN where an episode ended before the second skill could be judged. `skills` names rows and
    columns; each skill acted for `skill_steps`, of which the first `skipped` do not count.
    """

    skills: list[int]
    hit_rate: np.ndarray
    skill_steps: int
    skipped: int

    @property
    def mean(self) -> float | None:
        """Mean over all pairs of different skills that were measured."""
        others = self.hit_rate[~np.eye(len(self.skills), dtype=bool)]
        others = others[np.isfinite(others)]
        return float(others.mean()) if others.size else None

    def to_json(self) -> dict[str, Any]:
        """Plain values; null where nothing was measured."""
        return {
            "trained": self.mean,
            "skills": self.skills,
            "after": [[_plain(value) for value in row] for row in self.hit_rate],
            "skill_steps": self.skill_steps,
            "skipped_steps": self.skipped,
        }


def measure_switching(
    agent: Agent,
    vector: VectorEnv,
    skills: Sequence[int],
    seed: int,
    sample: bool = False,
    tell: Tell = silent,
) -> Switching:
    """Play every skill after every other once, in chains, and measure how well each is met.

    Every pair is played once, those that an early end left out once more by themselves.
    `skills` are those to look at, see `skills_to_switch`.
    """
    limit = vector.spec.episode_steps or (CHAIN + 1) * SKILL_STEPS
    each = min(SKILL_STEPS, limit // 2)
    skipped = SKIPPED if each > SKIPPED else each // 2
    most = min(CHAIN, max(1, limit // each - 1))
    table = np.full((agent.num_skills, agent.num_skills), np.nan)
    chains = _cut(_all_pairs(skills, seed), most)
    total = sum(map(len, chains)) * each
    for _ in range(2):
        played = run_episodes(
            agent,
            vector,
            "skill",
            len(chains),
            derive_seed(seed, "switching", len(chains)),
            skills=chains,
            sample=sample,
            steps=max(map(len, chains)) * each,
            skill_steps=each,
            tell=lambda taken: tell(STAGE, min(taken, total), total),
        )
        for episode, chain in zip(played, chains):
            _count(table, episode, chain, each, skipped)
        chains = [[i, j] for i in skills for j in skills if np.isnan(table[i, j])]
        if not chains:
            break
    return Switching(list(skills), table[np.ix_(skills, skills)], each, skipped)


def skills_to_switch(hits: np.ndarray, most: int = MOST) -> list[int]:
    """The skills that meet their own codes best, at most `most`, by their hit matrix (K, K)."""
    return sorted(np.argsort(-np.diag(hits), kind="stable")[:most].tolist())


def _all_pairs(skills: Sequence[int], seed: int) -> list[int]:
    """Skills in an order in which each follows each, itself included, exactly once.

    The de Bruijn sequence of order 2, by Lyndon words, closed by its first entry.
    """
    rng = np.random.default_rng(derive_seed(seed, "order of skills"))
    order = [skills[n] for n in rng.permutation(len(skills))]
    sequence = []
    for n, skill in enumerate(order):
        sequence.append(skill)
        for other in order[n + 1 :]:
            sequence += [skill, other]
    return [*sequence, sequence[0]]


def _cut(sequence: list[int], pairs: int) -> list[list[int]]:
    """Pieces of at most so many pairs, each of which begins where the one before ended."""
    return [sequence[n : n + pairs + 1] for n in range(0, len(sequence) - 1, pairs)]


def _count(
    table: np.ndarray, episode: Episode, chain: Sequence[int], each: int, skipped: int
) -> None:
    """Enter the hit rates of one chain of skills."""
    for place, (before, skill) in enumerate(pairwise(chain), start=1):
        codes = episode.codes[place * each + skipped + 1 : (place + 1) * each + 1]
        if len(codes) == each - skipped:
            table[before, skill] = (codes == skill).mean()


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
