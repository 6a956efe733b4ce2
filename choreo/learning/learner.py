"""Learners: the optimisers of an agent and one update, as a list of parts that run in turn.

Pre-training and fine-tuning differ in the parts a learner is built with, nowhere else.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from choreo.agent import Agent
from choreo.exploration import Replayed
from choreo.imagination import Policy, Trajectory
from choreo.imagination.actor_critic import one_hot
from choreo.learning.imagined import actor_critic_optimizers, improve, roll_out
from choreo.learning.modes import Mode, make_runner
from choreo.learning.tasks import AdaptationPart, TaskPart
from choreo.learning.update import Metrics, Part, Timer, Update
from choreo.nn import Optimizer, OptimizerConfig, RunningMagnitude, condition, frozen
from choreo.nn.precision import Precision, products_in
from choreo.skills import code_reward, entropy_reward
from choreo.world_model import Batch

__all__ = ["Learner", "Metrics", "Update", "adaptation_learner", "pretraining_learner"]


class WorldModelPart(Part):
    """Learns the world model on the batch."""

    name = "world_model"

    def __init__(
        self, agent: Agent, config: OptimizerConfig, reward_gradient: bool, weight: float = 1.0
    ) -> None:
        self.model, self.reward_gradient = agent.world_model, reward_gradient
        self.reward_weight = weight
        self.starts = agent.config.imagination.starts
        optimizer = Optimizer(self.model.parameters(), config.model_lr, config)
        self.optimizers = {"world_model": optimizer}

    def update(self, update: Update) -> Metrics:
        rssm, (batch, length) = self.model.rssm, update.batch.reward.shape
        uniform = uniform_numbers(update, length, batch, rssm.variables)
        loss, update.output, metrics = self.model.loss(
            update.batch,
            self.reward_gradient,
            uniform=uniform,
            reward_weight=self.reward_weight,
        )
        norm = self.optimizers["world_model"].step(loss)
        update.choose_starts(self.starts)
        return metrics | {"loss": loss.detach(), "grad_norm": norm}


class ExplorationPart(Part):
    """Learns the exploration bonus on the batch and the explorer in imagination."""

    name = "exploration"

    def __init__(self, agent: Agent, config: OptimizerConfig) -> None:
        assert agent.intrinsic is not None and agent.explorer is not None
        self.agent, self.intrinsic, self.explorer = agent, agent.intrinsic, agent.explorer
        self.normalizer = RunningMagnitude(agent.config.exploration.momentum).to(agent.device)
        trainable = [p for p in self.intrinsic.parameters() if p.requires_grad]
        self.optimizers = actor_critic_optimizers(self.explorer, config)
        if trainable:  # apt has no network of its own
            self.optimizers["bonus"] = Optimizer(trainable, config.model_lr, config)

    def update(self, update: Update) -> Metrics:
        output = update.posterior
        replayed = Replayed(output.feat, output.kl, update.batch.action, update.batch.is_first)
        loss = self.intrinsic.loss(replayed)
        if "bonus" in self.optimizers:
            self.optimizers["bonus"].step(loss)
        with frozen(self.agent.world_model, self.intrinsic):
            trajectory = roll_out(self.agent, update, Policy(self.explorer.actor))
            bonus = self.intrinsic.reward(trajectory)
        assert self.normalizer is not None
        reward = self.normalizer(bonus)
        metrics = improve(
            update, self.explorer, self.optimizers, trajectory, trajectory.feat, reward
        )
        return metrics | {"bonus_loss": loss.detach(), "bonus": bonus.detach().mean()}

    def after(self, update: Update) -> None:
        self.explorer.update_slow_critic(update.number)


class CodebookPart(Part):
    """Learns the skill autoencoder and its codebook on the posterior h of the batch."""

    name = "codebook"

    def __init__(self, agent: Agent, config: OptimizerConfig) -> None:
        self.skills = agent.skills
        self.optimizers = {
            "skills": Optimizer(self.skills.parameters(), config.behavior_lr, config)
        }

    def update(self, update: Update) -> Metrics:
        deter = update.posterior.posterior.deter.flatten(0, 1)
        loss, metrics = self.skills.loss(deter)
        self.optimizers["skills"].step(loss)
        return metrics | {"loss": loss.detach(), "resampled": self.skills.resampled.clone()}

    def after(self, update: Update) -> None:
        deter = update.posterior.posterior.deter.flatten(0, 1)
        self.skills.maybe_resample(deter, update.number + 1, update.generator)


class SkillPart(Part):
    """Learns the policy of every skill in imagination: r_skill = r_ent + r_code."""

    name = "skills"

    def __init__(self, agent: Agent, config: OptimizerConfig) -> None:
        self.agent, self.policy = agent, agent.skill_policy
        self.optimizers = actor_critic_optimizers(self.policy, config)

    def update(self, update: Update) -> Metrics:
        start, device = update.start, self.agent.device
        index = torch.randint(
            self.agent.num_skills, (len(start.deter),), generator=update.generator, device=device
        )
        code = one_hot(index, self.agent.num_skills)
        policy = Policy(self.policy.actor, code=code)
        with frozen(self.agent.world_model):
            trajectory = roll_out(self.agent, update, policy)
        reward, metrics = self._reward(trajectory, index, update)
        inputs = condition(trajectory.feat, code)
        return metrics | improve(update, self.policy, self.optimizers, trajectory, inputs, reward)

    def after(self, update: Update) -> None:
        self.policy.update_slow_critic(update.number)

    def _reward(
        self, trajectory: Trajectory, index: Tensor, update: Update
    ) -> tuple[Tensor, Metrics]:
        config, deter = self.agent.config.skills, trajectory.deter
        with torch.no_grad():
            decoded = self.agent.skills.decoded_codes()[index]
        code = code_reward(deter, decoded)
        with update.timer("entropy_reward"):
            particles = deter.detach().flatten(0, 1)
            entropy = entropy_reward(particles, config.neighbours, config.entropy_clip)
        entropy = entropy.view(code.shape)
        metrics = {"reward_code": code.detach().mean(), "reward_entropy": entropy.mean()}
        return config.code_scale * code + config.entropy_scale * entropy, metrics


class DiscriminatorPart(SkillPart):
    """Learns skills that a discriminator tells apart: r_skill = log q(z | h) - log p(z)."""

    def __init__(self, agent: Agent, config: OptimizerConfig) -> None:
        super().__init__(agent, config)
        assert agent.skills.discriminator is not None
        self.discriminator = agent.skills.discriminator
        parameters = self.discriminator.parameters()
        self.optimizers["discriminator"] = Optimizer(parameters, config.behavior_lr, config)

    def _reward(
        self, trajectory: Trajectory, index: Tensor, update: Update
    ) -> tuple[Tensor, Metrics]:
        deter = trajectory.deter
        loss, metrics = self.discriminator.loss(deter.detach(), index)
        self.optimizers["discriminator"].step(loss)
        with frozen(self.discriminator):
            reward = self.discriminator.reward(deter, index)
        metrics |= {"loss": loss.detach(), "reward": reward.detach().mean()}
        return reward, metrics


class Learner:
    """Runs its parts one after the other on a batch; knows nothing of what they are."""

    def __init__(
        self,
        agent: Agent,
        parts: list[Part],
        generator: torch.Generator,
        mode: Mode = "eager",
        precision: Precision = "fp32",
    ) -> None:
        self.agent, self.parts, self.generator = agent, parts, generator
        self.precision: Precision = precision
        self.updates = 0
        self.timer: Timer = lambda name: nullcontext()
        self.runner = make_runner(mode, agent.device, generator, self.changing)

    def update(self, batch: Batch, skip: Collection[str] = ()) -> Metrics:
        """One update on a batch; returns metrics named `part/metric`, left on the device."""
        with products_in(self.precision):
            return self._update(batch, skip)

    def _update(self, batch: Batch, skip: Collection[str]) -> Metrics:
        metrics: Metrics = {}
        parts = [part for part in self.parts if part.name not in skip]
        update = self.runner.begin(self.begin(batch), parts)
        for part in parts:
            with self.timer(part.name):
                found = self.runner.run(part, update)
                part.after(update)
            metrics |= {f"{part.name}/{key}": value for key, value in found.items()}
        self.updates += 1
        return metrics

    def begin(self, batch: Batch) -> Update:
        """What the parts of the next update share."""
        return Update(self.updates, batch, self.generator, self.timer)

    def changing(self) -> Iterator[Tensor]:
        """Every tensor that an update changes: networks, moments and normalisers."""
        yield from self.agent.state_dict().values()
        yield from self.state_dict().values()

    def state_dict(self) -> dict[str, Tensor]:
        """Moments of every optimiser and the normalisers, by name."""
        state: dict[str, Tensor] = {}
        for part in self.parts:
            for name, optimizer in part.optimizers.items():
                entries = optimizer.state_dict()
                state |= {f"{part.name}.{name}/{key}": value for key, value in entries.items()}
            if part.normalizer is not None:
                entries = part.normalizer.state_dict()
                state |= {f"{part.name}.normalizer/{key}": v for key, v in entries.items()}
        return state

    def counters(self) -> dict[str, int]:
        """Update counts, as JSON: of the learner and of the parts that count their own."""
        own = {part.name: part.updates for part in self.parts}
        counted = {name: updates for name, updates in own.items() if updates is not None}
        return {"updates": self.updates} | counted

    def load_state_dict(self, state: Mapping[str, Tensor], counters: Mapping[str, int]) -> None:
        """Restore what `state_dict` and `counters` gave."""
        groups: dict[str, dict[str, Tensor]] = {}
        for key, value in state.items():
            owner, name = key.split("/", 1)
            groups.setdefault(owner, {})[name] = value
        for part in self.parts:
            for name, optimizer in part.optimizers.items():
                optimizer.load_state_dict(groups.get(f"{part.name}.{name}", {}))
            if part.normalizer is not None:
                part.normalizer.load_state_dict(groups[f"{part.name}.normalizer"])
            if part.updates is not None:
                part.updates = counters[part.name]
        self.updates = counters["updates"]


def uniform_numbers(update: Update, *shape: int) -> Tensor:
    """Uniform numbers of the update's stream, on the device of its batch."""
    device = update.batch.action.device
    return torch.rand(*shape, generator=update.generator, device=device)


def pretraining_learner(
    agent: Agent,
    config: OptimizerConfig,
    generator: torch.Generator,
    mode: Mode = "eager",
    precision: Precision = "fp32",
) -> Learner:
    """World model, explorer, codebook and skills, trained together without rewards."""
    parts: list[Part] = [WorldModelPart(agent, config, reward_gradient=False)]
    if agent.intrinsic is not None and not agent.intrinsic.acts_randomly:
        parts.append(ExplorationPart(agent, config))
    if agent.skills.discriminator is not None:
        parts.append(DiscriminatorPart(agent, config))
    else:
        parts += [CodebookPart(agent, config), SkillPart(agent, config)]
    return Learner(agent, parts, generator, mode, precision)


def adaptation_learner(
    agent: Agent,
    config: OptimizerConfig,
    generator: torch.Generator,
    freeze_skills: bool = False,
    mode: Mode = "eager",
    precision: Precision = "fp32",
) -> Learner:
    """World model, shaped by the reward where adaptation says so, and what plays the task.

    That is the meta-controller with its skills, or where the agent has one, a single policy.
    """
    adaptation = agent.config.adaptation
    parts: list[Part] = [
        WorldModelPart(agent, config, adaptation.reward_gradient, adaptation.reward_weight)
    ]
    if agent.task_policy is not None:
        parts.append(TaskPart(agent, config))
    else:
        parts.append(AdaptationPart(agent, config, freeze_skills))
    return Learner(agent, parts, generator, mode, precision)
