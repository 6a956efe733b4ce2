"""What a user tells of the environment that data were recorded in: `--spec spec.json`."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from choreo.data.files import BadFile, read_json
from choreo.data.schema import Entry, a_list, a_table, check, number, text, whole
from choreo.envs.spaces import EnvSpec

MOST_BYTES = 2**20  # of a spec file [ours]
MOST_BOUND = 1e30  # of an action, well within float32 [ours]
WANTED = (
    'Give JSON with any of observations ({"key": {"shape": [3], "dtype": "float32"}}; float32 or '
    "uint8), action_low and action_high (lists of numbers), action_repeat, episode_steps (whole "
    "numbers), step_seconds, cameras (a list of names)"
)


@dataclass(frozen=True)
class DeclaredSpec:
    """Any part of an `EnvSpec`; None where nothing was told."""

    observations: dict[str, dict[str, Any]] | None = None
    """Key to `shape` and `dtype`; the keys that are taken from the data."""
    action_low: tuple[float, ...] | None = None
    action_high: tuple[float, ...] | None = None
    action_repeat: int | None = None
    episode_steps: int | None = None
    step_seconds: float | None = None
    cameras: tuple[str, ...] | None = None

    def layout(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and dtype of the observations that were told."""
        told = self.observations or {}
        return {key: (tuple(one["shape"]), one["dtype"]) for key, one in told.items()}


def _positive(value: Any) -> bool:
    return whole(value, 1)


def _array(one: Any) -> bool:
    """Whether an entry tells shape and dtype of an observation."""
    known = isinstance(one, dict) and one.get("dtype") in ("float32", "uint8")
    return known and a_list(one.get("shape"), _positive, 1)


def _bound(value: Any) -> bool:
    return number(value) and abs(value) < MOST_BOUND


_BOUNDS = Entry("a list of numbers", lambda v: a_list(v, _bound, 1))
_COUNT = Entry("a whole number from 1 on", _positive)
SPEC = {
    "observations": Entry("shape and dtype by key", lambda v: a_table(v, _array)),
    "action_low": _BOUNDS,
    "action_high": _BOUNDS,
    "action_repeat": _COUNT,
    "episode_steps": _COUNT,
    "step_seconds": Entry("a number above 0", lambda v: number(v) and v > 0),
    "cameras": Entry("a list of names", lambda v: a_list(v, text)),
}


def read_spec(path: Path) -> DeclaredSpec:
    """Read a spec file; what an `EnvSpec` has beside it is left unread.

    Raises:
        BadFile: it is missing, no JSON, or its parts are of another kind or do not fit together.
    """
    path = Path(path)
    try:
        content = check(read_json(path, path, MOST_BYTES), SPEC, path, WANTED)
    except BadFile as error:
        raise BadFile(path, error.wrong, WANTED) from error
    strange = sorted(content.keys() - SPEC.keys() - {field.name for field in fields(EnvSpec)})
    if strange:
        raise BadFile(path, f"it has {strange}, which no spec has", WANTED)
    told = {name: content[name] for name in SPEC if content.get(name) is not None}
    parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    spec = DeclaredSpec(**parts)
    _check_bounds(spec, path)
    return spec


def _check_bounds(spec: DeclaredSpec, path: Path) -> None:
    low, high = spec.action_low, spec.action_high
    if low is None and high is None:
        return
    if low is None or high is None or len(low) != len(high):
        raise BadFile(path, "it has not both action_low and action_high of the same length", WANTED)
    if not all(a < b for a, b in zip(low, high)):
        raise BadFile(path, "it has an action_low that is not below its action_high", WANTED)
