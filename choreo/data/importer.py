"""Recorded data into this project's replay form: one pass, flat memory, resumable."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from choreo.data.bounds import Bounds, observed_bounds
from choreo.data.card import IMPORTED, read_card, versions, write_card, write_json
from choreo.data.claim import claimed
from choreo.data.episode import ACTION, BadEpisode, EpisodeData, Layout, check_finite, check_layout
from choreo.data.files import BadFile, read_json, reading
from choreo.data.finishing import finish_segments, hash_files, set_hash
from choreo.data.formats.source import Skipped
from choreo.data.plan import ImportOptions, Plan, as_recorded, make_plan, same_request
from choreo.data.statistics import Statistics
from choreo.errors import UsageError
from choreo.replay.header import record_layout
from choreo.replay.storage import Replay

PARTIAL = "partial"
PROGRESS = "import.json"
COMMIT_BYTES = 64 * 2**20  # written between two points an import can go on from [ours]
SEGMENTS = 16  # files a set aims at [ours]
LEAST_SEGMENT, MOST_SEGMENT = 2**20, 256 * 2**20  # bytes of one, so that maps stay few [ours]

Report = Callable[[int, int], None]
"""Called with episodes done and in all."""


@dataclass
class Progress:
    """How far an import has come; what `import.json` holds."""

    request: dict[str, Any]
    next: int = 0
    layout: Layout = field(default_factory=dict)
    observations: tuple[str, ...] = ()
    segment_steps: int = 0
    action_repeat: int | None = None
    replay: dict[str, Any] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)
    skipped: Skipped = field(default_factory=Skipped)
    finishing: bool = False
    copies: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> "Progress":
        layout = {key: (tuple(shape), kind) for key, (shape, kind) in state["layout"].items()}
        parts = {
            "layout": layout,
            "observations": tuple(state["observations"]),
            "statistics": Statistics.from_json(state["statistics"]),
            "skipped": Skipped(**state["skipped"]),
            "copies": None if state.get("copies") is None else tuple(state["copies"]),
        }
        return cls(**{**state, **parts})


def import_data(
    source: Path, folder: Path, options: ImportOptions | None = None, report: Report | None = None
) -> dict[str, Any]:
    """Import recorded data into `folder`; an import that was stopped goes on from where it was.

    The result does not depend on whether it was stopped. Actions are scaled to [-1, 1].

    Args:
        source: folder or file of any format that is read.
        folder: a new folder, or one with an unfinished import of the same data.
        options: what to take and how.
        report: told of the progress.

    Returns:
        The data card, as in `folder/card.json`.

    Raises:
        BadEpisode: an episode cannot be used, and `skip_bad` is not set; the same command with it
            goes on from there.
        UsageError: source or folder do not fit, no episode can be used, or another process is
            importing into the folder.
        StorageError: the disk is full.
    """
    plan = make_plan(source, options or ImportOptions())
    folder = Path(folder)
    with claimed(folder):
        card = read_card(folder)
        if card is not None:
            return _finished(card, plan, folder)
        work = _Import(plan, folder)
        work.read(report)
        return work.finish()


def _finished(card: dict[str, Any], plan: Plan, folder: Path) -> dict[str, Any]:
    """The card of an import that was finished before."""
    if same_request(card.get("request"), plan.request()):
        return card
    raise UsageError(f"{folder} holds other data, as its card.json tells. Give a new folder.")


class _Import:
    """One import: episodes into `partial`, which becomes `replay` in the end."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.progress = self._found() or Progress(json.loads(json.dumps(plan.request())))
        self.replay: Replay | None = None
        self._pending = 0
        source = plan.source
        source.reading = replace(source.reading, copies=self.progress.copies)
        if self.progress.layout and not self.progress.finishing:
            self.replay = self._replay()
            self.replay.restore(self.progress.replay)

    def read(self, report: Report | None) -> None:
        """Read every episode that is not read yet."""
        if self.progress.finishing:
            return
        total = len(self.plan.source.names)
        try:
            for index in range(self.progress.next, total):
                self._take(index)
                self.progress.next = index + 1
                if report is not None:
                    report(index + 1, total)
                if self._pending >= COMMIT_BYTES:
                    self.commit()
        except BadEpisode:
            self.commit()  # nothing of it was stored
            raise
        self.commit()

    def commit(self) -> None:
        """Make everything read so far survive."""
        self._pending = 0
        self.progress.copies = self.plan.source.reading.copies
        if self.replay is not None:
            self.replay.flush()
            self.progress.replay = self.replay.state()
        write_json(self.folder / PROGRESS, self.progress.to_json())

    def finish(self) -> dict[str, Any]:
        """Scale the actions where that had to wait, hash the files and write the card."""
        progress, plan = self.progress, self.plan
        if not progress.statistics.episodes:
            wrong = "".join(f"\n  - {line}" for line in progress.skipped.sentences())
            raise UsageError(
                f"None of the {progress.next} episodes of {plan.source.path} can be used:{wrong}"
            )
        bounds = plan.bounds or observed_bounds(
            progress.statistics.action_low, progress.statistics.action_high
        )
        progress.finishing = True
        self.commit()
        if self.replay is not None:
            self.replay.close()
        scale = bounds
        if plan.options.rescale:
            statistics = progress.statistics
            own = as_recorded(plan.source, bounds) or bounds
            scale = own.widened(statistics.action_low, statistics.action_high)
        late = scale if plan.recorded is None and self._to_scale(scale) else None
        finish_segments(self.folder / PARTIAL, self.folder / "replay", progress.replay, late)
        card = self._card(bounds)
        write_card(self.folder, card)
        (self.folder / PROGRESS).unlink()
        return read_card(self.folder) or card

    def _to_scale(self, bounds: Bounds) -> bool:
        """Whether the actions as recorded are not in [-1, 1]."""
        statistics = self.progress.statistics
        return not bounds.unit or min(statistics.action_low) < -1 or max(statistics.action_high) > 1

    def _take(self, index: int) -> None:
        """Read and store the episodes of one recording, or pass it over."""
        try:
            episodes = self.plan.source.episodes_of(index)
            for episode in episodes:
                self._check(episode)
        except BadEpisode as error:
            if not self.plan.options.skip_bad:
                raise
            self.progress.skipped.add(error)
        else:
            for episode in episodes:
                self._store(episode)

    def _check(self, episode: EpisodeData) -> None:
        check_finite(episode)
        if self.progress.layout:
            check_layout(episode, self.progress.layout)
        self._check_repeat(episode)
        if self.plan.recorded is not None and not self.plan.options.clip:
            self.plan.recorded.check(episode)
        elif self.plan.bounds is not None:
            self.plan.bounds.check_size(episode)

    def _check_repeat(self, episode: EpisodeData) -> None:
        """An episode tells what the set or, without that, its first episode told."""
        found, declared = episode.action_repeat, self.plan.action_repeat
        first = declared is None and not self.progress.layout
        wanted = self.progress.action_repeat or declared
        if first or found == wanted or (found is None and declared is not None):
            return
        found, wanted = (str(one or "not told") for one in (found, wanted))
        raise BadEpisode(
            episode.origin,
            f"its action repeat is {found}, that of the others {wanted}",
            "Import data of unlike action repeats apart, say with --action-repeat what is not told",
        )

    def _store(self, episode: EpisodeData) -> None:
        progress = self.progress
        if not progress.layout:
            self._begin(episode)
        assert self.replay is not None
        if progress.action_repeat is None:
            progress.action_repeat = self.plan.action_repeat or episode.action_repeat
        steps = dict(episode.steps)
        if self.plan.recorded is not None:
            steps[ACTION] = self.plan.recorded.scale(steps[ACTION])
            steps[ACTION][0] = 0
        self.replay.extend(0, steps)
        progress.statistics.add(episode)
        self._pending += sum(values.nbytes for values in steps.values())

    def _begin(self, first: EpisodeData) -> None:
        """Choose the form of the set by its first good episode."""
        self.plan.check_layout(first.layout, first.observations)
        row = record_layout(first.layout).itemsize
        source = self.plan.source
        rows = source.expected_steps() or -(-source.bytes() // row)
        wanted = min(max(rows * row // SEGMENTS, LEAST_SEGMENT), MOST_SEGMENT)
        self.progress.layout = first.layout
        self.progress.observations = first.observations
        self.progress.segment_steps = max(1, wanted // row)
        self.replay = self._replay()

    def _replay(self) -> Replay:
        steps = self.progress.segment_steps
        return Replay(self.folder / PARTIAL, self.progress.layout, 1, segment_steps=steps)

    def _found(self) -> Progress | None:
        """What an earlier import of the same data left."""
        path = self.folder / PROGRESS
        if not path.is_file():
            ours = (PARTIAL, f".{PROGRESS}.tmp")  # all that one killed at its start leaves
            if self.folder.is_dir() and any(p.name not in ours for p in self.folder.iterdir()):
                raise UsageError(f"{self.folder} is not empty. Give a new folder for the import.")
            shutil.rmtree(self.folder / PARTIAL, ignore_errors=True)
            return None
        try:
            with reading(path):
                found = Progress.from_json(read_json(path, self.folder))
        except BadFile as error:
            remedy = f"Remove {self.folder} and import again"
            raise BadFile(path, error.wrong, remedy) from error
        if not same_request(found.request, self.plan.request()):
            raise UsageError(
                f"{self.folder} holds an unfinished import of other data or with other options. "
                "Give a new folder, or the source and options it was begun with."
            )
        return found

    def _card(self, bounds: Bounds) -> dict[str, Any]:
        progress, source = self.progress, self.plan.source
        statistics = progress.statistics
        spec = self.plan.env_spec(
            source.path.resolve().name.removesuffix(source.path.suffix or " "),
            progress.layout,
            progress.observations,
            bounds,
            progress.action_repeat,
            statistics.longest,
        )
        files = hash_files(self.folder / "replay")
        known = source.spec()
        return {
            "kind": IMPORTED,
            "spec": spec.to_json(),
            "source": {
                **source.describe(),
                "path": str(source.path.resolve()),
                "environment": None if known is None else known.id,
            },
            "request": progress.request,
            "versions": versions(),
            "actions": {
                **bounds.to_json(),
                "recorded_low": statistics.action_low,
                "recorded_high": statistics.action_high,
            },
            "action_repeat_known": progress.action_repeat is not None,
            **statistics.summary(),
            "skipped": asdict(progress.skipped),
            "notes": [*source.notes(), *_counted(statistics.notes)],
            "replay": progress.replay,
            "files": files,
            "sha256": set_hash(files),
        }


def _counted(notes: dict[str, int]) -> list[str]:
    return [f"{note} ({count} episodes)" for note, count in sorted(notes.items())]
