"""Parts that learn a task: the meta-controller with its skills, or a single policy."""

from choreo.agent import Agent
from choreo.imagination import Policy
from choreo.imagination.actor_critic import ContinuousActor
from choreo.learning.imagined import actor_critic_optimizers, improve, roll_out
from choreo.learning.update import Metrics, Part, Update
from choreo.nn import Optimizer, OptimizerConfig, condition, frozen


class AdaptationPart(Part):
    """Learns the meta-controller and fine-tunes the skill policy on the predicted reward."""

    name = "adaptation"

    def __init__(self, agent: Agent, config: OptimizerConfig, freeze_skills: bool) -> None:
        assert agent.controller is not None
        self.agent, self.controller = agent, agent.controller
        assert isinstance(agent.skill_policy.actor, ContinuousActor)
        self.skill_actor = agent.skill_policy.actor
        selector = self.controller.selector
        self.optimizers = {
            "selector": Optimizer(selector.actor.parameters(), config.behavior_lr, config),
            "critic": Optimizer(selector.critic.parameters(), config.behavior_lr, config),
        }
        if not freeze_skills:
            self.optimizers["skill_actor"] = Optimizer(
                self.skill_actor.parameters(), config.behavior_lr, config
            )
        self.updates: int = 0

    def update(self, update: Update) -> Metrics:
        horizon, rows = self.agent.config.imagination.horizon, len(update.start.deter)
        policy = self.controller.policy(self.skill_actor, horizon, rows, update.generator)
        with frozen(self.agent.world_model):
            trajectory = roll_out(self.agent, update, policy)
            reward = self.agent.world_model.predict_reward(trajectory.feat)
        losses, metrics = self.controller.losses(trajectory, reward)
        assert trajectory.choice is not None
        inputs = condition(trajectory.feat[0], trajectory.choice[0])
        metrics["deviation"] = self.skill_actor.deviation(inputs)
        for name, optimizer in self.optimizers.items():
            optimizer.step(losses[name])
        metrics |= {f"{name}_loss": loss.detach() for name, loss in losses.items()}
        return metrics | {"reward": reward.detach().mean()}

    def after(self, update: Update) -> None:
        self.controller.selector.update_slow_critic(self.updates)
        self.updates += 1


class TaskPart(Part):
    """Learns one policy for the task on the predicted reward, through the dynamics."""

    name = "adaptation"

    def __init__(self, agent: Agent, config: OptimizerConfig) -> None:
        assert agent.task_policy is not None
        self.agent, self.policy = agent, agent.task_policy
        self.optimizers = actor_critic_optimizers(self.policy, config)
        self.updates: int = 0

    def update(self, update: Update) -> Metrics:
        model = self.agent.world_model
        with frozen(model):
            trajectory = roll_out(self.agent, update, Policy(self.policy.actor))
            reward = model.predict_reward(trajectory.feat)
        feat = trajectory.feat
        metrics = improve(update, self.policy, self.optimizers, trajectory, feat, reward)
        return metrics | {"reward": reward.detach().mean()}

    def after(self, update: Update) -> None:
        self.policy.update_slow_critic(self.updates)
        self.updates += 1
