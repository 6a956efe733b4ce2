"""Runs from before some options existed go on as they were begun."""

import logging
from dataclasses import replace
from typing import Any, TypeVar

from choreo.config import LATER_OPTIONS, RunConfig
from choreo.config_form import options_of
from choreo.presets import EARLIER, preset_value
from choreo.record import RunFolder
from choreo.record.run_folder import as_json, flatten

log = logging.getLogger(__name__)

Config = TypeVar("Config", bound=RunConfig)


def as_begun(config: Config) -> Config:
    """The configuration with what the run in its folder did where there was no option for it.

    Only where the value asked for is what the preset gives today, be it typed or not, and the run
    has what an older version or preset gave. Anything else is left, and refused where the run is
    opened. A run that was resumed once has written down what it did, and goes on so as well.
    Raises UsageError for a damaged run.
    """
    run = RunFolder(config.run_dir)
    if not run.config_path.exists():
        return config
    found, wanted = flatten(options_of(run)), flatten(as_json(config.to_json()))
    earlier = EARLIER.get(config.preset, {})
    for name in LATER_OPTIONS.keys() & wanted.keys():
        old = LATER_OPTIONS[name]
        began = found.get(name, old)
        known = began in (old, earlier.get(name, old))
        if known and wanted[name] != began and wanted[name] == preset_value(config, name):
            log.info(
                "this run began with %s %s and goes on so; for %s begin another with --run-dir",
                name,
                began,
                wanted[name],
            )
            config = _with(config, name, began)
    return config


def _with(config: Config, name: str, value: Any) -> Config:
    group, _, entry = name.rpartition(".")
    if not group:
        return replace(config, **{entry: value})
    return replace(config, **{group: replace(getattr(config, group), **{entry: value})})
