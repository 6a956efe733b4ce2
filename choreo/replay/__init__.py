"""Recorded steps on disk, and sequences drawn from them."""

from choreo.replay.sampler import SequenceSampler
from choreo.replay.storage import Replay

__all__ = ["Replay", "SequenceSampler"]
