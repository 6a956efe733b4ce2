"""Scores imagined from a reset, from recorded experience, and read back by a simulator."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_episodes import SKILLS, CountingEnvironment, CountingVector, make_agent, make_counting

from choreo.agent import Agent
from choreo.errors import UsageError
from choreo.evaluation.choreography import Move, Score
from choreo.evaluation.dreamt_atlas import dreamt_atlas
from choreo.evaluation.imagining import (
    MOST_IMAGINED,
    film_imagined,
    imagine,
    imagine_skills,
    one_skill,
    start_of_replay,
    start_of_reset,
)
from choreo.evaluation.performance import perform
from choreo.replay import Replay

SCORE = Score((Move(2, 3), Move(0, 2)), seed=3)


class Told(CountingEnvironment):
    """Can be put into the state of an observation, whose first entry is the count."""

    def set_observed(self, observation: Mapping[str, np.ndarray]) -> bool:
        self.count = float(observation["observation"][0])  # type: ignore[assignment]
        return True

    def render(self, height: int, width: int) -> np.ndarray:
        return np.zeros((height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def agent() -> Agent:
    return make_agent()


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Two streams of episodes of 10 steps, 60 steps each."""
    keys = {
        "observation": ((3,), "float32"),
        "action": ((2,), "float32"),
        "reward": ((), "float32"),
        "is_first": ((), "bool"),
        "is_terminal": ((), "bool"),
    }
    replay, rng = Replay(tmp_path_factory.mktemp("replay"), keys, 2), np.random.default_rng(0)
    for step in range(60):
        replay.append(
            {
                "observation": rng.normal(size=(2, 3)).astype(np.float32),
                "action": rng.uniform(-1, 1, (2, 2)).astype(np.float32),
                "reward": np.zeros(2, np.float32),
                "is_first": np.full(2, step % 10 == 0),
                "is_terminal": np.zeros(2, bool),
            }
        )
    return replay


def test_a_score_is_imagined_the_same_twice(agent: Agent) -> None:
    first, again = (
        imagine(agent, SCORE, start_of_reset(agent, make_counting(1), 3)) for _ in range(2)
    )
    assert first.steps == 5 and first.observations["observation"].shape == (6, 3)
    assert first.skills.tolist() == [2, 2, 2, 0, 0] and first.actions.shape == (5, 2)
    assert first.reward.shape == (5,) and first.codes.shape == (6,)
    np.testing.assert_array_equal(
        first.observations["observation"], again.observations["observation"]
    )
    other = imagine(agent, Score(SCORE.moves, seed=4), start_of_reset(agent, make_counting(1), 3))
    assert not np.array_equal(first.reward, other.reward)


def test_the_first_action_of_a_dream_is_that_of_reality(agent: Agent) -> None:
    """Both decide from the same state; from then on the dream sees nothing."""
    played = list(perform(agent, make_counting(1), SCORE))
    dreamt = imagine(agent, SCORE, start_of_reset(agent, make_counting(1), SCORE.seed))
    assert played[1].action is not None
    np.testing.assert_allclose(dreamt.actions[0], played[1].action, atol=1e-6)


def test_coordinates_are_read_by_a_simulator_that_can(agent: Agent) -> None:
    start = start_of_reset(agent, make_counting(1), 3)
    assert imagine(agent, SCORE, start, make_counting(1)).coordinates is None
    found = imagine(agent, SCORE, start, CountingVector([Told()]))
    assert found.coordinates is not None
    seen = found.observations["observation"][:, 0]
    np.testing.assert_allclose(found.coordinates, np.column_stack([seen, seen / 2]), rtol=1e-6)
    assert film_imagined(agent, found, CountingVector([Told()]), "gif", 32).startswith(b"GIF")
    for vector in (None, make_counting(1)):
        with pytest.raises(UsageError, match="cannot be drawn"):
            film_imagined(agent, found, vector)


def test_what_cannot_be_imagined(agent: Agent) -> None:
    start = start_of_reset(agent, make_counting(1), 3)
    with pytest.raises(UsageError, match="skill 4, which does not exist"):
        imagine(agent, one_skill(4, 1, 0), start)
    with pytest.raises(UsageError, match=f"at most {MOST_IMAGINED}"):
        imagine(agent, one_skill(0, MOST_IMAGINED + 1, 0), start)
    with pytest.raises(UsageError, match="got 0"):
        imagine_skills(agent, start, 0, 0)


def test_recorded_starts_are_beginnings_of_episodes(agent: Agent, replay: Replay) -> None:
    firsts = np.concatenate([replay.read(s, 0, 60)["observation"][::10] for s in range(2)])
    for seed in range(5):
        seen = start_of_replay(agent, replay, seed).observation["observation"]
        assert (firsts == seen).all(1).any()


def test_all_skills_are_imagined_at_once(agent: Agent) -> None:
    start = start_of_reset(agent, make_counting(1), 3)
    found = imagine_skills(agent, start, 6, 0)
    assert found.observations["observation"].shape == (6, SKILLS, 3)
    assert found.reward.shape == (6, SKILLS) and found.deter.shape[:2] == (6, SKILLS)
    for skill in range(SKILLS):  # h of the next state depends on no chance but the start's
        action = agent.decide(start.state, "skill", torch.tensor([skill]))
        with torch.no_grad():
            after = agent.world_model.rssm.imagine_step(start.state, action)
        torch.testing.assert_close(found.deter[0, skill], after.deter[0])


def test_a_map_without_a_simulator(agent: Agent, replay: Replay) -> None:
    first, again = (dreamt_atlas(agent, replay).to_json() for _ in range(2))
    assert first == again and first["imagined"] and first["kind"] == "embedding"
    assert len(first["skills"]) == SKILLS
    for place in first["skills"]:
        assert 0 <= place["hit_rate"] <= 1 and len(place["relatives"]) == 3
        assert place["return_mean"] is None and len(place["path"]) == 100
    other = dreamt_atlas(agent, replay, "untrained").to_json()
    assert other["skills"][0]["path"] != first["skills"][0]["path"]
    with pytest.raises(UsageError, match="random needs a simulator"):
        dreamt_atlas(agent, replay, "random")


def test_experience_that_holds_nothing(agent: Agent, tmp_path: Path) -> None:
    empty = Replay(tmp_path, {"observation": ((3,), "float32"), "is_first": ((), "bool")}, 1)
    with pytest.raises(UsageError, match="no experience yet"):
        start_of_replay(agent, empty, 0)
    with pytest.raises(UsageError, match="no experience yet"):
        dreamt_atlas(agent, empty)
