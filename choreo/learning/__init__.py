"""Learners: an update as a list of parts, and how it is run."""

from choreo.learning.learner import Learner, adaptation_learner, pretraining_learner
from choreo.learning.update import Metrics, Part, Update

__all__ = [
    "Learner",
    "Metrics",
    "Part",
    "Update",
    "adaptation_learner",
    "pretraining_learner",
]
