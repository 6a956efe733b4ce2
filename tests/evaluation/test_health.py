"""The skill report's figures: equal steps, the same starts, and skills that are made to work."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_episodes import (
    SKILLS,
    CountingEnvironment,
    CountingVector,
    PictureEnvironment,
    make_agent,
    make_counting,
    make_pictured,
)

from choreo.envs import TimeStep
from choreo.errors import EnvironmentMismatch, UsageError
from choreo.evaluation import SkillReport, measure_health, windows
from choreo.evaluation.conditions import CONDITIONS, play_skills, usual_steps
from choreo.evaluation.windows import CONTEXT, LENGTH

STEPS = 62


class Walk(CountingEnvironment):
    """Moves by the sign of its action; falls over when random actions take it below a line."""

    LIMIT = 200

    def step(self, action: np.ndarray) -> TimeStep:
        self.place = self.place + np.sign(action)
        return self.show(super().step(action))

    def reset(self, seed: int) -> TimeStep:
        self.place = np.zeros(2)
        return self.show(super().reset(seed))

    def show(self, step: TimeStep) -> TimeStep:
        step.observation["observation"][1:] = self.place
        last = bool(self.count and self.place.sum() <= -2)
        return replace(step, is_last=step.is_last or last, is_terminal=last)

    def coordinates(self) -> np.ndarray:
        return self.place.copy()


def make_walk(num: int = 4) -> CountingVector:
    return CountingVector([Walk() for _ in range(num)])


def test_every_condition_takes_exactly_as_many_steps() -> None:
    agent = make_agent()
    report = measure_health(agent, make_walk(), 2, STEPS, seed=0)
    for name in CONDITIONS:
        lengths = np.zeros(SKILLS)
        for episode in report.episodes[name]:
            lengths[episode.skill] += episode.length
        np.testing.assert_array_equal(lengths, 2 * STEPS)
    assert any(episode.ended for episode in report.episodes["random"])
    assert report.settings.to_json()["steps"] == SKILLS * 2 * STEPS
    assert report.settings.to_json()["frames"] == 2 * SKILLS * 2 * STEPS


def test_conditions_and_skills_meet_the_same_starts() -> None:
    vectors = [make_counting(4) for _ in range(2)]
    agent = make_agent()
    for vector, policy in zip(vectors, ("skill", "random")):
        episodes = play_skills(agent, vector, policy, 3, 8, seed=1)  # type: ignore[arg-type]
        assert [(e.start, e.skill) for e in episodes] == [
            (start, skill) for start in range(3) for skill in range(SKILLS)
        ]
    seeds = [sorted({s for e in vector.environments for s in e.seeds}) for vector in vectors]
    assert seeds[0] == seeds[1]
    assert len(seeds[0]) == 3


def test_json_has_what_programs_read() -> None:
    report = measure_health(make_agent(), make_walk(), 2, STEPS, seed=0)
    data = json.loads(json.dumps(report.to_json()))
    for figure in ("coverage", "hit_rate", "predictability"):
        assert set(CONDITIONS) <= data[figure].keys()
        assert all(len(data[figure]["per_skill"][name]) == SKILLS for name in CONDITIONS)
    assert data["hit_rate"]["chance"] == data["predictability"]["chance"] == 1 / SKILLS
    assert data["codebook"]["source"] == "rollouts"
    assert data["codebook"]["resampled"] == 0
    assert data["model_error"]["horizons"] == [1, 5, 15, 45]
    assert data["settings"]["environment"] == "counting"


def test_a_constant_code_hits_at_chance_because_all_skills_are_commanded_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent = make_agent()
    monkeypatch.setattr(Walk, "step", CountingEnvironment.step)  # never falls
    constant = lambda deter: torch.full(deter.shape[:-1], 2)  # noqa: E731
    monkeypatch.setattr(agent.skills, "nearest_code", constant)
    report = measure_health(agent, make_walk(), 2, STEPS, seed=0)
    assert report.hit_rate["trained"] == report.hit_rate["random"] == 1 / SKILLS
    assert np.diag(report.hits["trained"]).tolist() == [0, 0, 1, 0]


def test_episodes_that_end_early_have_no_hit_rate() -> None:
    report = measure_health(make_agent(), make_counting(4), 2, STEPS, seed=0)
    assert set(report.hit_rate.values()) == {None}  # all end before step 50


def test_the_agent_is_left_as_it_is_and_the_untrained_one_differs() -> None:
    agent = make_agent()
    before = {key: value.clone() for key, value in agent.state_dict().items()}
    report = measure_health(agent, make_walk(), 2, STEPS, seed=0)
    assert all(bool((before[key] == value).all()) for key, value in agent.state_dict().items())
    trained, untrained = (report.episodes[name][0].actions for name in ("trained", "untrained"))
    assert not np.array_equal(trained[:5], untrained[:5])


@pytest.mark.parametrize(("episodes", "steps"), [(1, STEPS), (2, 50)])
def test_too_little_to_measure_is_refused(episodes: int, steps: int) -> None:
    with pytest.raises(UsageError, match="at least 2 episodes of every skill"):
        measure_health(make_agent(), make_walk(), episodes, steps)


def test_another_environment_is_refused() -> None:
    spec = replace(CountingEnvironment().spec, id="other", action_size=3)
    with pytest.raises(EnvironmentMismatch, match="action values"):
        measure_health(make_agent(spec), make_walk(), 2, STEPS)


KEPT = 5


@pytest.fixture(scope="module")
def pictured() -> SkillReport:
    """The report of an agent that sees images only, where 5 sequences of images are kept."""
    vector = make_pictured(SKILLS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "IMAGE_WINDOWS", KEPT)
        return measure_health(make_agent(vector.spec), vector, 2, STEPS, seed=0)


def test_few_images_are_kept(pictured: SkillReport) -> None:
    for name in CONDITIONS:
        episodes = pictured.episodes[name]
        kept = [len(episode.image_steps) for episode in episodes]
        assert len(kept) == 2 * SKILLS
        # A window of 5 episodes and two moments of each.
        assert sum(count >= LENGTH for count in kept) == KEPT
        assert sum(kept) <= KEPT * LENGTH + 2 * len(kept)
        assert all(episode.observations == {} for episode in episodes)


def test_json_of_an_agent_that_sees_images(pictured: SkillReport) -> None:
    data = json.loads(json.dumps(pictured.to_json()))
    assert data["settings"]["observations"] == "pixels"
    assert data["predictability"]["told_from"] == "grey pictures of 16 x 16 pixels"
    assert data["model_error"]["sequences"] == KEPT
    assert all(error > 0 for error in data["model_error"]["trained"])
    assert all(0 <= data["decoded_codes"][name] <= 1 for name in (*CONDITIONS, "chance"))
    assert "decoded_codes" not in measure_health(make_agent(), make_walk(), 2, STEPS).to_json()


def test_images_and_vectors_together_with_two_cameras() -> None:
    vector = make_pictured(SKILLS, vectors=True, cameras=("left", "right"), named=False)
    report = measure_health(make_agent(vector.spec), vector, 2, STEPS, seed=0)
    data = json.loads(json.dumps(report.to_json()))
    assert data["settings"]["observations"] == "both"
    assert {"vectors", "images"} <= data["model_error"].keys()
    assert data["coverage"]["coordinates"] == [f"component {n}" for n in (1, 2, 3)]
    episode = report.episodes["trained"][0]
    assert episode.flat_observations().shape == (STEPS + 1, 3 + 2 * 256)
    assert episode.images.keys() == {"left", "right"}


def test_episodes_with_images_that_end_early_are_measured() -> None:
    class Short(PictureEnvironment):
        LIMIT = 23

    vector = CountingVector([Short() for _ in range(SKILLS)])
    report = measure_health(make_agent(vector.spec), vector, 2, STEPS, seed=0)
    assert report.model_error is not None
    assert len(report.model_error.errors["trained"]) == Short.LIMIT + 1 - CONTEXT
    assert report.model_error.sequences == 2 * SKILLS


def test_episodes_from_images_are_as_long_in_frames() -> None:
    spec = PictureEnvironment().spec
    assert usual_steps(CountingEnvironment().spec) == 250
    assert usual_steps(spec) == 125  # action repeat 2
    assert usual_steps(replace(spec, action_repeat=4)) == 100
