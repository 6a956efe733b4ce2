"""Who plays the episodes of a data set: chance or an agent, and how one round of them goes."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from choreo.agent import Agent, load
from choreo.data.formats.exorl import PHYSICS
from choreo.envs import Environment, EnvSpec, TimeStep, make
from choreo.errors import UsageError
from choreo.record import derive_seed, episode_seed

Which = Literal["explore", "skill", "task"]
"""Which policy of an agent: the explorer, a random skill per episode, or the meta-controller."""

Act = Callable[[list[TimeStep]], np.ndarray]


@dataclass(frozen=True)
class Plan:
    """Everything that decides what the episodes are.

    Args:
        env: id of the environment.
        make_options: names and values of further arguments of `make`.
        agent: run folder, checkpoint or snapshot; None plays uniformly random actions.
        which: the agent's policy; None is the meta-controller where there is one, or the explorer.
        sample: draw actions as in training instead of taking the policy's mean.
        seed: decides all chance.
        environments: episodes that one process plays at once, the agent acting for all together;
            a part of the plan because it decides which random numbers they share.
    """

    env: str
    make_options: tuple[tuple[str, Any], ...] = ()
    agent: Path | None = None
    which: Which | None = None
    sample: bool = True
    seed: int = 0
    environments: int = 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, without the agent's place, which is not what it is."""
        values = asdict(self) | {"make_options": dict(self.make_options)}
        return {name: value for name, value in values.items() if name != "agent"}


class Player:
    """Environments and agent of one process."""

    def __init__(self, plan: Plan) -> None:
        if plan.environments < 1:
            raise UsageError(f"environments is {plan.environments}; at least 1 is needed")
        derive_seed(plan.seed)  # refuses a bad seed now
        self.plan = plan
        self.agent = None if plan.agent is None else load(plan.agent)
        count = plan.environments
        self.environments = [make(plan.env, **dict(plan.make_options)) for _ in range(count)]
        self.spec = self.environments[0].spec
        try:
            _check(self.spec, self.agent, plan)
        except UsageError:
            self.close()
            raise

    def close(self) -> None:
        """Free the environments."""
        for environment in self.environments:
            environment.close()

    def play(self, number: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Play round `number`; gives number and arrays of each episode as it ends.

        The arrays have T + 1 rows: the observations, `action` (A,), `reward` (1,), `discount` (1,)
        and, where there is one, `physics` (P,).
        """
        size = self.plan.environments
        episodes = [
            _Episode(number * size + i, environment, self.plan.seed)
            for i, environment in enumerate(self.environments)
        ]
        act = self._random(episodes) if self.agent is None else self._agent(self.agent, number)
        while not all(episode.ended for episode in episodes):
            actions = act([episode.last for episode in episodes])
            for episode, action in zip(episodes, actions, strict=True):
                if episode.ended:
                    continue
                episode.step(action)
                if episode.ended:
                    yield episode.number, episode.arrays()

    def _random(self, episodes: list["_Episode"]) -> Act:
        """Uniform actions, from a stream of each episode's own."""
        size = self.spec.action_size
        streams = [
            np.random.default_rng(derive_seed(self.plan.seed, "action", episode.number))
            for episode in episodes
        ]
        return lambda _: np.array([s.uniform(-1, 1, size) for s in streams], np.float32)

    def _agent(self, agent: Agent, number: int) -> Act:
        """The agent's actions, with a memory and a random stream that begin with the round."""
        plan = self.plan
        session = agent.session(plan.environments, derive_seed(plan.seed, "acting", number))
        which = plan.which or ("task" if agent.plays_task else "explore")
        chance = np.random.default_rng(derive_seed(plan.seed, "skill", number))
        skills = chance.integers(agent.num_skills, size=plan.environments)

        def act(steps: list[TimeStep]) -> np.ndarray:
            seen = {
                key: np.stack([s.observation[key] for s in steps]) for key in self.spec.observations
            }
            skill = skills if which == "skill" else None
            return session.act(seen, skill, policy=which, sample=plan.sample)

        return act


class _Episode:
    """One episode that is being played; an ended one shows its last step on and on."""

    def __init__(self, number: int, environment: Environment, seed: int) -> None:
        self.number, self._environment = number, environment
        self.last = environment.reset(episode_seed(seed, "env", number))
        self._steps, self._states = [self.last], [environment.physics_state()]
        self._actions = [np.zeros(environment.spec.action_size, np.float32)]

    @property
    def ended(self) -> bool:
        return self.last.is_last

    def step(self, action: np.ndarray) -> None:
        self.last = self._environment.step(action)
        self._steps.append(self.last)
        self._states.append(self._environment.physics_state())
        self._actions.append(action)

    def arrays(self) -> dict[str, np.ndarray]:
        keys = self._environment.spec.observations
        arrays = {key: np.stack([s.observation[key] for s in self._steps]) for key in keys}
        arrays["action"] = np.stack(self._actions)
        arrays["reward"] = np.array([[s.reward] for s in self._steps], np.float32)
        arrays["discount"] = np.array([[not s.is_terminal] for s in self._steps], np.float32)
        states = [state for state in self._states if state is not None]
        if states:
            arrays[PHYSICS] = np.stack(states)
        return arrays


def _check(spec: EnvSpec, agent: Agent | None, plan: Plan) -> None:
    """Refuse what cannot be played to an end."""
    if spec.episode_steps is None:
        raise UsageError(
            f"episodes of {spec.id} have no time limit that is known; set one with --time-limit"
        )
    if agent is None:
        if plan.which is not None:
            raise UsageError(
                f"--which {plan.which} is a policy of an agent; give a run to --policy"
            )
        return
    who = f"this agent, which was trained on {agent.spec.id}"
    agent.spec.require_fit(spec, f"{spec.id} does not fit {who}")
