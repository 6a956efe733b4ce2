"""Layers, distributions, the optimiser and the reward normaliser shared by every network."""

from choreo.nn.distributions import OneHot, TruncatedNormal, gaussian_log_prob
from choreo.nn.features import Features, Inputs, condition, dense
from choreo.nn.layers import MLP, elu, module_name, one_hot_straight_through, uniform_for
from choreo.nn.normalize import RunningMagnitude
from choreo.nn.optim import Optimizer, OptimizerConfig, frozen

__all__ = [
    "MLP",
    "Features",
    "Inputs",
    "OneHot",
    "Optimizer",
    "OptimizerConfig",
    "RunningMagnitude",
    "TruncatedNormal",
    "condition",
    "dense",
    "elu",
    "frozen",
    "gaussian_log_prob",
    "module_name",
    "one_hot_straight_through",
    "uniform_for",
]
