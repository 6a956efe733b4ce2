"""What a user tells of the environment that data were recorded in: `--spec spec.json`."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from choreo.envs.spaces import EnvSpec
from choreo.errors import UsageError

WANTED = (
    'Give JSON with any of observations ({"key": {"shape": [3], "dtype": "float32"}}; float32 or '
    "uint8), action_low and action_high (lists of numbers), action_repeat, episode_steps (whole "
    "numbers), step_seconds, cameras (a list of names)."
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


def read_spec(path: Path) -> DeclaredSpec:
    """Read a spec file; what an `EnvSpec` has beside it is left unread.

    Raises:
        UsageError: it is missing, no JSON, or its parts are of another kind or do not fit together.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as a spec ({error}). {WANTED}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is no JSON object. {WANTED}")
    known = {field.name for field in fields(DeclaredSpec)}
    strange = sorted(content.keys() - known - {field.name for field in fields(EnvSpec)})
    if strange:
        raise UsageError(f"{path} has {strange}, which no spec has. {WANTED}")
    told = {name: value for name, value in content.items() if name in known and value is not None}
    wrong = [name for name, value in told.items() if not _fits(name, value)]
    if wrong:
        raise UsageError(f"{path} has {wrong[0]} {told[wrong[0]]!r}, which does not fit. {WANTED}")
    parts: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in told.items()}
    spec = DeclaredSpec(**parts)
    _check_bounds(spec, path)
    return spec


def _fits(name: str, value: Any) -> bool:
    """Whether a part of a spec is of its kind."""
    if name in ("action_low", "action_high"):
        return isinstance(value, list) and bool(value) and all(map(_number, value))
    if name in ("action_repeat", "episode_steps"):
        return _whole(value)
    if name == "step_seconds":
        return _number(value) and value > 0
    if name == "cameras":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, dict) and all(map(_array, value.values()))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _array(one: Any) -> bool:
    """Whether an entry tells shape and dtype of an observation."""
    if not isinstance(one, dict) or one.get("dtype") not in ("float32", "uint8"):
        return False
    shape = one.get("shape")
    return isinstance(shape, list) and bool(shape) and all(map(_whole, shape))


def _check_bounds(spec: DeclaredSpec, path: Path) -> None:
    low, high = spec.action_low, spec.action_high
    if low is None and high is None:
        return
    if low is None or high is None or len(low) != len(high):
        raise UsageError(f"{path} must have action_low and action_high of the same length.")
    if not all(a < b for a, b in zip(low, high)):
        raise UsageError(f"{path} has an action_low that is not below its action_high.")
