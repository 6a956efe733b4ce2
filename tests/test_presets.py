import ast
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

import choreo
from choreo.bench.update import time_updates
from choreo.bench.workload import BenchConfig
from choreo.cli.train import parse
from choreo.config import FinetuneConfig, PresetName, PretrainConfig
from choreo.errors import UsageError
from choreo.presets import PRESETS, apply_preset
from choreo.runtime import choose_device

# Section 3 of the design: the paper's and the authors' numbers.
PAPER = {
    "frames": 2_000_000,
    "snapshots": (100_000, 500_000, 1_000_000, 2_000_000),
    "model.deter": 200,
    "model.hidden": 200,
    "model.variables": 32,
    "model.classes": 32,
    "model.layers": 4,
    "model.units": 400,
    "model.image_depth": 48,
    "model.standardize": 0.0,
    "model.kl_balance": 0.8,
    "model.kl_free": 1.0,
    "imagination.horizon": 15,
    "imagination.gamma": 0.99,
    "imagination.lambda_": 0.95,
    "imagination.slow_every": 100,
    "imagination.layers": 4,
    "imagination.units": 400,
    "imagination.min_std": 0.1,
    "imagination.starts": 0,
    "exploration.kind": "lbs",
    "exploration.layers": 4,
    "exploration.units": 400,
    "exploration.momentum": 0.95,
    "exploration.entropy": 0.0,
    "skills.kind": "codebook",
    "skills.codes": 64,
    "skills.code_size": 16,
    "skills.layers": 4,
    "skills.units": 400,
    "skills.decay": 0.99,
    "skills.commitment": 1e-4,
    "skills.resample_every": 200,
    "skills.neighbours": 30,
    "skills.entropy_clip": 1e-4,
    "skills.code_scale": 1.0,
    "skills.entropy_scale": 1.0,
    "optimizer.model_lr": 3e-4,
    "optimizer.behavior_lr": 8e-5,
    "optimizer.epsilon": 1e-5,
    "optimizer.clip": 100,
    "optimizer.decay": 1e-6,
    "training.sequences": "episode",
    "training.batch": 50,
    "training.length": 50,
    "training.update_every": 10,
    "training.random_frames": 4000,
    "training.environments": 1,
    "training.action_repeat": None,
}
TUNING = {
    "frames": 100_000,
    "freeze_skills": False,
    "adaptation.entropy": 1e-4,
    "adaptation.skill_steps": 125,
    "adaptation.reward_threshold": 1e-4,
    "adaptation.reward_gradient": False,
    "adaptation.reward_weight": 1.0,
    "adaptation.model_waits": True,
    "adaptation.before_reward": "random-skill",
    "adaptation.clamp_stops": False,
    "adaptation.search_with": "skills",
}


def value(config: object, name: str) -> object:
    for part in name.split("."):
        config = getattr(config, part)
    return config


@pytest.mark.parametrize(("name", "expected"), PAPER.items())
def test_paper_states_has_the_numbers_of_the_paper(name: str, expected: object) -> None:
    assert value(apply_preset(PretrainConfig(env="walker"), "paper-states"), name) == expected


@pytest.mark.parametrize(("name", "expected"), TUNING.items())
def test_fine_tuning_has_the_numbers_of_the_paper(name: str, expected: object) -> None:
    assert value(apply_preset(FinetuneConfig(env="walker_run"), "paper-states"), name) == expected


@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
@pytest.mark.parametrize("preset", ["cpu", "laptop", "cpu-pixels", "debug"])
def test_every_small_preset_builds_and_updates(preset: Any, phase: Any) -> None:
    times = time_updates(
        apply_preset(BenchConfig(phase=phase), preset), updates=1, device=choose_device("cpu")
    )
    assert times.ms_per_update > 0


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("paper")])
def test_paper_presets_build_agents_of_the_papers_size(preset: Any) -> None:
    """One update of them takes seconds and gigabytes, so that is left to `bench update`."""
    from toy_agents import SPEC

    from choreo.agent import Agent

    config = apply_preset(PretrainConfig(env="walker"), preset).agent_config()
    agent = Agent(SPEC, config, "pretraining")
    assert agent.world_model.feat_size == 32 * 32 + 200
    assert agent.skills.codebook.codes.shape == (64, 16)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_names_only_settings_there_are(preset: Any) -> None:
    for kind in (PretrainConfig, FinetuneConfig):
        config = apply_preset(kind(env="walker"), preset)
        assert config.preset == preset
        for group, values in PRESETS[preset].items():
            if group in {field.name for field in fields(kind)}:
                assert {key: value(config, f"{group}.{key}") for key in values} == values


def test_laptop_alone_fine_tunes_in_our_ways() -> None:
    names: tuple[Any, ...] = get_args(PresetName)
    tuning = {name: apply_preset(FinetuneConfig(env="walker_run"), name) for name in names}
    adaptation = {name: config.adaptation for name, config in tuning.items()}
    assert [n for n, a in adaptation.items() if a.clamp_stops] == ["laptop"]
    assert [n for n, a in adaptation.items() if a.search_with == "turns"] == ["laptop"]
    weights = {name: a.reward_weight for name, a in adaptation.items()}
    assert weights.pop("laptop") == 100 and set(weights.values()) == {1}
    assert adaptation["laptop"].reward_gradient
    assert not any(c.imagination.clamp_stops for c in tuning.values())


def test_an_option_overrides_the_preset_wherever_it_stands() -> None:
    before = ["--skills.codes", "7", "--preset", "debug", "--env", "walker"]
    after = ["--preset=debug", "--env", "walker", "--skills.codes", "7"]
    for arguments in (before, after):
        config = parse(PretrainConfig(env="?"), arguments)
        assert (config.skills.codes, config.skills.code_size, config.model.deter) == (7, 4, 16)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown preset 'huge'.*debug"):
        apply_preset(PretrainConfig(env="walker"), "huge")  # pyright: ignore[reportArgumentType]


def documented(path: Path) -> dict[str, dict[str, bool]]:
    """For every dataclass of a file, which of its fields are followed by a docstring."""
    found = {}
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ClassDef):
            continue
        pairs = zip(node.body, [*node.body[1:], ast.Pass()], strict=True)
        found[node.name] = {
            ast.unparse(entry.target): isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            for entry, after in pairs
            if isinstance(entry, ast.AnnAssign)
        }
    return found


def test_every_option_says_what_it_is() -> None:
    classes: dict[str, dict[str, bool]] = {}
    for path in Path(choreo.__file__).parent.rglob("*.py"):
        classes |= {k: v for k, v in documented(path).items() if k.endswith(("Config", "Options"))}
    assert {"RunConfig", "ModelConfig", "BenchConfig", "EvaluateOptions"} <= classes.keys()
    for name, entries in classes.items():
        bare = [entry for entry, documented in entries.items() if not documented]
        groups = {*option_groups(), "adaptation", "exploration"}
        assert set(bare) <= groups, f"{name}: {bare}"


def option_groups() -> set[str]:
    config = PretrainConfig(env="walker")
    return {field.name for field in fields(config) if is_dataclass(getattr(config, field.name))}
