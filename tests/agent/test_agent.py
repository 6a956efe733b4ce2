import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_agents import CONFIG, SPEC, changed, copies, toy_agent, toy_batch
from toy_envs import Point

import choreo
from choreo.adaptation import AdaptationConfig
from choreo.agent import Agent, AgentConfig, Memory, Parts, adapt, restore_agent
from choreo.envs.simulated import SimulatedEnvironment
from choreo.envs.simulators.gym import GymSimulator
from choreo.errors import CheckpointError, EnvironmentMismatch, UsageError
from choreo.exploration import ExplorationConfig
from choreo.world_model import Batch


def observations(num: int = 6, rows: int | None = None) -> np.ndarray:
    shape = (num, 4) if rows is None else (num, rows, 4)
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def play(agent: Agent, **options: Any) -> np.ndarray:
    session = agent.session(seed=3)
    return np.stack([session.act(o, **options) for o in observations()])


@pytest.mark.parametrize("parts", ["pretraining", "adaptation"])
def test_a_saved_agent_acts_bitwise_as_before(tmp_path: Path, parts: Parts) -> None:
    agent = toy_agent(parts, seed=5)
    own = "explore" if parts == "pretraining" else "task"
    loaded = choreo.load(agent.save(tmp_path / "agent"))
    assert loaded.parts == parts and loaded.spec == SPEC and loaded.config == CONFIG
    for options in ({"skill": 2}, {"policy": own}, {"policy": "random"}):
        for sample in (False, True):
            mine, theirs = (play(a, **options, sample=sample) for a in (agent, loaded))
            assert np.array_equal(mine, theirs), options
            assert mine.dtype == np.float32 and np.abs(mine).max() <= 1


def test_the_description_survives_json() -> None:
    agent = toy_agent("adaptation", exploration=ExplorationConfig(kind="rnd", layers=1, units=8))
    description = json.loads(json.dumps(agent.description()))
    assert json.loads(json.dumps(description)) == description
    assert AgentConfig.from_json(description["config"]) == agent.config
    tensors = {f"agent.{key}": value for key, value in agent.state_dict().items()}
    again = restore_agent(tensors, description)
    assert changed(copies(agent), again) == set()


def test_weights_of_other_sizes_are_refused() -> None:
    agent, description = toy_agent(), toy_agent("adaptation").description()
    tensors = {f"agent.{key}": value for key, value in agent.state_dict().items()}
    with pytest.raises(CheckpointError, match="does not fit"):
        restore_agent(tensors, description)


def test_a_batch_of_environments_acts_as_single_ones() -> None:
    """The posterior is drawn from one stream; made certain, every row acts as if it were alone."""
    agent, seen, skills = toy_agent(), observations(rows=3), [0, 3, 1]
    with torch.no_grad():
        for parameter in agent.world_model.rssm.posterior_logit.parameters():
            parameter *= 1e6
    together = agent.session(3)
    found = np.stack([together.act(rows, np.array(skills)) for rows in seen])
    for row, skill in enumerate(skills):
        alone = agent.session()
        expected = np.stack([alone.act(observation, skill) for observation in seen[:, row]])
        np.testing.assert_allclose(found[:, row], expected, atol=1e-5)


def test_every_run_of_an_agent_uses_the_networks_that_are_trained_for_it() -> None:
    """Moving a part moves the action of the policies that need it, and of no other."""
    parts = {
        "world_model.encoder": {"explore", "skill", "task"},
        "world_model.rssm.input": {"explore", "skill", "task"},
        "world_model.rssm.cell": {"explore", "skill", "task"},
        "world_model.rssm.posterior_logit": {"explore", "skill", "task"},
        "world_model.standardizer": {"explore", "skill", "task"},
        "explorer.actor": {"explore"},
        "skill_policy.actor": {"skill", "task"},
        "controller.selector.actor": {"task"},
    }
    for name, expected in parts.items():
        moved = set()
        for policy in ("explore", "skill", "task"):
            agent = toy_agent("adaptation" if policy == "task" else "pretraining")
            skill = 1 if policy == "skill" else None
            before = play(agent, policy=policy, skill=skill)
            if not nudge(agent, name):
                continue
            if not np.array_equal(play(agent, policy=policy, skill=skill), before):
                moved.add(policy)
        assert moved == expected, name


def nudge(agent: Agent, prefix: str) -> bool:
    """Scramble the parameters whose names begin with `prefix`; False when there are none."""
    found = [p for name, p in agent.named_parameters() if name.startswith(prefix)]
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in found:
            p.add_(torch.randn(p.shape, generator=random) * 3)
    return bool(found)


def test_acting_passes_through_the_same_states_as_training(tmp_path: Path) -> None:
    """Two episodes in a real loop; the training loss filters them to the same posterior states."""
    agent = toy_agent()
    scale = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)) * 7 + 3
    agent.world_model.standardizer.fit({"observation": scale})
    env = SimulatedEnvironment("point", GymSimulator("point", Point()), time_limit=6)
    session, rows, states = agent.session(seed=11), [], []
    action = np.zeros(2, np.float32)
    for seed in range(2):
        step = env.reset(seed)
        while True:
            row = {
                "observation": step.observation["observation"],
                "reward": np.float32(step.reward),
            }
            row["action"] = np.zeros(2, np.float32) if step.is_first else action
            row |= {"is_first": step.is_first, "is_terminal": step.is_terminal}
            rows.append(row)
            action = session.act(step.observation, 2, is_first=np.array([step.is_first]))
            states.append(session.memory.state)
            if step.is_last:
                break
            step = env.step(action)
    data = {key: torch.as_tensor(np.stack([row[key] for row in rows]))[None] for key in rows[0]}
    batch = Batch.from_tensors(data, ["observation"])
    _, output, _ = agent.world_model.loss(batch, False, torch.Generator().manual_seed(11))
    assert len(states) == 14
    acted = torch.cat([state.stoch for state in states]), torch.cat([s.deter for s in states])
    assert torch.equal(acted[0].round(), output.posterior.stoch[0].round())
    torch.testing.assert_close(acted[1], output.posterior.deter[0], atol=1e-5, rtol=0)


def test_the_first_observation_forgets_what_was_before() -> None:
    agent, seen = toy_agent(), observations()
    session = agent.session()
    for observation in seen:
        session.act(observation, skill=0)
    session.reset()
    session.generator.manual_seed(0)
    fresh = agent.session(seed=0)
    assert np.array_equal(session.act(seen[0], skill=0), fresh.act(seen[0], skill=0))
    flagged = agent.session(seed=0)
    flagged.memory = Memory(session.memory.state, session.memory.action + 1)
    flagged._is_first[:] = False
    again = flagged.act(seen[0], skill=0, is_first=np.array([True]))
    assert np.array_equal(again, agent.session(seed=0).act(seen[0], skill=0))


def test_a_session_goes_on_from_its_recorded_state() -> None:
    agent, seen = toy_agent(), observations()
    session = agent.session(seed=1)
    for observation in seen[:3]:
        session.act(observation, skill=1, sample=True)
    recorded = {key: value.clone() for key, value in session.state_dict().items()}
    rest = [session.act(observation, skill=1, sample=True) for observation in seen[3:]]
    other = agent.session(seed=8)
    other.load_state_dict(recorded)
    assert np.array_equal(rest, [other.act(o, skill=1, sample=True) for o in seen[3:]])


def test_skills_differ_and_so_do_samples() -> None:
    agent = toy_agent()
    assert not np.array_equal(play(agent, skill=0), play(agent, skill=1))
    assert not np.array_equal(play(agent, skill=0), play(agent, skill=0, sample=True))


def test_without_a_skill_the_explorer_or_the_meta_controller_acts() -> None:
    explorer, controller = toy_agent("pretraining"), toy_agent("adaptation")
    assert np.array_equal(play(explorer), play(explorer, policy="explore"))
    assert np.array_equal(play(controller), play(controller, policy="task"))


def test_random_exploration_acts_by_chance() -> None:
    agent = toy_agent(exploration=ExplorationConfig(kind="random"))
    actions = np.stack([agent.session(500).act(observations(1, 500)[0], policy="explore")])
    assert abs(actions.mean()) < 0.1 and actions.min() < -0.95 and actions.max() > 0.95


@pytest.mark.parametrize("skill", [-1, 5, np.array([0, 9])])
def test_a_skill_out_of_range_is_refused(skill: int | np.ndarray) -> None:
    num = 2 if isinstance(skill, np.ndarray) else None
    session = toy_agent().session(num)
    seen = observations(1, 2)[0] if num else observations()[0]
    with pytest.raises(UsageError, match=r"5 skills, 0 to 4"):
        session.act(seen, skill)


def test_a_list_of_skills_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="2 environments"):
        toy_agent().session(2).act(observations(1, 2)[0], np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        (np.zeros(3), r"'observation' has shape \(3,\).*\(4,\)"),
        (np.zeros((1, 4)), r"\(1, 4\)"),
        ({"camera": np.zeros(4)}, "'observation' is missing; found camera"),
    ],
)
def test_an_observation_that_does_not_fit_is_refused(observation: Any, words: str) -> None:
    with pytest.raises(EnvironmentMismatch, match=words):
        toy_agent().session().act(observation, skill=0)


def test_lists_are_observations_too() -> None:
    agent = toy_agent()
    lists: Any = {"observation": [[1.0] * 4, [2.0] * 4]}
    plain = agent.session(2).act(lists, skill=0)
    array = np.repeat([[1.0], [2.0]], 4, axis=1)
    assert np.array_equal(plain, agent.session(2).act(array, skill=0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": "skill"}, "needs its number"),
        ({"policy": "task"}, "no meta-controller.*finetune"),
        ({"policy": "walk"}, "'walk' is not one of explore, skill, task, random"),
    ],
)
def test_a_policy_the_agent_lacks_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        toy_agent().session().act(observations()[0], **options)


def test_a_fine_tuned_agent_has_no_explorer() -> None:
    with pytest.raises(UsageError, match=r"no explorer.*pretrain"):
        toy_agent("adaptation").session().act(observations()[0], policy="explore")


def test_adapting_takes_model_skills_and_policy_and_begins_the_rest_anew() -> None:
    old = toy_agent(seed=1)
    old.world_model.standardizer.fit({"observation": torch.randn(50, 4)})
    new, before = adapt(old, CONFIG, seed=2), copies(old)
    taken = {key: value for key, value in copies(new).items() if key in before}
    same = {key for key in taken if taken[key].equal(before[key])}
    fresh = {key for key in taken if key not in same}
    assert {key for key in taken if key.startswith(("skills.", "skill_policy.actor."))} <= same
    model = {key for key in taken if key.startswith("world_model.")}
    assert {key for key in model if not key.startswith("world_model.reward.")} <= same
    assert {key.rsplit(".", 2)[0] for key in fresh} >= {"world_model.reward.linears"}
    assert any(key.startswith("skill_policy.critic.") for key in fresh)
    assert new.controller is not None and new.explorer is None
    assert np.array_equal(play(old, skill=3), play(new, skill=3))


def test_one_policy_for_the_task_is_the_explorer_or_a_fresh_one() -> None:
    old = toy_agent(seed=1)
    for start in ("explorer", "model"):
        new = adapt(old, CONFIG, seed=2, start=start)
        assert new.parts == "task" and new.plays_task and new.controller is None
        assert np.array_equal(play(old), play(new)) == (start == "explorer")
        assert np.array_equal(play(old, skill=3), play(new, skill=3))
        critic = new.state_dict()["task_policy.critic.linears.0.weight"]
        assert not critic.equal(old.state_dict()["explorer.critic.linears.0.weight"])


@pytest.mark.parametrize("stops", [False, True])
def test_clamped_actions_may_stop_in_fine_tuning_alone(stops: bool) -> None:
    config = replace(CONFIG, adaptation=AdaptationConfig(clamp_stops=stops))
    old = toy_agent(config=config)
    kinds = [old, *(adapt(old, config, 1, start) for start in ("skills", "model", "explorer"))]
    kinds.append(Agent(SPEC, config, "adaptation"))  # from scratch
    again = [restore_agent(*agent.inference()) for agent in kinds]
    for agents in (kinds, again):
        pretrained, skills, model, explorer, scratch = agents
        assert pretrained.explorer is not None
        actors = [pretrained.skill_policy.actor, pretrained.explorer.actor]
        assert not any(actor.clamp_stops for actor in actors)
        assert skills.skill_policy.actor.clamp_stops is stops
        assert scratch.skill_policy.actor.clamp_stops is stops
        for agent in (model, explorer):
            assert agent.task_policy is not None and agent.task_policy.actor.clamp_stops is stops


def test_an_agent_that_searches_with_the_explorer_keeps_it_beside_the_skills() -> None:
    old = toy_agent(seed=1)
    searching = replace(CONFIG, adaptation=AdaptationConfig(search_with="explorer"))
    new = adapt(old, searching, seed=2)
    assert new.controller is not None and new.plays_task
    assert np.array_equal(play(old, policy="explore"), play(new, policy="explore"))
    assert np.array_equal(play(old, skill=3), play(new, skill=3))
    with pytest.raises(
        UsageError, match=r"search with.*learned from recorded data.*search-with skills"
    ):
        adapt(toy_agent("offline"), searching, seed=2)
    turns = replace(CONFIG, adaptation=AdaptationConfig(search_with="turns"))
    by_chance = toy_agent(exploration=ExplorationConfig(kind="random"))
    for source, searcher in (
        (old, "turns"),
        (by_chance, "skills"),
        (toy_agent("offline"), "skills"),
    ):
        assert adapt(source, turns, seed=2).config.adaptation.search_with == searcher


def test_an_agent_that_explored_by_chance_has_no_explorer_to_start_from() -> None:
    by_chance = toy_agent(exploration=ExplorationConfig(kind="random"))
    for old, why in (
        (by_chance, "explored by random actions"),
        (toy_agent("offline"), "learned from recorded data"),
        (toy_agent("task"), "was fine-tuned"),
    ):
        with pytest.raises(UsageError, match=why):
            adapt(old, CONFIG, seed=2, start="explorer")


def test_random_numbers_outside_stay_untouched_when_an_agent_is_built() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    toy_agent()
    assert torch.equal(torch.rand(3), expected)
    assert "5 skills" in repr(toy_agent()) and toy_batch().reward.shape == (3, 6)
