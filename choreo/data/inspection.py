"""A look at recorded data: what is there, what is missing, what is bad. One pass, flat memory."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from choreo.data.bounds import observed_bounds
from choreo.data.card import read_card
from choreo.data.episode import BadEpisode, EpisodeData, Layout, Reading, check_finite, check_layout
from choreo.data.finishing import verify
from choreo.data.formats.detect import open_source
from choreo.data.formats.source import Skipped, Source
from choreo.data.plan import declared_bounds
from choreo.data.statistics import Statistics
from choreo.envs.spaces import IMAGE_SIZES
from choreo.errors import UsageError

BATCH_STEPS = 50 * 50  # steps of one batch [paper]
FEW = 4  # batches below which a set is said to be short [ours]


def inspect_data(
    path: Path,
    reading: Reading | None = None,
    check_hashes: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Read every episode once and say what the data are, as JSON.

    Bad episodes are counted and named, never raised; those that could be read, but not imported,
    count in the ranges too.

    Args:
        path: folder or file of any format that is read.
        reading: which arrays to take; all by default.
        check_hashes: of an imported set, compare every file with its hash.
        report: told of episodes done and in all.

    Raises:
        UsageError: there are no data of a known format, or hashes are asked for where there are
            none.
    """
    source = open_source(path, reading)
    look = _Look(source)
    total = len(source.names)
    for index in range(total):
        look.take(index)
        if report is not None:
            report(index + 1, total)
    found = look.summary()
    if check_hashes:
        card = read_card(path)
        if card is None or "files" not in card:
            raise UsageError(f"{path} has no hashes to verify; only imported sets have them.")
        found["changed"] = verify(path, card)
    return found


def few_steps(steps: int) -> str | None:
    """What to say of a set that is shorter than a few batches; None of one that is not."""
    if not 0 < steps < FEW * BATCH_STEPS:
        return None
    return (
        f"only {steps:,} steps: fewer than {FEW} batches of 50 sequences of 50 steps, so an agent "
        "sees the same few again and again"
    )


class _Look:
    """What is known of a source after some of its episodes."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.statistics, self.bad = Statistics(), Skipped()
        self.layout: Layout = {}
        self.found: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.usable = 0
        self.observations: tuple[str, ...] = ()
        self.repeats: set[int | None] = set()
        self.bounds = declared_bounds(source)

    def take(self, index: int) -> None:
        """Read the episodes of one recording."""
        try:
            episodes = self.source.episodes_of(index)
        except BadEpisode as error:
            self.bad.add(error)
            return
        for episode in episodes:
            self._learn(episode)
            try:
                check_finite(episode)
                check_layout(episode, self.layout)
                if self.bounds is not None:
                    self.bounds.check(episode)
                self.usable += 1
            except BadEpisode as error:
                self.bad.add(error)

    def _learn(self, episode: EpisodeData) -> None:
        if not self.layout:
            self.layout, self.observations = episode.layout, episode.observations
            self.found, self.left_out = episode.found, episode.left_out
        if episode.layout == self.layout:
            self.statistics.add(episode)
        self.repeats.add(episode.action_repeat)

    def summary(self) -> dict[str, Any]:
        """All of it as JSON."""
        repeats = {*self.repeats, self.source.action_repeat()} - {None}
        return {
            **self.source.describe(),
            **self.statistics.summary(),
            "observations": {
                key: {"shape": list(self.layout[key][0]), "dtype": self.layout[key][1]}
                for key in self.observations
            },
            "in_files": dict(sorted(self.found.items())),
            "left_out": dict(sorted(self.left_out.items())),
            "notes": [*self.source.notes(), *sorted(self.statistics.notes)],
            "timing": self.source.timing,
            "actions": self._actions(),
            "action_repeat": sorted(repeat for repeat in repeats if repeat is not None),
            "usable": self.usable,
            "bad": asdict(self.bad),
            "wrong": self.bad.sentences(),
            "missing": self._missing(),
            "advice": self._advice(),
        }

    def _actions(self) -> dict[str, Any]:
        low, high = self.statistics.action_low, self.statistics.action_high
        declared = self.source.bounds()
        found: dict[str, Any] = {"size": len(low), "recorded_low": low, "recorded_high": high}
        if declared is not None:
            scaled = "; actions are scaled to [-1, 1]" if self.source.scaled else ""
            return {**found, "bounds": declared, "origin": f"told by the files{scaled}"}
        if not low:
            return found
        bounds = observed_bounds(low, high)
        return {**found, "bounds": (bounds.low, bounds.high), "origin": bounds.origin}

    def _missing(self) -> list[str]:
        """What the episodes lack, in words."""
        total = self.statistics.episodes
        lacks = [
            f"{note}, {count} of {total} episodes"
            for note, count in sorted(self.statistics.notes.items())
            if note.startswith("no ")
        ]
        told = self.repeats - {None} or self.source.action_repeat() is not None
        return lacks if told else [*lacks, "no action repeat: taken as 1"]

    def _advice(self) -> list[str]:
        """What an import would have to be told."""
        advice = []
        if self.bad.count and self.usable:
            advice.append("import with --skip-bad to leave the bad episodes out")
        sizes = {self.layout[k][0][1:] for k in self.observations if len(self.layout[k][0]) == 3}
        for height, width in sorted(sizes):
            if height != width or height not in IMAGE_SIZES:
                advice.append(f"images are {height} x {width}: import with --image-size 64")
        told = self.repeats - {None}
        if len(told) > 1:
            advice.append("episodes differ in action repeat: import them apart")
        elif told and None in self.repeats and self.source.action_repeat() is None:
            advice.append(
                "only some episodes tell their action repeat: give it with --action-repeat"
            )
        if few := few_steps(self.statistics.steps):
            advice.append(few)
        return advice
