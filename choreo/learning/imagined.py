"""One step of an actor-critic in imagination, which every part with a policy takes."""

from collections.abc import Mapping

from torch import Tensor

from choreo.agent import Agent
from choreo.imagination import ActorCritic, Noise, Policy, Trajectory, imagine
from choreo.learning.update import Metrics, Update
from choreo.nn import Inputs, Optimizer, OptimizerConfig


def actor_critic_optimizers(
    actor_critic: ActorCritic, config: OptimizerConfig
) -> dict[str, Optimizer]:
    """One optimiser for the actor and one for the critic."""
    return {
        "actor": Optimizer(actor_critic.actor.parameters(), config.behavior_lr, config),
        "critic": Optimizer(actor_critic.critic.parameters(), config.behavior_lr, config),
    }


def roll_out(agent: Agent, update: Update, policy: Policy) -> Trajectory:
    """Imagine from every start of the update under `policy`."""
    c, rssm, start = agent.config.imagination, agent.world_model.rssm, update.start
    noise = Noise.draw(rssm, len(start.deter), c.horizon, update.generator)
    return imagine(rssm, start, update.is_terminal, policy, noise, c.gamma)


def improve(
    update: Update,
    actor_critic: ActorCritic,
    optimizers: Mapping[str, Optimizer],
    trajectory: Trajectory,
    inputs: Inputs,
    reward: Tensor,
) -> Metrics:
    """One step of actor and critic on the rewards (H + 1, N) of an imagined batch."""
    target, actor_loss, metrics = objective(actor_critic, trajectory, inputs, reward)
    optimizers["actor"].step(actor_loss)  # frees what was imagined before the critic needs room
    critic_loss, more = actor_critic.critic_loss(inputs, target, trajectory.weight)
    optimizers["critic"].step(critic_loss)
    losses = {"actor_loss": actor_loss.detach(), "critic_loss": critic_loss.detach()}
    return metrics | more | losses


def objective(
    actor_critic: ActorCritic, trajectory: Trajectory, inputs: Inputs, reward: Tensor
) -> tuple[Tensor, Tensor, Metrics]:
    """Targets (H, N) of an imagined batch, the actor's loss and its metrics."""
    target, value = actor_critic.target(inputs, reward, trajectory.discount)
    loss, metrics = actor_critic.actor_loss(
        inputs, trajectory.action, target, value, trajectory.weight
    )
    return target, loss, metrics
