"""Scores and figures, measured in the real environment."""

from choreo.evaluation.evaluate import Evaluation, evaluate
from choreo.evaluation.health import SkillReport, measure_health
from choreo.evaluation.imagined import score_skills, skill_of_goal
from choreo.evaluation.rollouts import Episode, run_episodes
from choreo.evaluation.zero_shot import Trial, ZeroShot, zero_shot, zero_shot_controls

__all__ = [
    "Episode",
    "Evaluation",
    "SkillReport",
    "Trial",
    "ZeroShot",
    "evaluate",
    "measure_health",
    "run_episodes",
    "score_skills",
    "skill_of_goal",
    "zero_shot",
    "zero_shot_controls",
]
