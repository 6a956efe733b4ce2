import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from toy_agents import CONFIG, changed, copies, toy_agent, toy_batch

from choreo.agent import Agent, Parts
from choreo.exploration import ExplorationConfig
from choreo.exploration.base import ExplorationKind
from choreo.imagination import ActorCritic, Trajectory
from choreo.imagination.actor_critic import ContinuousActor
from choreo.learning import imagined
from choreo.learning.learner import (
    Learner,
    Metrics,
    Update,
    adaptation_learner,
    pretraining_learner,
)
from choreo.nn import OptimizerConfig, precision

FAST = OptimizerConfig(model_lr=1e-2, behavior_lr=1e-2)


def make(parts: Parts, agent: Agent | None = None, freeze_skills: bool = False) -> Learner:
    agent = toy_agent(parts) if agent is None else agent
    generator = torch.Generator().manual_seed(0)
    if parts == "pretraining":
        return pretraining_learner(agent, FAST, generator)
    return adaptation_learner(agent, FAST, generator, freeze_skills)


def owned(learner: Learner) -> list[torch.nn.Parameter]:
    optimizers = [o for part in learner.parts for o in part.optimizers.values()]
    return [parameter for optimizer in optimizers for parameter in optimizer.parameters]


def unowned(learner: Learner) -> set[str]:
    """Top-level names of the trainable parameters that no optimiser has."""
    ids = {id(parameter) for parameter in owned(learner)}
    named = learner.agent.named_parameters()
    return {".".join(n.split(".")[:2]) for n, p in named if p.requires_grad and id(p) not in ids}


@pytest.mark.parametrize("kind", ["lbs", "plan2explore", "rnd", "apt", "icm"])
def test_every_parameter_has_exactly_one_optimiser_in_pre_training(kind: ExplorationKind) -> None:
    exploration = ExplorationConfig(kind=kind, layers=1, units=8)
    learner = make("pretraining", toy_agent(exploration=exploration))
    assert unowned(learner) == set()
    assert len({id(p) for p in owned(learner)}) == len(owned(learner))
    assert all(p.requires_grad for p in owned(learner))


def test_fine_tuning_trains_all_but_the_skill_space_and_the_critic_of_the_skills() -> None:
    learner = make("adaptation")
    rest = {"skills.encoder", "skills.decoder", "skill_policy.critic"}
    assert unowned(learner) == rest
    assert len({id(p) for p in owned(learner)}) == len(owned(learner))
    assert unowned(make("adaptation", freeze_skills=True)) == rest | {"skill_policy.actor"}


def test_a_discriminator_learns_with_its_skills_and_nothing_else_of_them() -> None:
    agent = toy_agent(skills=replace(CONFIG.skills, kind="diayn"))
    learner = make("pretraining", agent)
    assert unowned(learner) == {"skills.encoder", "skills.decoder"}
    assert [part.name for part in learner.parts] == ["world_model", "exploration", "skills"]
    before = copies(agent)
    metrics = learner.update(toy_batch())
    found = {".".join(name.split(".")[:3]) for name in changed(before, agent)}
    assert {"skills.discriminator.logits", "skills.discriminator.means"} <= found
    assert not any(name.startswith(("skills.codebook", "skills.encoder")) for name in found)
    assert metrics["skills/reward"] < math.log(5) and metrics["skills/loss"] > 0
    for key, value in learner.state_dict().items():
        if key.startswith("skills.discriminator") and key.endswith("exp_avg"):
            assert value.abs().sum() > 0, key


def test_one_policy_for_a_task_leaves_skills_alone() -> None:
    learner = make("task")
    skills = {"skills.encoder", "skills.decoder", "skill_policy.actor", "skill_policy.critic"}
    assert unowned(learner) == skills
    assert [part.name for part in learner.parts] == ["world_model", "adaptation"]


@pytest.mark.parametrize("parts", ["pretraining", "adaptation", "task"])
def test_every_owned_parameter_receives_gradient(parts: Parts) -> None:
    learner = make(parts)
    for seed in range(2):
        learner.update(toy_batch(seed))
    for key, value in learner.state_dict().items():
        if key.endswith("exp_avg"):
            assert value.abs().sum() > 0, key


@pytest.mark.parametrize("parts", ["pretraining", "adaptation", "task"])
def test_a_part_changes_only_what_it_owns(parts: Parts) -> None:
    """Explorer, codebook, skills and meta-controller leave the world model bitwise as it was."""
    agent = toy_agent(parts)
    learner = make(parts, agent)
    allowed = {
        "world_model": ("world_model.",),
        "exploration": ("explorer.", "intrinsic."),
        "codebook": ("skills.",),
        "skills": ("skill_policy.",),
        "adaptation": ("controller.", "skill_policy.actor.", "task_policy."),
    }
    update = Update(0, toy_batch(), learner.generator, learner.timer)
    for part in learner.parts:
        before = copies(agent)
        part.update(update)
        found = changed(before, agent)
        assert found and all(name.startswith(allowed[part.name]) for name in found), part.name
        assert all(p.requires_grad for p in owned(learner)), "nothing stays frozen"


def model_after(parts: Parts, reward: float, gradient: bool) -> dict[str, torch.Tensor]:
    adaptation = replace(CONFIG.adaptation, reward_gradient=gradient)
    learner = make(parts, toy_agent(parts, adaptation=adaptation))
    batch = toy_batch()
    learner.update(replace(batch, reward=batch.reward * reward))
    return copies(learner.agent.world_model)


def test_the_reward_shapes_the_model_in_fine_tuning_only_and_where_it_is_told_to() -> None:
    expectations: list[tuple[Parts, bool, bool]] = [
        ("pretraining", True, False),
        ("adaptation", True, True),
        ("adaptation", False, False),
        ("task", True, True),
        ("task", False, False),
    ]
    for parts, gradient, expected in expectations:
        one, other = (model_after(parts, reward, gradient) for reward in (1.0, -3.0))
        different = {name.split(".")[0] for name in one if not one[name].equal(other[name])}
        assert "reward" in different
        assert ({"rssm", "encoder"} <= different) == expected
        assert expected or different == {"reward"}


def test_the_reward_counts_in_the_model_as_much_as_fine_tuning_says() -> None:
    def learned(weight: float) -> tuple[Metrics, dict[str, torch.Tensor]]:
        adaptation = replace(CONFIG.adaptation, reward_gradient=True, reward_weight=weight)
        learner = make("adaptation", toy_agent("adaptation", adaptation=adaptation))
        return learner.update(toy_batch()), copies(learner.agent.world_model)

    (one, before), (other, after) = learned(1.0), learned(100.0)
    parts = {key: float(one[f"world_model/{key}"]) for key in ("loss", "loss_reward")}
    assert float(other["world_model/loss_reward"]) == parts["loss_reward"], "it is told without"
    expected = parts["loss"] + 99 * parts["loss_reward"]
    assert float(other["world_model/loss"]) == pytest.approx(expected, rel=1e-5)
    name = "encoder.vector.linears.0.weight"
    assert not before[name].equal(after[name])


def test_fine_tuning_tells_the_deviation_of_the_skill_policy() -> None:
    agent = toy_agent("adaptation")
    actor = agent.skill_policy.actor
    assert isinstance(actor, ContinuousActor)
    with torch.no_grad():
        actor.std.weight.zero_()
        actor.std.bias.copy_(torch.tensor([0.0, 100.0]))
    metrics = make("adaptation", agent).update(toy_batch())
    assert metrics["adaptation/deviation"] == pytest.approx((1.1 + 2.1) / 2)  # of the two actions


def test_frozen_skills_stay_and_the_selector_learns() -> None:
    for freeze in (True, False):
        agent = toy_agent("adaptation")
        before = copies(agent)
        make("adaptation", agent, freeze_skills=freeze).update(toy_batch())
        found = {".".join(name.split(".")[:3]) for name in changed(before, agent)}
        assert ("skill_policy.actor.trunk" in found) == (not freeze)
        assert "controller.selector.actor" in found


def test_a_resting_part_leaves_no_trace() -> None:
    agent = toy_agent("adaptation")
    learner = make("adaptation", agent)
    before = copies(agent)
    metrics = learner.update(toy_batch(), skip=("adaptation",))
    assert {name.split(".")[0] for name in changed(before, agent)} == {"world_model"}
    assert all(key.startswith("world_model/") for key in metrics)
    assert learner.counters() == {"updates": 1, "adaptation": 0}


def slow_equals_fast(actor_critic: ActorCritic) -> bool:
    slow, fast = actor_critic.slow_critic.state_dict(), actor_critic.critic.state_dict()
    return all(slow[key].equal(fast[key]) for key in fast)


def test_slow_critics_are_copied_after_update_0_and_every_third() -> None:
    pre, tune = toy_agent("pretraining"), toy_agent("adaptation")
    learner, tuner = make("pretraining", pre), make("adaptation", tune)
    tuner.update(toy_batch(), skip=("adaptation",))  # its own count begins when it stops resting
    assert pre.explorer is not None and tune.controller is not None
    critics = (pre.explorer, pre.skill_policy, tune.controller.selector)
    copied = []
    for seed in range(5):
        learner.update(toy_batch(seed))
        tuner.update(toy_batch(seed))
        copied.append([slow_equals_fast(critic) for critic in critics])
    assert copied == [[n % 3 == 0] * 3 for n in range(5)]


def test_codes_are_checked_after_every_fourth_update() -> None:
    agent = toy_agent()
    learner = make("pretraining", agent)
    states = toy_batch().is_first.numel()
    used, resampled = [], []
    for _ in range(9):
        before = int(agent.skills.resampled)
        learner.update(toy_batch())
        used.append(int(agent.skills.codebook.usage.sum()))
        resampled.append(int(agent.skills.resampled) - before)
    assert used == [states * (n % 4) for n in range(1, 10)]
    assert all(count == 0 for n, count in enumerate(resampled, 1) if n % 4)


def test_a_trajectory_keeps_one_code_for_its_whole_length(monkeypatch: pytest.MonkeyPatch) -> None:
    imagine, seen = imagined.imagine, []

    def spy(*arguments) -> Trajectory:  # noqa: ANN002
        seen.append(imagine(*arguments))
        return seen[-1]

    monkeypatch.setattr(imagined, "imagine", spy)
    make("pretraining").update(toy_batch(batch=20))
    explorer, skills = seen
    assert explorer.choice is None and len(skills.choice) == CONFIG.imagination.horizon
    assert all(torch.equal(codes, skills.choice[0]) for codes in skills.choice)
    assert skills.choice[0].sum(-1).eq(1).all() and (skills.choice[0].sum(0) > 0).all()


def test_skill_reward_is_the_sum_of_both_terms_over_all_imagined_states() -> None:
    plain = make("pretraining").update(toy_batch())
    skills = replace(CONFIG.skills, code_scale=2.0, entropy_scale=0.0)
    scaled = make("pretraining", toy_agent(skills=skills)).update(toy_batch())
    assert torch.equal(plain["skills/reward_code"], scaled["skills/reward_code"])
    assert plain["skills/reward_code"] < 0 < plain["skills/reward_entropy"]
    assert plain["skills/return"] != scaled["skills/return"]


def test_random_exploration_trains_no_explorer() -> None:
    agent = toy_agent(exploration=ExplorationConfig(kind="random"))
    learner = make("pretraining", agent)
    assert [part.name for part in learner.parts] == ["world_model", "codebook", "skills"]
    before = copies(agent)
    learner.update(toy_batch())
    assert not any(name.startswith("explorer") for name in changed(before, agent))


def test_metrics_are_finite_scalars_and_parts_are_timed() -> None:
    learner, timed = make("pretraining"), []

    @contextmanager
    def timer(name: str):  # noqa: ANN202
        timed.append(name)
        yield

    learner.timer = timer
    metrics = learner.update(toy_batch())
    assert timed == ["world_model", "exploration", "codebook", "skills", "entropy_reward"]
    assert all(value.shape == () and value.isfinite() for value in metrics.values())
    assert {key.split("/")[0] for key in metrics} == set(timed) - {"entropy_reward"}


@pytest.mark.parametrize("parts", ["pretraining", "adaptation", "task"])
def test_a_restored_learner_goes_on_bitwise(parts: Parts) -> None:
    agent = toy_agent(parts)
    learner = make(parts, agent)
    for seed in range(2):
        learner.update(toy_batch(seed))
    other = toy_agent(parts, seed=9)
    other.load_state_dict(agent.state_dict())
    second = make(parts, other)
    second.load_state_dict(
        {key: value.clone() for key, value in learner.state_dict().items()}, learner.counters()
    )
    second.generator.set_state(learner.generator.get_state())
    for seed in range(2, 5):
        one, two = learner.update(toy_batch(seed)), second.update(toy_batch(seed))
    assert all(one[key].equal(two[key]) for key in one)
    assert changed(copies(agent), other) == set()


def test_the_same_seed_gives_the_same_update() -> None:
    one, two = make("pretraining"), make("pretraining")
    first, second = one.update(toy_batch()), two.update(toy_batch())
    assert all(first[key].equal(second[key]) for key in first)
    third = make("pretraining")
    third.generator.manual_seed(1)
    assert not third.update(toy_batch())["skills/return"].equal(first["skills/return"])


@pytest.mark.parametrize("parts", ["pretraining", "adaptation"])
def test_an_update_in_bf16_is_near_that_in_fp32(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "LARGE", 1)
    exact, rounded = make(parts), make(parts)
    rounded.precision = "bf16"
    before = {name: p.detach().clone() for name, p in exact.agent.named_parameters()}
    found, expected = rounded.update(toy_batch()), exact.update(toy_batch())
    model = {key for key in expected if key.startswith("world_model/loss")}
    assert model and found["world_model/loss"] != expected["world_model/loss"]
    for key in model:
        torch.testing.assert_close(found[key], expected[key], atol=0.05, rtol=0.05)
    for name, parameter in rounded.agent.named_parameters():
        assert parameter.dtype == torch.float32
        moved = (parameter - before[name]).abs().max()
        assert moved <= 2e-2, f"{name} moved by {moved}"
