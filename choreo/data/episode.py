"""One recorded episode in the project's convention, whatever file it came from."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from choreo.data.arrays import Array, Lazy, forms, rows_of
from choreo.data.observations import choose, numbers, observation
from choreo.data.reading import (
    ACTION,
    DISCOUNT,
    RESERVED,
    REWARD,
    BadEpisode,
    Draft,
    Reading,
    nearest_action,
)
from choreo.envs.flatten import flat_key
from choreo.schema import in_words

Steps = dict[str, np.ndarray]
Layout = dict[str, tuple[tuple[int, ...], str]]


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
    left_out: dict[str, str] = field(default_factory=dict)
    """Arrays of the file that are no observations, and why."""
    copies: tuple[str, ...] = ()
    """Those of them that hold the actions once more."""

    def __len__(self) -> int:
        """Transitions, T."""
        return len(self.steps[ACTION]) - 1

    @property
    def layout(self) -> Layout:
        """Shape and dtype of one step, by key."""
        return {k: (v.shape[1:], str(v.dtype)) for k, v in sorted(self.steps.items())}


def complete(
    raw: Mapping[str, Array],
    origin: str,
    reading: Reading,
    notes: Sequence[str] = (),
    declared: Collection[str] = (),
) -> EpisodeData:
    """Bring the arrays of one episode, T + 1 rows each in the project's timing, into its form.

    A missing reward is 0. An episode ends where its arrays end, and it terminated there if
    `is_terminal` says so or, without that, if `discount` is 0. Arrays that are not asked for are
    not read; `declared` names those that the files call observations.

    Raises:
        BadEpisode: arrays are missing, empty, of unlike lengths, or cannot be observations.
    """
    draft = Draft(origin, reading, list(notes))
    _check_action(raw, draft)
    observations = choose(raw, declared, draft)
    rows = _rows(raw, (*observations, *reading.keep), draft)
    steps = {name: observation(raw[name], name, draft) for name in observations}
    for name in reading.keep:
        steps[name] = _kept(raw, name, draft)
    steps[ACTION] = _actions(raw, rows, draft)
    steps[REWARD] = _reward(raw, rows, draft)
    steps[ACTION][0], steps[REWARD][0] = 0, 0
    steps |= _flags(raw, rows, draft)
    return EpisodeData(
        steps,
        origin,
        observations,
        tuple(draft.notes),
        _repeat(raw, draft),
        forms(raw),
        draft.left_out,
        draft.copies,
    )


def complete_all(
    raw: Mapping[str, Array], origin: str, reading: Reading, notes: Sequence[str] = ()
) -> list[EpisodeData]:
    """The episodes of one recording in the project's timing, which `is_first` divides.

    Raises:
        BadEpisode: as for `complete`.
    """
    flag = raw.get("is_first")
    rows = len(flag) if flag is not None and np.ndim(flag) else 0
    if rows < 2 or flag is None or np.asarray(flag).size != rows:
        return [complete(raw, origin, reading, notes)]
    draft = Draft(origin, reading)
    first = _flag(raw, "is_first", rows, draft)
    inside = [] if first[0] else ["it begins inside an episode: its first row is taken as a start"]
    starts = [0, *(np.flatnonzero(first[1:]) + 1).tolist()]
    if len(starts) == 1:
        return [complete(raw, origin, reading, [*notes, *inside])]
    pieces = [(a, b) for a, b in zip(starts, [*starts[1:], rows]) if b - a > 1]
    if not pieces:
        raise draft.bad("each of its rows is a reset, and none a transition", "Remove it")
    _check_action(raw, draft)
    wanted = {*choose(raw, (), draft), *reading.keep, *RESERVED}
    raw = {n: np.asarray(v) if n in wanted else v for n, v in raw.items()}  # once for all pieces
    return [
        complete(
            rows_of(raw, a, b, rows),
            f"{origin}, rows {a} to {b}",
            reading,
            notes if a else [*notes, *inside],
        )
        for a, b in pieces
    ]


def from_transitions(
    seen: Mapping[str, Array],
    per_action: Mapping[str, Array],
    origin: str,
    reading: Reading,
    notes: Sequence[str] = (),
    declared: Collection[str] = (),
) -> EpisodeData:
    """An episode from files that store with each observation the action taken there.

    Args:
        seen: observations and extras, (T + 1, ...), or (T, ...) where the last was not recorded:
            then the last action led nowhere and is left out.
        per_action: `action`, and where known `reward` and flags on arrival, (T, ...).
        origin: file and place.
        reading: which arrays to take and how.
        notes: what is to be said of it.
        declared: arrays that the files call observations.

    Raises:
        BadEpisode: as for `complete`.
    """
    flat = [name for name, values in per_action.items() if np.ndim(values) == 0]
    if flat or ACTION not in per_action:
        draft = Draft(origin, reading)
        _check_action({**seen, **per_action}, draft)
        raise draft.bad(f"there are no rows of {flat}")
    told = {n: np.asarray(v) for n, v in per_action.items()}
    rows = {len(v) for n, v in seen.items() if np.ndim(v) and (n in declared or not declared)}
    if len(told[ACTION]) in rows and len(rows) == 1:
        told = {name: values[:-1] for name, values in told.items()}
        notes = [*notes, "no observation after the last action: that action is left out"]
    return complete({**seen, **_arrivals(told)}, origin, reading, notes, declared)


def _arrivals(per_action: Mapping[str, np.ndarray]) -> Steps:
    """Shift what belongs to T actions to the T + 1 rows they led to; row 0 is 0."""
    zero = {name: np.zeros((1, *v.shape[1:]), v.dtype) for name, v in per_action.items()}
    return {name: np.concatenate([zero[name], v]) for name, v in per_action.items()}


def flattened(tree: Any, path: tuple[str | int, ...] = ()) -> dict[str, Array]:
    """Arrays of nested dicts and tuples under the keys that `envs.flatten` gives them."""
    if isinstance(tree, Mapping):
        entries: Iterator[tuple[str | int, Any]] = iter(tree.items())
    elif isinstance(tree, tuple):
        entries = iter(enumerate(tree))
    else:
        return {flat_key(path, dot="."): tree if isinstance(tree, Lazy) else np.asarray(tree)}
    found: dict[str, Array] = {}
    for key, value in entries:
        found |= flattened(value, (*path, key))
    return found


def _check_action(raw: Mapping[str, Array], draft: Draft) -> None:
    if ACTION not in raw:
        there = sorted(set(raw) - set(RESERVED))
        raise draft.bad(
            f"there is no 'action', only {in_words(sorted(raw))}", nearest_action(there)
        )
    flat = [name for name, values in raw.items() if name in RESERVED and np.ndim(values) == 0]
    if flat:
        raise draft.bad(f"{flat} should have one row per step and have none")


def _rows(raw: Mapping[str, Array], wanted: Sequence[str], draft: Draft) -> int:
    """Rows of every array, after a check that they agree and hold a transition."""
    names = [n for n in raw if (n in RESERVED or n in wanted) and np.ndim(raw[n]) > 0]
    lengths = {name: len(raw[name]) for name in names}
    rows = lengths.get(ACTION, 0)
    odd = {name: length for name, length in lengths.items() if length != rows}
    if odd:
        raise draft.bad(f"it is cut short: 'action' has {rows} rows, but {_listed(odd)}")
    if rows == 0:
        raise draft.bad("it holds no step at all")
    if rows == 1:
        raise draft.bad("it holds a reset and no transition", "Remove it")
    return rows


def _actions(raw: Mapping[str, Array], rows: int, draft: Draft) -> np.ndarray:
    """Actions (T + 1, A)."""
    if raw[ACTION].dtype.kind in "iub":
        raise draft.bad(
            f"its actions are discrete ({raw[ACTION].dtype})",
            "Agents act with continuous values; give data with floating-point actions",
        )
    if 0 in raw[ACTION].shape:
        raise draft.bad("'action' holds no number per step", "Give data with actions")
    return numbers(raw[ACTION], ACTION, draft).reshape(rows, -1)


def _repeat(raw: Mapping[str, Array], draft: Draft) -> int | None:
    """Frames per step, where the file tells one number of them."""
    told = np.asarray(raw.get("action_repeat", np.zeros(1)))
    if told.ndim:
        return None
    if told.dtype.kind not in "iuf" or told < 1 or told % 1 != 0:
        raise draft.bad(f"its action repeat is {told!s}", "Write a whole number from 1 on")
    return int(told)


def _kept(raw: Mapping[str, Array], name: str, draft: Draft) -> np.ndarray:
    """An extra as it is; physics stays as precise as it was."""
    if name not in raw or raw[name].dtype.kind not in "biuf" or raw[name].ndim == 0:
        raise draft.bad(
            f"there is no array '{name}' to keep, only {in_words(sorted(raw))}", "Change --keep"
        )
    return np.ascontiguousarray(np.asarray(raw[name]))


def _reward(raw: Mapping[str, Array], rows: int, draft: Draft) -> np.ndarray:
    if REWARD not in raw:
        draft.notes.append("no reward: zeros")
        return np.zeros(rows, np.float32)
    reward = numbers(raw[REWARD], REWARD, draft)
    if reward.size != rows:
        raise draft.bad(f"'reward' has shape {reward.shape}; wanted one number per step")
    return reward.reshape(rows)


def _flags(raw: Mapping[str, Array], rows: int, draft: Draft) -> Steps:
    """The three flags; an episode that the file leaves open ends where its arrays end."""
    index = np.arange(rows)
    terminal = _terminal(raw, rows, draft)
    marked = _flag(raw, "is_last", rows, draft) if "is_last" in raw else terminal
    early = np.flatnonzero((marked | terminal)[:-1])
    if len(early):
        raise draft.bad(f"it goes on after its end in row {early[0]}", "Cut it there")
    return {"is_first": index == 0, "is_last": index == rows - 1, "is_terminal": terminal}


def _terminal(raw: Mapping[str, Array], rows: int, draft: Draft) -> np.ndarray:
    """Where the episode terminated: (T + 1,) bool."""
    if "is_terminal" in raw:
        return _flag(raw, "is_terminal", rows, draft)
    if DISCOUNT in raw:
        discount = numbers(raw[DISCOUNT], DISCOUNT, draft).reshape(rows, -1)
        if not np.isfinite(discount).all():
            raise draft.bad("'discount' is NaN or infinite", "Repair it")
        return (discount == 0).all(1) & (np.arange(rows) > 0)
    draft.notes.append("no discount: taken as cut and not as terminated")
    return np.zeros(rows, bool)


def _flag(raw: Mapping[str, Array], name: str, rows: int, draft: Draft) -> np.ndarray:
    """One truth per step: (T + 1,) bool."""
    values = numbers(raw[name], name, draft)
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
        f"Take what all of them have with --keys {' '.join(_common(found, wanted))}".rstrip(),
    )


def _common(found: Layout, wanted: Layout) -> list[str]:
    """Observations that two layouts have alike."""
    names = sorted(found.keys() & wanted.keys() - set(RESERVED))
    return [name for name in names if found[name] == wanted[name]]


def _form(one: tuple[Sequence[int], str] | None) -> str:
    return "missing" if one is None else f"{one[1]}{list(one[0])}"


def _listed(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"'{name}' {length}" for name, length in sorted(lengths.items()))
