"""Runs from before an option existed go on with what they did."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from choreo.config import LATER_OPTIONS, MAY_CHANGE, FinetuneConfig, OfflineConfig
from choreo.errors import UsageError
from choreo.presets import apply_preset
from choreo.record import open_run
from choreo.record.run_folder import flatten
from choreo.training.older_runs import as_begun


def older(config: FinetuneConfig | OfflineConfig) -> None:
    """A run folder as an older version left it, which knew none of the later options."""
    data = config.to_json()
    for name in LATER_OPTIONS:
        group, _, entry = name.rpartition(".")
        (data.get(group, {}) if group else data).pop(entry, None)
    open_run(config.run_dir, data)


def test_a_run_of_the_papers_preset_keeps_what_it_did(tmp_path: Path) -> None:
    config = FinetuneConfig(env="walker_run", run_dir=tmp_path / "run")
    older(config)
    begun = as_begun(config)
    assert not config.adaptation.reward_gradient and begun.adaptation.reward_gradient
    assert not begun.adaptation.model_waits and begun.training.sequences == "stream"
    assert begun.adaptation.before_reward == "selector"
    open_run(config.run_dir, begun.to_json(), MAY_CHANGE, LATER_OPTIONS)
    assert as_begun(begun) == begun
    assert as_begun(config) == begun, "the same command again, when all of it is written down"


@pytest.mark.parametrize("unknown", [(), ("clamp_stops",), ("clamp_stops", "search_with")])
def test_a_fine_tuning_with_laptop_as_it_once_was_resumes_twice_as_it_began(
    tmp_path: Path, unknown: tuple[str, ...]
) -> None:
    config = apply_preset(FinetuneConfig(env="walker_run", run_dir=tmp_path / "run"), "laptop")
    was = {"clamp_stops": not unknown, "reward_gradient": False, "reward_weight": 1.0}
    plain = replace(config.adaptation, **was, search_with="skills")
    data = replace(config, adaptation=plain).to_json()
    for name in unknown:
        del data["adaptation"][name]
    open_run(config.run_dir, data)
    for _ in range(2):
        begun = as_begun(config)
        assert begun == replace(config, adaptation=plain)
        open_run(config.run_dir, begun.to_json(), MAY_CHANGE, LATER_OPTIONS)


def test_what_no_preset_ever_gave_is_left_and_refused(tmp_path: Path) -> None:
    config = apply_preset(FinetuneConfig(env="walker_run", run_dir=tmp_path / "run"), "laptop")
    own = replace(config, adaptation=replace(config.adaptation, reward_weight=10.0))
    open_run(config.run_dir, own.to_json())
    assert as_begun(config) == config
    with pytest.raises(UsageError, match=r"reward_weight"):
        open_run(config.run_dir, as_begun(config).to_json(), MAY_CHANGE, LATER_OPTIONS)


def test_a_run_of_recorded_data_goes_on_with_all_of_them(tmp_path: Path) -> None:
    config = OfflineConfig(data=tmp_path, run_dir=tmp_path / "run")
    older(config)
    assert as_begun(config).max_steps == 0
    asked = replace(config, max_steps=7)
    assert as_begun(asked).max_steps == 7, "what a user asks for is left, and refused later"


def test_a_new_run_and_the_small_presets_are_left_alone(tmp_path: Path) -> None:
    config = FinetuneConfig(env="walker_run", run_dir=tmp_path / "run")
    assert as_begun(config) == config
    small = apply_preset(config, "cpu")
    flat = flatten(json.loads(json.dumps(small.to_json(), default=str)))
    later = {name: value for name, value in LATER_OPTIONS.items() if name in flat}
    assert {name: flat[name] for name in later} == later, "small presets do as they always did"
