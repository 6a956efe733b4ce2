"""What a user tells of the environment that data were recorded in: `--spec spec.json`."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from choreo.errors import UsageError


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
        UsageError: it is missing, no JSON, or its parts do not fit together.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        known = {field.name for field in fields(DeclaredSpec)}
        told: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items() if k in known
        }
        spec = DeclaredSpec(**told)
        spec.layout()
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path} cannot be read as a spec ({error!r}). Give JSON with any of observations "
            '({"key": {"shape": [3], "dtype": "float32"}}), action_low, action_high, '
            "action_repeat, episode_steps, step_seconds, cameras."
        ) from error
    _check_bounds(spec, path)
    return spec


def _check_bounds(spec: DeclaredSpec, path: Path) -> None:
    low, high = spec.action_low, spec.action_high
    if low is None and high is None:
        return
    if low is None or high is None or len(low) != len(high):
        raise UsageError(f"{path} must have action_low and action_high of the same length.")
    if not all(a < b for a, b in zip(low, high)):
        raise UsageError(f"{path} has an action_low that is not below its action_high.")
