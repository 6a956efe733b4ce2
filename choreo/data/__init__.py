"""Recorded data: readers of many formats, an import into this project's own, and exports."""

from choreo.data.dataset import Dataset, first_episodes, open_dataset
from choreo.data.episode import BadEpisode, EpisodeData, Reading
from choreo.data.exporter import export_data
from choreo.data.formats.detect import open_source
from choreo.data.formats.npz import read_episodes, write_episode
from choreo.data.formats.source import Skipped, Source
from choreo.data.importer import import_data
from choreo.data.inspection import inspect_data
from choreo.data.plan import ImportOptions

__all__ = [
    "BadEpisode",
    "Dataset",
    "EpisodeData",
    "ImportOptions",
    "Reading",
    "Skipped",
    "Source",
    "export_data",
    "first_episodes",
    "import_data",
    "inspect_data",
    "open_dataset",
    "open_source",
    "read_episodes",
    "write_episode",
]
