"""One recorded episode in the project's convention, whatever file it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from choreo.errors import UsageError

ACTION, REWARD, DISCOUNT = "action", "reward", "discount"
FLAGS = ("is_first", "is_last", "is_terminal")
RESERVED = (ACTION, REWARD, DISCOUNT, *FLAGS)

# What URLB's and ExORL's buffers store beside observations: the simulator's state, and the skill
# or task vector of the algorithm that collected.
EXTRAS = ("physics", "skill", "task", "z", "option", "meta", "step_type", "action_repeat")

STACK = 3  # channels of the newest picture in a stack of frames
CHANNELS = (1, 3, 4)  # channels a picture may have [ours]

Steps = dict[str, np.ndarray]
Layout = dict[str, tuple[tuple[int, ...], str]]


class BadEpisode(UsageError):
    """One episode cannot be used; the others of its set may."""

    def __init__(self, origin: str, wrong: str, remedy: str) -> None:
        super().__init__(f"{origin}: {wrong}. {remedy}, or leave it out with --skip-bad.")
        self.origin, self.wrong = origin, wrong


@dataclass(frozen=True)
class Reading:
    """How the arrays of an episode become observations."""

    keys: tuple[str, ...] | None = None
    """Observations to take; None takes every vector and image that is not known as an extra."""
    keep: tuple[str, ...] = ()
    """Further arrays to store beside them, such as physics, which agents do not see."""
    image_size: int | None = None
    """Height and width images are resized to, in pixels; None leaves them as they are."""


@dataclass(frozen=True)
class EpisodeData:
    """T + 1 steps of one episode: row 0 is the reset, `action[t]` led to `observation[t]`.

    `steps` maps the observations (float32 vectors (T + 1, D), uint8 images (T + 1, C, H, W)), the
    extras asked for, `action` (T + 1, A) float32, `reward` (T + 1,) float32 received on arrival,
    and the three flags (T + 1,) bool. Row 0 has no action and no reward: both are 0.
    """

    steps: Steps
    origin: str
    """File, and the place in it, that the episode came from."""
    observations: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What was missing and filled in, left out or changed."""
    action_repeat: int | None = None
    found: dict[str, str] = field(default_factory=dict)
    """Dtype and shape of one step of every array of the file, as it was there."""

    def __len__(self) -> int:
        """Transitions, T."""
        return len(self.steps[ACTION]) - 1

    @property
    def layout(self) -> Layout:
        """Shape and dtype of one step, by key."""
        return {k: (v.shape[1:], str(v.dtype)) for k, v in sorted(self.steps.items())}


@dataclass
class _Draft:
    """An episode on its way to `EpisodeData`."""

    origin: str
    reading: Reading
    notes: list[str] = field(default_factory=list)

    def bad(self, wrong: str, remedy: str = "Write it again or remove it") -> BadEpisode:
        return BadEpisode(self.origin, wrong, remedy)


def complete(
    raw: Mapping[str, np.ndarray], origin: str, reading: Reading, notes: Sequence[str] = ()
) -> EpisodeData:
    """Bring the arrays of one episode, T + 1 rows each in the project's timing, into its form.

    A missing reward is 0. An episode ends where its arrays end, and it terminated there if
    `is_terminal` says so or, without that, if `discount` is 0.

    Raises:
        BadEpisode: arrays are missing, empty, of unlike lengths, or cannot be observations.
    """
    draft = _Draft(origin, reading, list(notes))
    rows = _rows(raw, draft)
    steps = _observations(raw, draft)
    observations = tuple(steps)
    for name in reading.keep:
        steps[name] = _kept(raw, name, draft)
    steps[ACTION] = _actions(raw, rows, draft)
    steps[REWARD] = _reward(raw, rows, draft)
    steps[ACTION][0], steps[REWARD][0] = 0, 0
    steps |= _flags(raw, rows, draft)
    known = _repeat(raw, draft)
    found = {k: f"{v.dtype}{list(v.shape[1:])}" for k, v in raw.items() if np.ndim(v)}
    return EpisodeData(steps, origin, observations, tuple(draft.notes), known, found)


def from_transitions(
    seen: Mapping[str, np.ndarray],
    per_action: Mapping[str, np.ndarray],
    origin: str,
    reading: Reading,
    notes: Sequence[str] = (),
) -> EpisodeData:
    """An episode from files that store with each observation the action taken there.

    Args:
        seen: observations and extras, (T + 1, ...), or (T, ...) where the last was not recorded:
            then the last action led nowhere and is left out.
        per_action: `action`, and where known `reward` and `is_terminal` on arrival, (T, ...).
        origin: file and place.
        reading: which arrays to take and how.
        notes: what is to be said of it.

    Raises:
        BadEpisode: as for `complete`.
    """
    flat = [name for name, values in per_action.items() if np.ndim(values) == 0]
    if flat or ACTION not in per_action:
        raise _Draft(origin, reading).bad(f"there are no rows of {flat or [ACTION]}")
    rows = {len(values) for values in seen.values() if np.ndim(values)}
    if len(per_action[ACTION]) in rows and len(rows) == 1:
        per_action = {name: values[:-1] for name, values in per_action.items()}
        notes = [*notes, "no observation after the last action: that action is left out"]
    return complete({**seen, **_arrivals(per_action)}, origin, reading, notes)


def _arrivals(per_action: Mapping[str, np.ndarray]) -> Steps:
    """Shift what belongs to T actions to the T + 1 rows they led to; row 0 is 0."""
    zero = {name: np.zeros((1, *v.shape[1:]), v.dtype) for name, v in per_action.items()}
    return {name: np.concatenate([zero[name], v]) for name, v in per_action.items()}


def flattened(tree: Any, name: str = "") -> Steps:
    """Arrays of nested dicts and tuples under names joined with "_"; one array is `observation`."""
    if isinstance(tree, Mapping):
        entries = [(str(key).replace(".", "_"), value) for key, value in tree.items()]
    elif isinstance(tree, tuple):
        entries = [(str(number), value) for number, value in enumerate(tree)]
    else:
        name = name or "observation"
        return {f"observation_{name}" if name in RESERVED else name: np.asarray(tree)}
    found: Steps = {}
    for key, value in entries:
        found |= flattened(value, f"{name}_{key}" if name else key)
    return found


def _rows(raw: Mapping[str, np.ndarray], draft: _Draft) -> int:
    """Rows of every array, after a check that they agree and hold a transition."""
    if ACTION not in raw:
        raise draft.bad(f"there is no 'action', only {sorted(raw)}", "Give episodes with actions")
    flat = [name for name, values in raw.items() if name in RESERVED and np.ndim(values) == 0]
    if flat:
        raise draft.bad(f"{flat} should have one row per step and have none")
    lengths = {name: len(v) for name, v in raw.items() if np.ndim(v) > 0 and _wanted(name, draft)}
    rows = lengths.get(ACTION, 0)
    odd = {name: length for name, length in lengths.items() if length != rows}
    if odd:
        raise draft.bad(f"it is cut short: 'action' has {rows} rows, but {_listed(odd)}")
    if rows == 0:
        raise draft.bad("it holds no step at all")
    if rows == 1:
        raise draft.bad("it holds a reset and no transition", "Remove it")
    return rows


def _wanted(name: str, draft: _Draft) -> bool:
    reading = draft.reading
    if name in RESERVED or name in reading.keep:
        return True
    return name not in EXTRAS if reading.keys is None else name in reading.keys


def _observations(raw: Mapping[str, np.ndarray], draft: _Draft) -> Steps:
    """The observations asked for, or all that can be ones."""
    keys = draft.reading.keys
    if keys is None:
        rest = [k for k in raw if k not in (*RESERVED, *EXTRAS, *draft.reading.keep)]
        keys = tuple(k for k in rest if np.ndim(raw[k]) > 0)
        draft.notes += [f"'{k}' is one value per episode: left out" for k in rest if k not in keys]
        extras = sorted(k for k in raw if k in EXTRAS and k not in draft.reading.keep)
        draft.notes += [f"'{name}' left out" for name in extras if name != "action_repeat"]
    missing = [name for name in keys if name not in raw]
    if missing or not keys:
        wanted = f"the observations {missing}" if missing else "an observation"
        raise draft.bad(f"{wanted} cannot be found in {sorted(raw)}", "Name others with --keys")
    return {name: _observation(raw[name], name, draft) for name in keys}


def _observation(values: np.ndarray, name: str, draft: _Draft) -> np.ndarray:
    """A vector (T + 1, D) float32 or an image (T + 1, C, H, W) uint8."""
    if values.ndim == 0:
        raise draft.bad(f"'{name}' is one value per episode", "Leave it out with --keys")
    if values.ndim <= 2:
        return _filled(_numbers(values, name, draft).reshape(len(values), -1), name, draft)
    if values.ndim != 4:
        raise draft.bad(
            f"'{name}' has shape {values.shape}; wanted vectors (T, D) or images (T, H, W, C)",
            "Name the observations to take with --keys",
        )
    if values.dtype != np.uint8:
        raise draft.bad(
            f"the images '{name}' are {values.dtype}, from {_range(values)}; wanted uint8",
            "Write them as whole numbers from 0 to 255",
        )
    image = _newest(_channels_first(values, name, draft), name, draft)
    size = draft.reading.image_size
    if size is None or image.shape[-2:] == (size, size):
        return np.ascontiguousarray(image)
    draft.notes.append(f"'{name}' resized from {image.shape[-2]} x {image.shape[-1]} to {size}")
    return resized(image, size)


def _channels_first(values: np.ndarray, name: str, draft: _Draft) -> np.ndarray:
    """Images (T, C, H, W) from either order of axes."""
    if 0 in values.shape:
        raise draft.bad(f"'{name}' has shape {values.shape}, which holds no pixel")
    if values.shape[1] < min(values.shape[2:]):
        return values
    if values.shape[3] < min(values.shape[1:3]):
        return values.transpose(0, 3, 1, 2)
    raise draft.bad(
        f"'{name}' has shape {values.shape}, where no axis can be the colours",
        "Give images (T, H, W, 3) or (T, 3, H, W)",
    )


def _newest(image: np.ndarray, name: str, draft: _Draft) -> np.ndarray:
    """The last picture of a stack of frames, as recurrent models need no stack."""
    channels = image.shape[1]
    if channels in CHANNELS:
        return image
    if channels % STACK:
        raise draft.bad(f"the images '{name}' have {channels} channels", "Give 1, 3 or 4 channels")
    draft.notes.append(
        f"'{name}' is a stack of {channels // STACK} frames; the last one of each was taken"
    )
    return image[:, -STACK:]


def resized(images: np.ndarray, size: int) -> np.ndarray:
    """Images (T, C, H, W) uint8 as (T, C, size, size), each pixel the mean of those it covers."""
    planes = images.reshape(-1, *images.shape[2:])
    box = Image.Resampling.BOX
    small = [np.asarray(Image.fromarray(plane).resize((size, size), box)) for plane in planes]
    return np.stack(small).reshape(*images.shape[:2], size, size)


def _actions(raw: Mapping[str, np.ndarray], rows: int, draft: _Draft) -> np.ndarray:
    """Actions (T + 1, A)."""
    if raw[ACTION].dtype.kind in "iub":
        raise draft.bad(
            f"its actions are discrete ({raw[ACTION].dtype})",
            "Agents act with continuous values; give data with floating-point actions",
        )
    return _filled(_numbers(raw[ACTION], ACTION, draft).reshape(rows, -1), ACTION, draft)


def _filled(values: np.ndarray, name: str, draft: _Draft) -> np.ndarray:
    """The same values; refuses those of which a step holds none."""
    if values.size == 0:
        raise draft.bad(f"'{name}' holds no number per step", "Leave it out with --keys")
    return values


def _repeat(raw: Mapping[str, np.ndarray], draft: _Draft) -> int | None:
    """Frames per step, where the file tells one number of them."""
    told = raw.get("action_repeat")
    if told is None or np.ndim(told):
        return None
    if np.asarray(told).dtype.kind not in "iuf" or told < 1 or told % 1 != 0:
        raise draft.bad(f"its action repeat is {told!s}", "Write a whole number from 1 on")
    return int(told)


def _numbers(values: np.ndarray, name: str, draft: _Draft) -> np.ndarray:
    """A new float32 array of numbers."""
    if values.dtype.kind not in "biuf":
        remedy = "Write numbers" if name in RESERVED else "Leave it out with --keys"
        raise draft.bad(f"'{name}' holds {values.dtype}; wanted numbers", remedy)
    with np.errstate(over="ignore"):
        return np.array(values, np.float32)


def _kept(raw: Mapping[str, np.ndarray], name: str, draft: _Draft) -> np.ndarray:
    """An extra as it is; physics stays as precise as it was."""
    if name not in raw or raw[name].dtype.kind not in "biuf" or raw[name].ndim == 0:
        raise draft.bad(f"there is no array '{name}' to keep, only {sorted(raw)}", "Change --keep")
    return np.ascontiguousarray(raw[name])


def _reward(raw: Mapping[str, np.ndarray], rows: int, draft: _Draft) -> np.ndarray:
    if REWARD not in raw:
        draft.notes.append("no reward: zeros")
        return np.zeros(rows, np.float32)
    reward = _numbers(raw[REWARD], REWARD, draft)
    if reward.size != rows:
        raise draft.bad(f"'reward' has shape {reward.shape}; wanted one number per step")
    return reward.reshape(rows)


def _flags(raw: Mapping[str, np.ndarray], rows: int, draft: _Draft) -> Steps:
    """The three flags; an episode that the file leaves open ends where its arrays end."""
    index = np.arange(rows)
    terminal = _terminal(raw, rows, draft)
    marked = _flag(raw, "is_last", rows, draft) if "is_last" in raw else terminal
    early = np.flatnonzero((marked | terminal)[:-1])
    if len(early):
        raise draft.bad(f"it goes on after its end in row {early[0]}", "Cut it there")
    return {"is_first": index == 0, "is_last": index == rows - 1, "is_terminal": terminal}


def _terminal(raw: Mapping[str, np.ndarray], rows: int, draft: _Draft) -> np.ndarray:
    """Where the episode terminated: (T + 1,) bool."""
    if "is_terminal" in raw:
        return _flag(raw, "is_terminal", rows, draft)
    if DISCOUNT in raw:
        discount = _numbers(raw[DISCOUNT], DISCOUNT, draft).reshape(rows, -1)
        if not np.isfinite(discount).all():
            raise draft.bad("'discount' is NaN or infinite", "Repair it")
        return (discount == 0).all(1) & (np.arange(rows) > 0)
    draft.notes.append("no discount: taken as cut and not as terminated")
    return np.zeros(rows, bool)


def _flag(raw: Mapping[str, np.ndarray], name: str, rows: int, draft: _Draft) -> np.ndarray:
    """One truth per step: (T + 1,) bool."""
    values = _numbers(raw[name], name, draft)
    if values.size != rows or not np.isfinite(values).all():
        raise draft.bad(f"'{name}' has shape {values.shape}; wanted one truth per step")
    return values.reshape(rows) != 0


def check_finite(episode: EpisodeData) -> None:
    """Raises BadEpisode where a number is NaN or infinite."""
    for name, values in episode.steps.items():
        if values.dtype.kind != "f" or np.isfinite(values).all():
            continue
        wrong = ~np.isfinite(values.reshape(len(values), -1)).all(1)
        raise BadEpisode(
            episode.origin,
            f"'{name}' is NaN or infinite in {wrong.sum()} of {len(values)} rows, "
            f"first in row {np.argmax(wrong)}",
            "Repair it",
        )


def check_layout(episode: EpisodeData, wanted: Layout) -> None:
    """Raises BadEpisode where keys, shapes or dtypes are not those of the set's first episode."""
    found = episode.layout
    if found == wanted:
        return
    odd = [
        f"'{name}' is {_form(found.get(name))} and not {_form(wanted.get(name))}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    raise BadEpisode(
        episode.origin,
        f"it differs from the first episode: {'; '.join(odd)}",
        "Take what all of them have with --keys",
    )


def _form(one: tuple[Sequence[int], str] | None) -> str:
    return "missing" if one is None else f"{one[1]}{list(one[0])}"


def _range(values: np.ndarray) -> str:
    if not values.size or values.dtype.kind not in "biuf":
        return "no numbers"
    return f"{values.min():.3g} to {values.max():.3g}"


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"'{name}' {length}" for name, length in sorted(lengths.items()))
