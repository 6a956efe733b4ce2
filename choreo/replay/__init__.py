"""Recorded steps on disk, and sequences drawn from them."""

from choreo.replay.episodes import export_episodes, read_episodes
from choreo.replay.sampler import SequenceSampler
from choreo.replay.storage import Replay

__all__ = ["Replay", "SequenceSampler", "export_episodes", "read_episodes"]
