"""Recurrent state-space model, encoders, decoders and their joint loss (paper section 2)."""

from choreo.world_model.model import Batch, ModelConfig, WorldModel
from choreo.world_model.rssm import RSSM, State, kl_balance

__all__ = ["RSSM", "Batch", "ModelConfig", "State", "WorldModel", "kl_balance"]
