"""Data of this project's form as files for others: npz episodes and Minari data sets."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from choreo.data.bounds import Bounds
from choreo.data.card import EPISODES, versions, write_card
from choreo.data.claim import claimed
from choreo.data.episode import ACTION, RESERVED, REWARD, EpisodeData, Reading
from choreo.data.formats.detect import open_source
from choreo.data.formats.npz import write_episode
from choreo.data.formats.replay_folder import ReplaySource
from choreo.data.formats.source import need
from choreo.data.plan import as_recorded
from choreo.data.reading import FLAGS
from choreo.envs.flatten import SEPARATOR
from choreo.envs.spaces import EnvSpec
from choreo.errors import ChoreoError, UsageError
from choreo.replay.segments import sync, writing
from choreo.schema import in_words

To = Literal["npz", "minari"]
SCALED = 1e-4  # by which actions may differ after they were scaled and scaled back [ours]
Report = Callable[[int, int], None]


def export_data(source: Path, folder: Path, to: To, report: Report | None = None) -> Path:
    """Write the episodes of a run folder or an imported set as files for others.

    The folder is there when all of it is written and has been read again; an export that was
    stopped begins anew.

    Args:
        source: run folder or imported set.
        folder: a new or empty folder.
        to: "npz" writes one file per episode in ExORL's layout, actions in [-1, 1], with a card;
            "minari" writes a Minari data set (HDF5, images unchanged), actions in the units of the
            environment.
        report: told of episodes done and in all.

    Returns:
        The folder.

    Raises:
        UsageError: the source is of another form, the folder is not empty, Minari is missing or
            has no place for a key, or another process is exporting into the folder.
        StorageError: the disk is full.
        ChoreoError: what was written does not read back as it was.
    """
    opened = open_source(source)
    if not isinstance(opened, ReplaySource):
        raise UsageError(
            f"{source} is {opened.format} data. Import it first (`choreo data import`), then "
            "export what was imported."
        )
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already. Give a new folder for the export.")
    spec = opened.spec()
    extras = tuple(k for k in opened.replay.keys if k not in (*spec.observations, *RESERVED))
    full = ReplaySource(source, Reading(keep=extras))
    partial = folder.with_name(f".{folder.name}.partial")
    with claimed(partial):
        for left in partial.iterdir():  # by an export that was killed
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        (_to_npz if to == "npz" else _to_minari)(full, partial, report)
        _read_back(full, partial)
        with writing(folder):
            partial.replace(folder)
            sync(folder.resolve().parent)
    return folder


def _read_back(source: ReplaySource, folder: Path) -> None:
    """Read what was written with its own reader, and compare every episode with the source.

    Raises:
        ChoreoError: an episode is missing or another one.
    """
    observations = tuple(source.spec().observations)
    written = open_source(folder, Reading(observations))
    bounds = as_recorded(written, _bounds(source.spec())) or _bounds(source.spec())
    if len(written.names) != len(source.names):
        raise _not_the_same(source, f"{len(written.names)} of {len(source.names)} episodes", folder)
    for one, other in zip(source.episodes(), written.episodes(), strict=True):
        for name in (*observations, REWARD, *FLAGS):
            if not np.array_equal(one.steps[name], other.steps[name]):
                raise _not_the_same(source, f"'{name}' of {other.origin}", folder)
        acted = bounds.scale(other.steps[ACTION][1:])
        if not np.allclose(acted, one.steps[ACTION][1:], rtol=0, atol=SCALED):
            raise _not_the_same(source, f"'{ACTION}' of {other.origin}", folder)


def _not_the_same(source: ReplaySource, what: str, folder: Path) -> ChoreoError:
    return ChoreoError(
        f"The export of {source.path} does not read back as it was: {what}. Nothing was kept; see "
        f"whether the disk of {folder.parent} is sound, and export again."
    )


def _bounds(spec: EnvSpec) -> Bounds:
    return Bounds(spec.action_low, spec.action_high, "its card")


def _to_npz(source: ReplaySource, folder: Path, report: Report | None) -> None:
    total = len(source.names)
    for index, episode in enumerate(source.episodes()):
        write_episode(folder, index, episode.steps)
        if report is not None:
            report(index + 1, total)
    origin = (source.card or {}).get("source", {})
    card = {
        "kind": EPISODES,
        "spec": source.spec().to_json(),
        "source": {**source.describe(), "environment": origin.get("environment")},
        "versions": versions(),
    }
    write_card(folder, card)


def _to_minari(source: ReplaySource, folder: Path, report: Report | None) -> None:
    storages = need("minari.dataset.minari_storage", "Export to Minari")
    buffers = need("minari.data_collector.episode_buffer", "Export to Minari")
    spec = source.spec()
    bounds = _bounds(spec)
    data = folder.resolve() / "data"  # the library loses its way in relative paths
    with writing(folder):
        data.mkdir(parents=True)
        storage = storages.MinariStorage.new(
            data, *_spaces(spec), data_format="hdf5", jpeg_encoding=False
        )
        storage.update_metadata(
            {
                "dataset_id": f"choreo/{_name(spec.id)}-v0",
                "minari_version": need("minari", "Export to Minari").__version__,
                "action_repeat": spec.action_repeat,
            }
        )
        total = len(source.names)
        for index, episode in enumerate(source.episodes()):
            storage.update_episodes([_buffer(episode, bounds, buffers.EpisodeBuffer)])
            if report is not None:
                report(index + 1, total)


def _buffer(episode: EpisodeData, bounds: Bounds, kind: Any) -> Any:
    """An episode as Minari takes it: T + 1 observations and T of everything else."""
    steps = episode.steps
    observations = {key: _outward(steps[key]) for key in episode.observations}
    single = tuple(observations) == ("observation",)
    return kind(
        observations=observations["observation"] if single else nested(observations),
        actions=bounds.unscale(steps[ACTION][1:]),
        rewards=steps["reward"][1:].astype(np.float64),
        terminations=steps["is_terminal"][1:],
        truncations=(steps["is_last"] & ~steps["is_terminal"])[1:],
        infos=None,
    )


def _spaces(spec: EnvSpec) -> tuple[Any, Any]:
    """Spaces of the observations and of the actions."""
    from gymnasium.spaces import Box

    boxes: dict[str, Any] = {
        key: Box(0, 255, (*array.shape[1:], array.shape[0]), np.uint8)
        if array.is_image
        else Box(-np.inf, np.inf, array.shape, np.float32)
        for key, array in spec.observations.items()
    }
    low, high = (np.array(ends, np.float32) for ends in (spec.action_low, spec.action_high))
    single = tuple(boxes) == ("observation",)
    actions = Box(low, high, dtype=np.float32)
    return boxes["observation"] if single else _dict(nested(boxes)), actions


def _dict(tree: dict[str, Any]) -> Any:
    """Nested boxes as a `Dict` space."""
    from gymnasium.spaces import Dict

    return Dict({k: _dict(v) if isinstance(v, dict) else v for k, v in tree.items()})


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Keys joined with "/" as the nested dicts that they stand for.

    Raises:
        UsageError: a key is also the beginning of another, or has an empty step.
    """
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *groups, last = key.split(SEPARATOR)
        place = tree
        for group in groups:
            place = place.setdefault(group, {}) if isinstance(place, dict) else None
        if not all((*groups, last)) or not isinstance(place, dict) or last in place:
            raise UsageError(
                f"Minari has no place for the observation '{key}' among "
                f"{in_words(sorted(flat))}. Export with --to npz."
            )
        place[last] = value
    return tree


def _outward(values: np.ndarray) -> np.ndarray:
    """Images with the colours last, as others have them."""
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def _name(id: str) -> str:
    """An id in the letters that Minari allows."""
    return "".join(c if c.isalnum() else "_" for c in id.removeprefix("data:")).strip("_") or "data"
