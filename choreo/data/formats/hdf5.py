"""HDF5 files: a group per episode (robomimic, Minari, flat groups), one per file, or one long one.

D4RL keeps all episodes end to end in arrays at the root, and tells their ends by `terminals` and
`timeouts`; ALOHA one episode at the root of each file.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from choreo.data.arrays import Array, Tree, rows_of, with_last
from choreo.data.episode import (
    ACTION,
    DISCOUNT,
    REWARD,
    BadEpisode,
    EpisodeData,
    Reading,
    complete_all,
    flattened,
    from_transitions,
)
from choreo.data.files import BadFile, plain_file, plain_files
from choreo.data.formats.hdf5_tree import Hdf5File
from choreo.data.formats.source import Source, need
from choreo.data.observations import NUMBERS
from choreo.data.reading import RESERVED, renamed
from choreo.errors import UsageError
from choreo.schema import in_words

SUFFIXES = (".hdf5", ".h5", ".hdf")
ACTIONS = ("actions", "action")
ENDS = ("terminals", "terminations", "is_terminal")
PER_ACTION = {
    ACTION: ACTIONS,
    REWARD: ("rewards", "reward"),
    "is_terminal": ENDS,
    DISCOUNT: ("discounts", "discount"),
    "is_last": ("is_last",),
}
SEEN = ("observations", "obs")
NEXT = ("next_observations", "next_obs", "next_observation")
DONES = ("dones", "done")
CUTS = ("timeouts", "truncations")
IGNORED = ("infos", "metadata")
REPEAT = "action_repeat"
ROOT = "data"  # the group that robomimic keeps its episodes in
PLACE = re.compile(r"_index_(\d+)")  # how Minari names the places of a tuple


class Place(NamedTuple):
    """Where an episode lies: a group of a file, all of it or some of its rows."""

    file: Path
    group: str
    rows: tuple[int, int, int] | None = None
    """First row, that behind the last, and the rows of the whole recording at the root."""

    def __str__(self) -> str:
        told = f"{self.file}: {self.group}" if self.group.strip("/") else str(self.file)
        return told if self.rows is None else f"{told}, rows {self.rows[0]} to {self.rows[1]}"


class Hdf5Source(Source):
    """One file, or the files of a folder; an episode is a group that holds actions.

    Observations are the entries of `obs` or `observations`, or else every other array of the
    group. With as many observations as actions, and no `next_obs`, the last action leads nowhere
    and is left out; a group with `is_first` is in this project's timing.
    """

    format = "hdf5"

    def __init__(self, path: Path, reading: Reading) -> None:
        super().__init__(path, reading)
        self._h5py = need("h5py", "HDF5 data")
        self._paths = hdf5_files(self.path) if self.path.is_dir() else [self.path]
        told = [other for own, other in reading.named if own == ACTION]
        self._actions = (*(other.split("/")[0] for other in told), *ACTIONS)
        self._broken: dict[Path, BadFile] = {}
        self._places = [place for file in self._paths for place in self._places_in(file)]
        if not self._places:
            raise UsageError(
                f"{self._paths[0]} holds no group with {' or '.join(self._actions)}, only "
                f"{in_words(self._shown())}. Tell the name of the actions with --map action=NAME."
            )
        self.names = list(map(str, self._places))

    def files(self) -> list[Path]:
        return self._paths

    def read(self, index: int) -> list[EpisodeData]:
        place, name = self._places[index], self.names[index]
        if place.file in self._broken:
            raise self._broken[place.file]
        with Hdf5File(self._h5py, plain_file(place.file, self.path)) as file:
            group = file.group(place.group)
            tree = file.tree(group, IGNORED)
            repeat = group.attrs.get(REPEAT, file.root.attrs.get(REPEAT))
            if repeat is not None:
                tree[REPEAT] = np.asarray(repeat)
            if place.rows is None:
                return episodes_of(tree, name, self.reading)
            return [episode_of(rows_of(tree, *place.rows), name, self.reading)]

    def _places_in(self, file: Path) -> list[Place]:
        """The episodes of a file; of one that cannot be opened, one whose reading says so."""
        try:
            with Hdf5File(self._h5py, plain_file(file, self.path)) as opened:
                if self._has_actions(opened, opened.root):
                    return self._recording(opened)
                below = opened.child(opened.root, ROOT)
                found = below if opened.is_group(below) else opened.root
                names = [n for n in opened.names(found) if n != ROOT]
                children = {n: opened.child(found, n) for n in names}
                groups = [c.name for c in children.values() if self._has_actions(opened, c)]
        except BadFile as error:
            self._broken[file] = error
            return [Place(file, "")]
        return [Place(file, group) for group in sorted(groups, key=_natural)]

    def _has_actions(self, file: Hdf5File, entry: Any) -> bool:
        return file.is_group(entry) and any(file.has(entry, name) for name in self._actions)

    def _recording(self, file: Hdf5File) -> list[Place]:
        """The episodes of arrays at the root of a file, by the ends that it tells."""
        names = [name for name in (*DONES, *CUTS, *ENDS) if name in file.names(file.root)]
        flags = [file.flag(file.child(file.root, name), name) for name in names]
        starts = _starts(flags)
        if len(starts) < 2:
            return [Place(file.path, "")]
        pieces = [(a, b) for a, b in pairwise(starts) if b - a > 1]
        return [Place(file.path, "", (a, b, starts[-1])) for a, b in pieces]

    def _shown(self) -> list[str]:
        """The first few names of the first file."""
        for file in self._paths:
            with Hdf5File(self._h5py, plain_file(file, self.path)) as opened:
                return sorted(opened.names(opened.root))[:10]
        return []


def hdf5_files(folder: Path) -> list[Path]:
    """The HDF5 files of a folder and of those in it."""
    return plain_files(folder, SUFFIXES)


def episodes_of(tree: Tree, origin: str, reading: Reading) -> list[EpisodeData]:
    """The episodes in the arrays of one group, which flags of cut episodes may divide."""
    if "is_first" in tree:
        return _in_own_timing(tree, origin, reading)
    cuts = [np.asarray(tree[name]) for name in CUTS if np.ndim(tree.get(name, 0))]
    starts = _starts(cuts)
    if len(starts) < 3:
        return [episode_of(tree, origin, reading)]
    pieces = [(a, b) for a, b in pairwise(starts) if b - a > 1]
    return [
        episode_of(rows_of(tree, a, b, starts[-1]), f"{origin}, rows {a} to {b}", reading)
        for a, b in pieces
    ]


def episode_of(tree: Tree, origin: str, reading: Reading) -> EpisodeData:
    """An episode from the arrays of one group, nested as its groups are."""
    if "is_first" in tree:
        return _in_own_timing(tree, origin, reading)[0]
    tree = _named({name: v for name, v in tree.items() if name not in IGNORED}, origin, reading)
    found = {key: _take(tree, names) for key, names in PER_ACTION.items()}
    per_action = {key: values for key, values in found.items() if values is not None}
    notes = _ends(tree, per_action)
    seen, after = _take(tree, SEEN), _take(tree, NEXT)
    declared = {} if seen is None else flattened(_places_named(seen))
    steps = flattened({n: v for n, v in tree.items() if n not in declared}) | declared
    if after is not None:
        single = () if isinstance(after, Mapping) else (next(iter(declared or steps), ""),)
        steps = _with_last(steps, flattened(_places_named(after), single), origin)
    odd = [n for n, v in per_action.items() if isinstance(v, Mapping)]
    if odd:
        raise BadEpisode(origin, f"{odd} should be arrays and are groups", "Tell others with --map")
    return from_transitions(steps, per_action, origin, reading, notes, declared)


def _in_own_timing(tree: Tree, origin: str, reading: Reading) -> list[EpisodeData]:
    """Episodes whose arrays have a row per step, that of the reset included."""
    tree = _named({name: v for name, v in tree.items() if name not in IGNORED}, origin, reading)
    found = {key: _take(tree, names) for key, names in PER_ACTION.items()}
    per_action = {key: values for key, values in found.items() if values is not None}
    notes = _ends(tree, per_action)
    groups = {name: child for name, child in tree.items() if isinstance(child, Mapping)}
    plain = {name: child for name, child in tree.items() if name not in groups}
    nested = {n: v for group in groups.values() for n, v in flattened(group).items()}
    return complete_all({**plain, **nested, **per_action}, origin, reading, notes)


def _named(tree: Tree, origin: str, reading: Reading) -> Tree:
    """The tree with the names of `--map`, which may be paths in it such as obs/command."""
    if not reading.named:
        return tree
    paths: Tree = {}
    for own, other in reading.named:
        parts = other.split("/")
        found: Any = tree
        for part in parts:
            found = found.get(part) if isinstance(found, Mapping) else None
        if found is not None:
            paths[other] = found
        for alias in PER_ACTION.get(own, ()) if own in RESERVED else ():
            tree.pop(alias, None)
    given = renamed({**tree, **paths}, reading, origin)
    return {name: v for name, v in given.items() if name in tree or name not in paths}


def _places_named(tree: Any) -> Any:
    """A tree in which places of a tuple are their numbers."""
    if not isinstance(tree, Mapping):
        return tree
    return {
        (found[1] if (found := PLACE.fullmatch(name)) else name): _places_named(child)
        for name, child in tree.items()
    }


def _starts(flags: Sequence[np.ndarray]) -> list[int]:
    """Where episodes begin in a recording, from flags of their last rows; the end comes last."""
    rows = {flag.shape[0] for flag in flags if flag.size == flag.shape[0]}
    known = all(flag.dtype.kind in NUMBERS and flag.size == flag.shape[0] for flag in flags)
    if len(rows) != 1 or not known:
        return []
    (steps,) = rows
    last = np.any([flag.reshape(steps) != 0 for flag in flags], axis=0)
    return [0, *(np.flatnonzero(last[:-1]) + 1).tolist(), steps]


def _ends(tree: Tree, per_action: dict[str, Any]) -> list[str]:
    """Take what else tells of ends out of the tree, and say what was not believed.

    `dones` alone mark ends of any kind: robomimic's own script (dataset_states_to_obs.py) writes
    success, the end of a trajectory or both there, and does not store which. With a flag for cut
    episodes beside it, the others terminated.
    """
    done, cut = _take(tree, DONES), _take(tree, CUTS)
    if done is None or "is_terminal" in per_action:
        return []
    known = all(np.ndim(f) and f.dtype.kind in NUMBERS for f in (done, cut) if f is not None)
    if cut is None or not known or np.shape(done) != np.shape(cut):
        return ["'dones' tells of an end, not of why"]
    per_action["is_terminal"] = np.asarray(done, bool) & ~np.asarray(cut, bool)
    return []


def _take(tree: Tree, names: tuple[str, ...]) -> Any:
    """Remove the entries of these names and return the first, None when there is none."""
    taken = [tree.pop(name) for name in names if name in tree]
    return taken[0] if taken else None


def _with_last(steps: dict[str, Array], after: dict[str, Array], origin: str) -> dict[str, Array]:
    """Observations (T, ...) with the last of those that followed them: (T + 1, ...)."""
    for name in steps.keys() & after.keys():
        forms = {(np.shape(v)[1:], v.dtype) for v in (steps[name], after[name])}
        if len(forms) > 1 or not np.ndim(after[name]) or not np.ndim(steps[name]):
            raise BadEpisode(
                origin,
                f"'{name}' is {_form(steps[name])}, and what followed it {_form(after[name])}",
                "Write both alike",
            )
    return {
        n: with_last(v, after[n]) if n in after and len(after[n]) else v for n, v in steps.items()
    }


def _form(values: Array) -> str:
    return f"{values.dtype}{list(np.shape(values))}"


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which `demo_9` comes before `demo_10`."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
