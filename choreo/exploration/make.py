"""From the name of a bonus to its class."""

from choreo.exploration.apt import ParticleEntropy
from choreo.exploration.base import ExplorationConfig, IntrinsicReward
from choreo.exploration.icm import Curiosity
from choreo.exploration.lbs import LatentBayesianSurprise
from choreo.exploration.plan2explore import Plan2Explore
from choreo.exploration.random import RandomActions
from choreo.exploration.rnd import RandomNetworkDistillation


def make_intrinsic_reward(
    config: ExplorationConfig, feat_size: int, actions: int
) -> IntrinsicReward:
    """Build the bonus that `config.kind` names."""
    match config.kind:
        case "lbs":
            return LatentBayesianSurprise(feat_size, config)
        case "plan2explore":
            return Plan2Explore(feat_size, actions, config)
        case "rnd":
            return RandomNetworkDistillation(feat_size, config)
        case "apt":
            return ParticleEntropy(config)
        case "icm":
            return Curiosity(feat_size, actions, config)
        case "random":
            return RandomActions()
