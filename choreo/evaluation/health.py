"""Whether reward-free learning works: figures for trained skills next to two controls."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.envs.spaces import Obs
from choreo.errors import UsageError
from choreo.evaluation.choices import Choices, measure_choices
from choreo.evaluation.codes import (
    SKIPPED,
    CodeUse,
    hit_matrix,
    hit_rate,
    hold_steps,
    replay_use,
    rollout_use,
)
from choreo.evaluation.conditions import play_conditions, usual_steps
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.coverage import Coverage, Projection, make_projection, measure_coverage
from choreo.evaluation.episode import Episode
from choreo.evaluation.model_error import ModelError, measure_model_error, measure_spread
from choreo.evaluation.pictures import measure_code_match
from choreo.evaluation.predictability import Predictability, measure_predictability
from choreo.evaluation.rollouts import run_episodes
from choreo.evaluation.safety import Safety, measure_safety
from choreo.evaluation.switching import MOST, Switching, measure_switching, skills_to_switch
from choreo.record import derive_seed
from choreo.record.progress import Tell, silent
from choreo.replay import Replay

TASK_EPISODES = 4  # of the meta-controller, where there is one [ours]
TASK_STEPS = 1000  # of each, in an environment without time limit [ours]
SWITCHED_FROM_PIXELS = 8  # skills in the matrix of switches where every step is drawn [ours]

TOLD_FROM: dict[Obs, str] = {
    "states": "the observed vectors",
    "pixels": "grey pictures of 16 x 16 pixels",
    "both": "the observed vectors and grey pictures of 16 x 16 pixels",
}
"""What predictability is measured on, by what the agent sees."""


@dataclass(frozen=True)
class Settings:
    """What was measured, and how; `steps_each` is the number of steps of every condition."""

    environment: str
    skills: int
    episodes_per_skill: int
    episode_steps: int
    steps_each: int
    action_repeat: int
    seed: int
    sampled_actions: bool
    seen: Obs = "states"

    @property
    def seen_once(self) -> str:
        """What a single observation is, as a word."""
        return {"states": "state", "pixels": "picture", "both": "observation"}[self.seen]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "environment": self.environment,
            "skills": self.skills,
            "episodes_per_skill": self.episodes_per_skill,
            "episode_steps": self.episode_steps,
            "steps": self.steps_each,
            "frames": self.steps_each * self.action_repeat,
            "counted": "steps",
            "seed": self.seed,
            "sampled_actions": self.sampled_actions,
            "observations": self.seen,
        }


@dataclass(frozen=True)
class SkillReport:
    """The figures of the skill report, with the episodes they were measured on."""

    settings: Settings
    episodes: dict[str, list[Episode]]
    projection: Projection
    coverage: Coverage
    hit_rate: dict[str, float | None]
    hits: dict[str, np.ndarray]
    """Share of each commanded skill's steps (row) at each code (column), (K, K)."""
    predictability: dict[str, Predictability]
    code_use: dict[str, CodeUse]
    replay_code_use: CodeUse | None
    resampled: int
    model_error: ModelError | None
    model_error_random: ModelError | None
    code_match: dict[str, float | None]
    """Share of the skills that end at what their decoded code looks like; None without images."""
    safety: Safety
    switching: Switching
    task_episodes: list[Episode]
    """Episodes of the meta-controller, none where the agent has none."""

    @property
    def chance(self) -> float:
        """What guessing one of K skills gives."""
        return 1 / self.settings.skills

    @property
    def choices(self) -> Choices | None:
        """What the meta-controller chose."""
        return measure_choices(self.task_episodes, self.settings.skills)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `skills.json` holds them."""
        return {
            "coverage": self._coverage(),
            "hit_rate": self._hit_rate(),
            "hold": self._hold(),
            "predictability": self._predictability(),
            "codebook": self._codebook(),
            "model_error": self._model_error(),
            **self._decoded_codes(),
            "switching": {**self.switching.to_json(), "chance": self.chance},
            "safety": self.safety.to_json(),
            "meta_controller": None if self.choices is None else self.choices.to_json(),
            "settings": self.settings.to_json(),
        }

    def _coverage(self) -> dict[str, Any]:
        return {
            **self.coverage.visited,
            "cells": self.coverage.cells,
            "coordinates": list(self.projection.names),
            "per_skill": self.coverage.per_skill,
        }

    def _hit_rate(self) -> dict[str, Any]:
        per_skill = {name: np.diag(matrix).tolist() for name, matrix in self.hits.items()}
        counted = {"chance": self.chance, "skipped_steps": SKIPPED}
        return {**self.hit_rate, **counted, "per_skill": per_skill}

    def _hold(self) -> dict[str, Any]:
        """Steps in a row at the skill's own code, with their means."""
        of = {
            name: hold_steps(group, self.settings.skills) for name, group in self.episodes.items()
        }
        known = {name: [one for one in of[name] if one is not None] for name in of}
        means = {name: float(np.mean(known[name])) if known[name] else None for name in of}
        return {**means, "counted": "steps", "per_skill": of}

    def _predictability(self) -> dict[str, Any]:
        accuracy = {name: value.accuracy for name, value in self.predictability.items()}
        per_skill = {name: value.per_skill for name, value in self.predictability.items()}
        source = {"told_from": TOLD_FROM[self.settings.seen]}
        return {**accuracy, "chance": self.chance, "per_skill": per_skill, **source}

    def _decoded_codes(self) -> dict[str, Any]:
        if self.code_match["trained"] is None:
            return {}
        return {"decoded_codes": {**self.code_match, "chance": self.chance}}

    def _codebook(self) -> dict[str, Any]:
        replay, use = self.replay_code_use, self.code_use
        return {
            **(replay or use["trained"]).to_json(),
            "source": "rollouts" if replay is None else "replay",
            "codes": self.settings.skills,
            "resampled": self.resampled,
            "rollouts": {name: value.to_json() for name, value in use.items()},
        }

    def _model_error(self) -> dict[str, Any] | None:
        if self.model_error is None:
            return None
        other = self.model_error_random
        random = None if other is None else other.to_json()
        return {**self.model_error.to_json(), "on_random_actions": random}


def measure_health(
    agent: Agent,
    vector: VectorEnv,
    episodes_per_skill: int = 4,
    steps: int | None = None,
    seed: int = 0,
    replay: Replay | None = None,
    sample: bool = False,
    tell: Tell = silent,
) -> SkillReport:
    """Play every skill, the untrained agent's skills and random actions, and compare them.

    All three get the same starts and exactly `skills x episodes_per_skill x steps` steps; where an
    episode ends early, others follow until the steps are taken.

    Args:
        agent: whose skills to look at.
        vector: environments that fit it; any number, more is faster.
        episodes_per_skill: at least 2, as predictability is measured on held-out ones.
        steps: steps of an episode (agent steps), more than the 50 that the hit rate skips; None
            leaves it to `usual_steps`.
        seed: decides starts and all other chance.
        replay: the run's experience, over which the use of the codes is counted.
        sample: draw the skills' actions instead of taking the policies' means.
        tell: told what is being done and how far it is.

    Raises:
        UsageError: too few episodes or steps.
        EnvironmentMismatch: the environment does not fit the agent.
    """
    steps = usual_steps(vector.spec) if steps is None else steps
    _check(agent, vector, episodes_per_skill, steps)
    untrained = untrained_agent(agent, seed)
    episodes = play_conditions(
        agent, untrained, vector, episodes_per_skill, steps, seed, sample, tell
    )
    total = agent.num_skills * episodes_per_skill * steps
    spec = vector.spec
    settings = Settings(
        spec.id,
        agent.num_skills,
        episodes_per_skill,
        steps,
        total,
        spec.action_repeat,
        seed,
        sample,
        _seen(agent),
    )
    return _measure(agent, untrained, vector, episodes, settings, replay, tell)


def _measure(
    agent: Agent,
    untrained: Agent,
    vector: VectorEnv,
    episodes: dict[str, list[Episode]],
    settings: Settings,
    replay: Replay | None,
    tell: Tell,
) -> SkillReport:
    skills, seed, spec = settings.skills, derive_seed(settings.seed, "health"), vector.spec
    every = [episode for group in episodes.values() for episode in group]
    projection = make_projection(spec.coordinates, every)
    spread = measure_spread(every)
    models = {"trained": agent, "untrained": untrained}
    hits = {name: hit_matrix(group, skills) for name, group in episodes.items()}
    return SkillReport(
        settings=settings,
        episodes=episodes,
        projection=projection,
        coverage=measure_coverage(episodes, projection, skills),
        hit_rate={name: hit_rate(group) for name, group in episodes.items()},
        hits=hits,
        predictability=_tell_skills_apart(episodes, skills, tell),
        code_use={name: rollout_use(group, skills) for name, group in episodes.items()},
        replay_code_use=None if replay is None else replay_use(agent, replay, seed),
        resampled=int(agent.skills.resampled),
        model_error=measure_model_error(models, episodes["trained"], spread, seed),
        model_error_random=measure_model_error(models, episodes["random"], spread, seed),
        code_match={
            name: measure_code_match(untrained if name == "untrained" else agent, group)
            for name, group in episodes.items()
        },
        safety=measure_safety(episodes, skills, spec.coordinates, spec.episode_steps),
        switching=_switch(agent, vector, hits["trained"], settings, tell),
        task_episodes=_play_task(agent, vector, settings, tell),
    )


def _tell_skills_apart(
    episodes: dict[str, list[Episode]], skills: int, tell: Tell
) -> dict[str, Predictability]:
    measured = {}
    for name, group in episodes.items():
        tell("telling skills apart", len(measured), len(episodes))
        measured[name] = measure_predictability(group, skills)
    tell("telling skills apart", len(measured), len(episodes))
    return measured


def _switch(
    agent: Agent, vector: VectorEnv, hits: np.ndarray, settings: Settings, tell: Tell
) -> Switching:
    most = SWITCHED_FROM_PIXELS if agent.spec.images else MOST
    chosen = skills_to_switch(hits, most)
    return measure_switching(agent, vector, chosen, settings.seed, settings.sampled_actions, tell)


def _play_task(agent: Agent, vector: VectorEnv, settings: Settings, tell: Tell) -> list[Episode]:
    """Episodes in which the meta-controller chooses; none without one."""
    if agent.controller is None:
        return []
    steps = vector.spec.episode_steps or TASK_STEPS
    total = TASK_EPISODES * steps
    return run_episodes(
        agent,
        vector,
        "task",
        TASK_EPISODES,
        settings.seed,
        sample=settings.sampled_actions,
        steps=steps,
        tell=lambda taken: tell("playing the meta-controller", min(taken, total), total),
    )


def _seen(agent: Agent) -> Obs:
    images, keys = len(agent.spec.images), len(agent.spec.observations)
    return "states" if images == 0 else "pixels" if images == keys else "both"


def _check(agent: Agent, vector: VectorEnv, episodes_per_skill: int, steps: int) -> None:
    if episodes_per_skill < 2 or steps <= SKIPPED:
        raise UsageError(
            f"the skill report needs at least 2 episodes of every skill, of more than {SKIPPED} "
            f"steps each; got {episodes_per_skill} of {steps} steps"
        )
    agent.spec.require_fit(vector.spec, f"{vector.spec.id} does not fit this agent")
