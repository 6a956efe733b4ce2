"""Episodes of a policy: alignment, starts, skills, cutting, and that training is left alone."""

from typing import Any

import numpy as np
import pytest
import torch
from toy_episodes import CountingEnvironment, make_agent, make_counting, make_pictured

from choreo.agent import Agent
from choreo.envs import make_vector
from choreo.errors import UsageError
from choreo.evaluation.rollouts import Episode, acting_seed, run_episodes
from choreo.record import episode_seed


@pytest.fixture(scope="module")
def agent() -> Agent:
    return make_agent()


def play(agent: Agent, num: int = 2, **options: Any) -> list[Episode]:
    settings: dict[str, Any] = {"seed": 0} | options
    return run_episodes(agent, make_counting(num), **settings)


def test_arrays_are_aligned(agent: Agent) -> None:
    # The environment shows the step's number and the last action, and pays that number.
    (episode,) = play(agent, policy="random", episodes=1)
    steps = CountingEnvironment.LIMIT
    assert episode.length == steps
    assert episode.ended
    seen = episode.observations["observation"]
    np.testing.assert_array_equal(seen[:, 0], np.arange(steps + 1))
    np.testing.assert_allclose(seen[1:, 1:], episode.actions)
    np.testing.assert_array_equal(episode.rewards, np.arange(1, steps + 1))
    assert episode.return_ == steps * (steps + 1) / 2
    np.testing.assert_array_equal(episode.coordinates[:, 0], np.arange(steps + 1))
    assert episode.codes.shape == (steps + 1,)


def test_a_real_end_is_told_from_a_limit(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    (limited,) = play(agent, policy="random", episodes=1)
    monkeypatch.setattr(CountingEnvironment, "REAL", True)
    whole, cut = play(agent, policy="random", episodes=1) + play(
        agent, policy="random", episodes=1, steps=4
    )
    assert [e.terminal for e in (limited, whole, cut, whole.cut(3))] == [False, True, False, False]


def test_every_policy_meets_the_same_starts(agent: Agent) -> None:
    for policy in ("random", "explore"):
        vector = make_counting(2)
        run_episodes(agent, vector, policy, episodes=3, seed=5, steps=3)  # type: ignore[arg-type]
        seeds = {s for e in vector.environments for s in e.seeds}
        assert seeds == {episode_seed(5, "evaluation", start) for start in range(3)}


def test_more_episodes_than_rows_come_back_in_order(agent: Agent) -> None:
    episodes = play(agent, policy="skill", episodes=5, skills=[3, 1, 2, 0, 1], steps=4)
    assert [episode.skill for episode in episodes] == [3, 1, 2, 0, 1]
    assert [episode.start for episode in episodes] == [0, 1, 2, 3, 4]
    assert all(episode.length == 4 and not episode.ended for episode in episodes)


def test_starts_can_be_given(agent: Agent) -> None:
    episodes = play(agent, policy="random", episodes=2, starts=[7, 7], steps=2)
    assert [episode.start for episode in episodes] == [7, 7]


def test_the_mean_is_repeatable_and_samples_differ_from_it(agent: Agent) -> None:
    options: dict[str, Any] = {"policy": "skill", "episodes": 2, "skills": [1, 2], "steps": 5}
    first, again = play(agent, **options), play(agent, **options)
    sampled = play(agent, sample=True, **options)
    for one, two, three in zip(first, again, sampled):
        np.testing.assert_array_equal(one.actions, two.actions)
        assert not np.array_equal(one.actions, three.actions)


@pytest.mark.parametrize("policy", ["explore", "skill", "random"])
@pytest.mark.parametrize("sample", [False, True])
def test_an_episode_is_the_same_whatever_is_played_beside_it(
    agent: Agent, policy: str, sample: bool
) -> None:
    options: dict[str, Any] = {"policy": policy, "sample": sample, "steps": 6}
    skills = [3, 1, 2, 0, 1]

    def of(num: int, starts: list[int]) -> list[np.ndarray]:
        own = {"skills": [skills[s] for s in starts]} if policy == "skill" else {}
        played = play(agent, num, episodes=len(starts), starts=starts, **options, **own)
        return [episode.actions for episode in played]

    alone = of(1, [0, 1, 2, 3, 4])
    for num, starts in ((2, [0, 1, 2, 3, 4]), (5, [0, 1, 2, 3, 4]), (3, [4, 2, 3]), (1, [3])):
        for start, actions in zip(starts, of(num, starts), strict=True):
            np.testing.assert_allclose(actions, alone[start], atol=1e-5)


def test_skills_act_differently_from_one_start(agent: Agent) -> None:
    one, two = play(agent, policy="skill", episodes=2, skills=[0, 3], starts=[0, 0], steps=5)
    assert not np.allclose(one.actions, two.actions)


def test_a_new_skill_every_few_steps(agent: Agent) -> None:
    # The second block of skill 2 acts as skill 2 does: the same as [2, 2] but not as [2, 0].
    options: dict[str, Any] = {"policy": "skill", "episodes": 1, "steps": 6, "skill_steps": 3}
    alone = play(agent, 1, skills=[2], **options)[0].actions
    same = play(agent, 1, skills=[[2, 2]], **options)[0].actions
    changed = play(agent, 1, skills=[[2, 0]], **options)[0].actions
    np.testing.assert_array_equal(alone, same)
    np.testing.assert_array_equal(alone[:3], changed[:3])
    assert not np.array_equal(alone[3], changed[3])


def test_training_is_left_alone(agent: Agent) -> None:
    weights = {key: value.clone() for key, value in agent.state_dict().items()}
    torch.manual_seed(3)
    state, chance = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    play(agent, policy="skill", episodes=2, skills=[0, 1], steps=5, sample=True)
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(chance, np.random.get_state()[1])  # type: ignore[index]
    assert all(torch.equal(weights[key], value) for key, value in agent.state_dict().items())


def test_codes_are_those_of_the_posterior(agent: Agent) -> None:
    (episode,) = play(agent, 1, policy="skill", episodes=1, skills=[2], steps=4)
    session = agent.session(1)
    session.seed_row(0, acting_seed(0, 0))
    for t in range(5):
        observation = {key: value[t : t + 1] for key, value in episode.observations.items()}
        action = session.act(observation, skill=np.array([2]), policy="skill")
        assert int(agent.skills.nearest_code(session.deter)[0]) == episode.codes[t]
        if t < 4:
            np.testing.assert_array_equal(action[0], episode.actions[t])


def test_pictures_come_every_few_steps(agent: Agent) -> None:
    (episode,) = play(agent, 1, policy="random", episodes=1, steps=6, frames_every=3)
    assert [int(frame[0, 0, 0]) for frame in episode.frames] == [0, 3, 6]


def play_pictures(**options: Any) -> list[Episode]:
    vector = make_pictured(2)
    agent = make_agent(vector.spec)
    settings: dict[str, Any] = {"episodes": 3, "seed": 0, "steps": 9, "skills": [0, 1, 2]}
    return run_episodes(agent, vector, "skill", **settings, **options)


def test_images_are_let_go_but_small_copies_stay() -> None:
    for episode in play_pictures():
        assert episode.images == {}
        assert len(episode.image_steps) == 0
        assert episode.observations == {}
        assert episode.thumbnails["image"].shape == (10, 256)
        # The last area is away from the square: its grey is the step's number.
        np.testing.assert_array_equal(episode.thumbnails["image"][:, -1], np.arange(10))


def test_only_the_images_that_are_wanted_are_kept() -> None:
    over: list[int] = []

    def keep(episode: Episode) -> np.ndarray:
        over.append(len(episode.images["image"]))
        return np.array([2, 7]) if episode.skill == 1 else np.array([0])

    none, some, also_none = play_pictures(keep_images=keep)
    assert over == [10, 10, 10]
    assert some.image_steps.tolist() == [2, 7]
    assert some.images["image"].shape == (2, 3, 64, 64)
    assert some.images["image"][:, 0, -1, -1].tolist() == [2, 7]
    assert some.images["image"].base is None  # nothing holds on to the others
    assert [e.image_steps.tolist() for e in (none, also_none)] == [[0], [0]]


def test_images_of_an_own_environment() -> None:
    with make_vector("toy_envs:seen", 2, parallel=False) as vector:
        agent = make_agent(vector.spec)
        (episode,) = run_episodes(
            agent, vector, "random", 1, seed=0, steps=4, keep_images=lambda episode: np.arange(5)
        )
    (images,) = episode.images.values()
    assert images.shape == (5, 3, 64, 64)
    assert sorted(np.unique(images[0, 0]).tolist()) == [20, 250]


def test_distances_are_to_the_commanded_codes(agent: Agent) -> None:
    options: dict[str, Any] = {"policy": "skill", "episodes": 1, "steps": 6, "skill_steps": 3}
    (episode,) = play(agent, 1, skills=[[2, 0]], **options)
    session = agent.session(1)
    session.seed_row(0, acting_seed(0, 0))
    decoded = agent.skills.decoded_codes().detach()
    for t in range(7):
        observation = {key: value[t : t + 1] for key, value in episode.observations.items()}
        skill = 2 if t < 3 else 0
        session.act(observation, skill=np.array([skill]), policy="skill")
        gap = float((decoded[skill] - session.deter[0]).norm())
        assert episode.distances[t] == pytest.approx(gap, rel=1e-5)
    assert play(agent, policy="random", episodes=1)[0].distances.size == 0


def test_cut_keeps_the_beginning(agent: Agent) -> None:
    (episode,) = play(agent, 1, policy="random", episodes=1)
    short = episode.cut(3)
    assert short.length == 3
    assert not short.ended
    assert len(short.codes) == len(short.coordinates) == len(short.observations["observation"]) == 4
    assert episode.cut(episode.length) is episode


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"policy": "skill", "episodes": 1}, "needs their numbers"),
        ({"policy": "skill", "episodes": 1, "skills": [4]}, "skill 4 does not exist"),
        ({"policy": "skill", "episodes": 2, "skills": [1]}, "1 skills were given for 2 episodes"),
        ({"policy": "random", "episodes": 0}, "at least 1"),
        ({"policy": "task", "episodes": 1}, "meta-controller"),
    ],
)
def test_wrong_arguments_are_refused(agent: Agent, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        play(agent, **options)


def test_an_endless_environment_needs_a_number_of_steps(agent: Agent) -> None:
    vector = make_counting(1, limited=False)
    with pytest.raises(UsageError, match="no time limit"):
        run_episodes(agent, vector, "random", episodes=1, seed=0)
    assert run_episodes(agent, vector, "random", episodes=1, seed=0, steps=4)[0].length == 4
