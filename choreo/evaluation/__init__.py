"""Scores, evaluation in the real environment and the skill report."""

from choreo.evaluation.evaluate import Evaluation, evaluate
from choreo.evaluation.health import SkillReport, measure_health
from choreo.evaluation.rollouts import Episode, run_episodes
from choreo.evaluation.skill_report import skill_report
from choreo.evaluation.zero_shot import ZeroShot, zero_shot

__all__ = [
    "Episode",
    "Evaluation",
    "SkillReport",
    "ZeroShot",
    "evaluate",
    "measure_health",
    "run_episodes",
    "skill_report",
    "zero_shot",
]
