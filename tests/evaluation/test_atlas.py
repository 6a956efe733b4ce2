"""The map of skills: ends, paths, relatives and use, worked out by hand and on a toy agent."""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from toy_episodes import SKILLS, episode_of, make_agent, make_counting, make_pictured

from choreo.agent import Agent
from choreo.evaluation import SkillReport, measure_health
from choreo.evaluation.atlas import axes_of, make_atlas, thinned
from choreo.evaluation.axes import Axes, flatten, make_axes, plane_of
from choreo.evaluation.codes import CodeUse
from choreo.evaluation.conditions import CONDITIONS
from choreo.evaluation.episode import Episode
from choreo.evaluation.rollouts import run_episodes

STEPS = 62


@pytest.fixture(scope="module")
def agent() -> Agent:
    return make_agent()


@pytest.fixture(scope="module")
def report(agent: Agent) -> SkillReport:
    return measure_health(agent, make_counting(4, limited=False), 2, STEPS)


def walk(skill: int, end: Sequence[float], start: int = 0) -> Episode:
    """Eight steps, the last three of which, the last quarter, are at `end`."""
    points = np.zeros((9, 2))
    points[6:] = end
    return replace(episode_of(skill, start, points), rewards=np.full(8, 0.5, np.float32))


def test_skills_lie_where_they_end_up(report: SkillReport, agent: Agent) -> None:
    ends = {0: (0, 0), 1: (10, 0), 2: (11, 0), 3: (0, 4)}
    played = [walk(k, end, start) for k, end in ends.items() for start in range(2)]
    played[0] = walk(0, (2, 2))  # its other episode ends at 0, 0
    use = CodeUse(np.array([6, 0, 3, 1]))
    changed = replace(
        report,
        episodes=dict.fromkeys(CONDITIONS, played),
        code_use=dict.fromkeys(CONDITIONS, use),
        hits=dict.fromkeys(CONDITIONS, np.diag([0.1, 0.2, 0.3, 0.4])),
        hit_rate=dict.fromkeys(CONDITIONS, 0.5),
        replay_code_use=CodeUse(np.array([0, 1, 1, 2])),
    )
    atlas = make_atlas(changed, agent)
    assert (atlas.axes, atlas.kind, atlas.chance) == (("count", "half"), "coordinates", 0.25)
    assert [(p.x, p.y) for p in atlas.skills] == [(1, 1), (10, 0), (11, 0), (0, 4)]
    assert [p.hit_rate for p in atlas.skills] == [0.1, 0.2, 0.3, 0.4]
    assert [p.use for p in atlas.skills] == [0, 0.25, 0.25, 0.5]
    assert [p.idle for p in atlas.skills] == [True, False, False, False]
    assert atlas.use_from == "recorded experience"
    assert [p.relatives[0] for p in atlas.skills] == [3, 2, 1, 0]
    assert all(p.return_mean == p.return_low == p.return_high == 4.0 for p in atlas.skills)
    assert atlas.skills[3].path[0] == [0, 0] and atlas.skills[3].path[-1] == [0, 4]
    other = make_atlas(changed, agent, "random")
    assert [p.idle for p in other.skills] == [False, True, False, False]
    assert other.use_from == "episodes"


def test_the_maps_of_all_conditions_share_their_axes(report: SkillReport, agent: Agent) -> None:
    axes = axes_of(report)
    for condition in CONDITIONS:
        atlas = make_atlas(report, agent, condition, axes)
        data = json.loads(json.dumps(atlas.to_json()))
        assert data["axes"] == ["count", "half"] and len(data["skills"]) == SKILLS
        assert data["condition"] == condition and "reading" not in data
        assert len(data["skills"][0]["relatives"]) == 3
        assert data["skills"][0]["safety"].keys() == report.safety.per_skill.keys()


def test_a_map_without_coordinates_has_directions_of_one_sign() -> None:
    vector = make_counting(2, named=False)
    played = run_episodes(make_agent(vector.spec), vector, "random", 4, 0)
    axes = make_axes((), played)
    assert (axes.kind, axes.names) == ("embedding", ("component 1", "component 2"))
    assert (axes.weights[np.abs(axes.weights).argmax(0), [0, 1]] > 0).all()
    shown, places = axes.place(played[0].observations, None)
    assert shown is axes
    np.testing.assert_allclose(places, axes.of_episode(played[0]), atol=1e-9)
    turned = [replace(e, observations={"observation": -e.vectors()}) for e in played]
    np.testing.assert_allclose(make_axes((), turned).weights, axes.weights, atol=1e-9)


def test_what_hardly_varies_counts_little() -> None:
    seen = np.random.default_rng(0).normal(size=(50, 3)) * [1, 1, 1e-6]
    axes = make_axes((), [episode_of(0, observations=seen)])
    off = {"observation": np.array([[0, 0, 1e-3]], np.float32)}  # a decoder's small error
    assert np.abs(axes.place(off, None)[1]).max() < 0.5


def test_an_observation_is_flattened_as_its_episode_is() -> None:
    vector = make_pictured(1, vectors=True)
    own = make_agent(vector.spec)
    (episode,) = run_episodes(
        own, vector, "random", 1, 0, steps=3, keep_images=lambda episode: episode.image_steps
    )
    flat = flatten({**episode.observations, **episode.images})
    np.testing.assert_array_equal(flat, episode.flat_observations())


def test_observations_tell_coordinates_that_are_linear_in_them() -> None:
    rng = np.random.default_rng(0)
    episodes = []
    for skill in range(4):
        seen = rng.normal(size=(50, 3))
        places = np.column_stack([2 * seen[:, 0] + 1, seen[:, 1] - seen[:, 2], seen[:, 2]])
        episodes.append(episode_of(skill, 0, places, observations=seen))
    axes = make_axes(("x", "speed", "y"), episodes)
    assert axes.names == ("x", "y") and axes.readable
    again = Axes.from_json(json.loads(json.dumps(axes.to_json())))
    point = {"observation": np.array([[1.0, 0.5, -2.0]], np.float32)}
    for one in (axes, again):
        np.testing.assert_allclose(one.place(point, None)[1], [[3.0, -2.0]], atol=1e-4)
        np.testing.assert_array_equal(one.place(point, np.array([[7.0, 8, 9]]))[1], [[7, 9]])
        half = np.array([[7.0, 8, np.nan]])  # one of the two is not told
        np.testing.assert_allclose(one.place(point, half)[1], [[3.0, -2.0]], atol=1e-4)


def test_states_whose_coordinates_nothing_tells_lie_on_other_axes() -> None:
    rng = np.random.default_rng(0)
    episodes = [
        episode_of(0, k, rng.normal(size=(50, 2)), observations=rng.normal(size=(50, 3)))
        for k in range(4)
    ]
    axes = make_axes(("x", "y"), episodes)
    assert not axes.readable and axes.of_steps(episodes[0].observations, None) is None
    again = Axes.from_json(json.loads(json.dumps(axes.to_json())))
    for one in (axes, again):
        shown, places = one.place(episodes[0].observations, None)
        assert shown.kind == "embedding" and places.shape == (50, 2)


def test_angles_go_round() -> None:
    points = np.column_stack([np.zeros(40), np.tile([3.1, -3.1], 20)])
    episodes = [episode_of(0, k, points, observations=np.ones((40, 1))) for k in range(2)]
    axes = make_axes(("height", "pitch"), episodes)
    assert axes.round == (False, True)
    assert abs(axes.centre(points)[1]) == pytest.approx(np.pi)
    assert axes.gap(np.array([0, 3.1]), np.array([0, -3.1])) == pytest.approx(
        (2 * np.pi - 6.2) / axes.spread[1]
    )
    assert make_axes(("height", "speed"), episodes).round == (False, False)
    wide = [replace(e, coordinates=100 * e.coordinates) for e in episodes]  # degrees
    assert make_axes(("height", "pitch"), wide).round == (False, False)


def test_names_of_a_plane_and_points_of_a_path() -> None:
    assert plane_of(("height", "pitch", "speed")) == ("height", "pitch")
    assert plane_of(("z", "y", "x")) == ("x", "y")
    path = np.column_stack([np.arange(251), np.zeros(251)])
    points = thinned(path)
    assert len(points) == 100 and points[0] == [0, 0] and points[-1] == [250, 0]
    assert thinned(path[:3]) == path[:3].tolist()
