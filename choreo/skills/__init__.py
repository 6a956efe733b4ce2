"""The codebook of skills, the autoencoder around it and the skill rewards (paper section 3)."""

from choreo.skills.autoencoder import SkillConfig, SkillSpace
from choreo.skills.codebook import Codebook
from choreo.skills.rewards import code_reward, entropy_reward

__all__ = ["Codebook", "SkillConfig", "SkillSpace", "code_reward", "entropy_reward"]
