"""Presets: the paper's settings are the defaults of the config; the others change a few lines."""

from dataclasses import replace
from typing import Any, TypeVar, get_args

from choreo.config import PresetName, RunConfig
from choreo.errors import UsageError

Config = TypeVar("Config", bound=RunConfig)


def _small(layers: int, units: int) -> dict[str, dict[str, Any]]:
    sizes = {"layers": layers, "units": units}
    return {group: dict(sizes) for group in ("model", "imagination", "skills", "exploration")}


def _merge(*groups: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for group in groups:
        for name, values in group.items():
            merged[name] = merged.get(name, {}) | values
    return merged


# What the small presets do otherwise than the authors, as results with them rest on it.
DATA: dict[str, dict[str, Any]] = {"run": {"max_steps": 0}, "training": {"sequences": "stream"}}
OURS = DATA | {
    "adaptation": {"reward_gradient": True, "model_waits": False, "before_reward": "selector"}
}

# group of options -> values; options of the run itself stand under "run"
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "paper-states": {},
    "paper-pixels": {"run": {"obs": "pixels"}},
    # As from pixels, with the 50 steps of a skill in the paper's test of sparse goals.
    "paper-offline": {},
    "paper-metaworld": {"run": {"obs": "pixels"}, "adaptation": {"skill_steps": 50}},
    # Ours: some 15 updates a second on one core, and large enough to learn from.
    "cpu": _merge(
        OURS,
        _small(layers=2, units=128),
        {
            "run": {"threads": 1},  # a second pays only where it has a core to itself
            "model": {
                "deter": 64,
                "hidden": 64,
                "variables": 8,
                "classes": 8,
                "standardize": 1.0,
                "kl_free": 0.1,
            },
            "imagination": {"horizon": 15, "starts": 80, "gamma": 0.95, "slow_every": 20},
            "skills": {"codes": 16, "neighbours": 12},
            "optimizer": {"behavior_lr": 1e-3, "model_lr": 1e-3},
            "training": {"batch": 20, "length": 24, "random_frames": 4000},
        },
    ),
    # Ours: 300,000 frames of pre-training in about two hours of one core, 100,000 of fine-tuning in
    # about twenty minutes; what differs from the authors is in docs/deviations.md.
    "laptop": _merge(
        DATA,
        _small(layers=2, units=128),
        {
            "run": {"threads": 1},
            "model": {
                "deter": 128,
                "hidden": 128,
                "variables": 16,
                "classes": 16,
                "standardize": 1.0,
                "standardize_floor": 0.005,
                "kl_free": 0.1,
            },
            "imagination": {"horizon": 15, "starts": 128, "slow_every": 20},
            "adaptation": {
                "clamp_stops": True,
                "reward_gradient": True,
                "reward_weight": 100.0,
                "search_with": "turns",
            },
            "skills": {"codes": 16, "neighbours": 12, "commitment": 0.25},
            "optimizer": {"behavior_lr": 1e-3, "model_lr": 1e-3},
            "training": {"batch": 32, "length": 50, "random_frames": 4000},
        },
    ),
    # Ours: 20,000 frames of pre-training within an hour on two cores, drawing included.
    "cpu-pixels": _merge(
        OURS,
        _small(layers=2, units=128),
        {
            "run": {"obs": "pixels"},
            "model": {
                "deter": 128,
                "hidden": 128,
                "variables": 8,
                "classes": 8,
                "image_depth": 16,
                "kl_free": 0.1,
            },
            "imagination": {"horizon": 15, "starts": 80, "gamma": 0.95, "slow_every": 20},
            "skills": {"codes": 16, "neighbours": 12},
            "optimizer": {"behavior_lr": 1e-3, "model_lr": 1e-3},
            "training": {"batch": 16, "length": 24, "random_frames": 4000, "update_every": 4},
        },
    ),
    # Ours: seconds, for tests; learns nothing worth looking at.
    "debug": _merge(
        OURS,
        _small(layers=1, units=16),
        {
            "run": {"threads": 1},
            "model": {"deter": 16, "hidden": 16, "variables": 4, "classes": 4, "image_depth": 2},
            "imagination": {"horizon": 3},
            "skills": {"codes": 4, "code_size": 4, "neighbours": 4, "resample_every": 5},
            "adaptation": {"skill_steps": 5},
            "training": {"batch": 4, "length": 8, "random_frames": 40},
            "logging": {"every": 50, "checkpoint_every": 100},
        },
    ),
}

EARLIER: dict[str, dict[str, Any]] = {"laptop": {"adaptation.reward_gradient": False}}
"""Values that a preset gave for a time, by preset and option, beside those of `LATER_OPTIONS`."""


def apply_preset(config: Config, name: PresetName) -> Config:
    """Set what the preset `name` says; settings it does not name keep their defaults."""
    if name not in PRESETS:
        raise UsageError(f"unknown preset {name!r}; there are {', '.join(get_args(PresetName))}")
    changes: dict[str, Any] = {"preset": name}
    for group, values in PRESETS[name].items():
        if group == "run":
            changes |= _known(config, values)
        elif group in config.__dataclass_fields__:
            options = getattr(config, group)
            changes[group] = replace(options, **_known(options, values))
    return replace(config, **changes)


def preset_value(config: RunConfig, name: str) -> Any:
    """What the preset of a configuration gives to the option of this dotted name."""
    group, _, entry = name.rpartition(".")
    values = PRESETS[config.preset].get(group or "run", {})
    owner = getattr(config, group) if group else config
    return values.get(entry, owner.__dataclass_fields__[entry].default)


def _known(options: Any, values: dict[str, Any]) -> dict[str, Any]:
    """The values of options that there are; offline has fewer."""
    return {name: value for name, value in values.items() if name in options.__dataclass_fields__}
