"""HDF5 files with one group per episode: robomimic's form, Minari's, and flat groups."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from choreo.data.episode import (
    ACTION,
    REWARD,
    BadEpisode,
    EpisodeData,
    Reading,
    Steps,
    complete,
    flattened,
    from_transitions,
)
from choreo.data.formats.source import Source, need
from choreo.errors import UsageError

SUFFIXES = (".hdf5", ".h5", ".hdf")
ACTIONS = ("actions", "action")
PER_ACTION = {
    ACTION: ACTIONS,
    REWARD: ("rewards", "reward"),
    "is_terminal": ("terminals", "terminations", "is_terminal"),
}
SEEN = ("observations", "obs")
NEXT = ("next_observations", "next_obs", "next_observation")
DONES = ("dones", "done")
CUTS = ("timeouts", "truncations")
IGNORED = ("infos",)
REPEAT = "action_repeat"
ROOT = "data"  # the group that robomimic keeps its episodes in


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
        self._places = [(file, group) for file in self._paths for group in self._groups(file)]
        if not self._places:
            raise UsageError(
                f"{path} holds no group with {' or '.join(ACTIONS)}. Give files with one group per "
                "episode; cut one long recording into episodes first."
            )
        self.names = [f"{file}: {group}" if group else str(file) for file, group in self._places]

    def files(self) -> list[Path]:
        return self._paths

    def read(self, index: int) -> EpisodeData:
        file, group = self._places[index]
        try:
            with self._h5py.File(file, "r") as opened:
                repeat = opened.attrs.get("action_repeat")
                found = opened[group]
                repeat = found.attrs.get("action_repeat", repeat)
                tree = _arrays(found)
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            raise BadEpisode(
                self.names[index], f"it cannot be read ({error})", "Copy it again or remove it"
            ) from error
        if repeat is not None:
            tree[REPEAT] = np.asarray(repeat)
        return episode_of(tree, self.names[index], self.reading)

    def _groups(self, file: Path) -> list[str]:
        """Names of the episodes of a file; of one that cannot be opened, one that fails later."""
        try:
            with self._h5py.File(file, "r") as opened:
                found = opened.get(ROOT, opened)
                groups = self._h5py.Group
                names = [
                    child.name
                    for child in found.values()
                    if isinstance(child, groups) and any(name in child for name in ACTIONS)
                ]
        except (OSError, RuntimeError, AttributeError):
            return [""]
        return sorted(names, key=_natural)


def hdf5_files(folder: Path) -> list[Path]:
    """The HDF5 files of a folder and of those in it."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)


def episode_of(tree: dict[str, Any], origin: str, reading: Reading) -> EpisodeData:
    """An episode from the arrays of one group, nested as its groups are."""
    tree = {name: values for name, values in tree.items() if name not in IGNORED}
    found = {key: _take(tree, names) for key, names in PER_ACTION.items()}
    per_action = {key: values for key, values in found.items() if values is not None}
    notes = _ends(tree, per_action)
    if "is_first" in tree:
        groups = {name: child for name, child in tree.items() if isinstance(child, Mapping)}
        plain = {name: child for name, child in tree.items() if name not in groups}
        nested = {n: v for group in groups.values() for n, v in flattened(group).items()}
        return complete({**plain, **nested, **per_action}, origin, reading, notes)
    seen, after = _take(tree, SEEN), _take(tree, NEXT)
    beside = {n: v for n, v in tree.items() if seen is None or n in (*reading.keep, REPEAT)}
    steps = beside if seen is None else beside | flattened(seen)
    if after is not None:
        single = "" if isinstance(after, Mapping) else next(iter(steps), "")
        steps = _with_last(steps, flattened(after, single), origin)
    return from_transitions(steps, per_action, origin, reading, notes)


def _ends(tree: dict[str, Any], per_action: dict[str, Any]) -> list[str]:
    """Take what else tells of ends out of the tree, and say what was not believed.

    `dones` alone mark ends of any kind: robomimic's own script (dataset_states_to_obs.py) writes
    success, the end of a trajectory or both there, and does not store which. With a flag for cut
    episodes beside it, the others terminated.
    """
    done, cut = _take(tree, DONES), _take(tree, CUTS)
    if done is None or "is_terminal" in per_action:
        return []
    known = all(np.asarray(flag).dtype.kind in "biuf" for flag in (done, cut))
    if not known or np.shape(done) != np.shape(cut):
        return ["'dones' tells of an end, not of why"]
    per_action["is_terminal"] = np.asarray(done, bool) & ~np.asarray(cut, bool)
    return []


def _take(tree: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Remove the entries of these names and return the first, None when there is none."""
    taken = [tree.pop(name) for name in names if name in tree]
    return taken[0] if taken else None


def _with_last(steps: Steps, after: Steps, origin: str) -> Steps:
    """Observations (T, ...) with the last of those that followed them: (T + 1, ...)."""
    for name in steps.keys() & after.keys():
        forms = {(np.shape(v)[1:], np.asarray(v).dtype) for v in (steps[name], after[name])}
        if len(forms) > 1 or not np.ndim(after[name]) or not np.ndim(steps[name]):
            raise BadEpisode(
                origin,
                f"'{name}' is {_form(steps[name])}, and what followed it {_form(after[name])}",
                "Write both alike",
            )
    return {
        name: np.concatenate([values, after[name][-1:]]) if name in after else values
        for name, values in steps.items()
    }


def _form(values: Any) -> str:
    return f"{np.asarray(values).dtype}{list(np.shape(values))}"


def _arrays(group: Any) -> dict[str, Any]:
    """The arrays of a group, nested as its groups are."""
    return {
        name: _arrays(child) if isinstance(child, Mapping) else child[()]
        for name, child in group.items()
    }


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which `demo_9` comes before `demo_10`."""
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
