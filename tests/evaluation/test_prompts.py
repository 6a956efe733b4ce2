"""Prompts: skills ranked by places, recorded frames, pictures and named rewards."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from toy_episodes import (
    SKILLS,
    CountingEnvironment,
    episode_of,
    make_agent,
    make_pictured,
    tiny_config,
)

from choreo.agent import Agent
from choreo.envs import make
from choreo.errors import UsageError
from choreo.evaluation.axes import make_axes
from choreo.evaluation.imagining import ImaginedSkills, Start, imagine_skills, start_of_observation
from choreo.evaluation.model_error import Spread
from choreo.evaluation.named_rewards import PREDICTED, TaskJudge, named_rewards
from choreo.evaluation.prompts import (
    Frame,
    Point,
    Reward,
    picture_goal,
    prompt,
    recorded_frame,
    recorded_frames,
)
from choreo.replay import Replay

STEPS = 6


@pytest.fixture(scope="module")
def agent() -> Agent:
    return make_agent()


@pytest.fixture(scope="module")
def start(agent: Agent) -> Start:
    return start_of_observation(agent, {"observation": np.zeros(3, np.float32)}, 0)


def by_hand(rows: list[list[float]]) -> ImaginedSkills:
    """Two imagined steps of four skills, whose observation is [value, 0, 0]."""
    values = np.array(rows, np.float32)
    seen = np.zeros((*values.shape, 3), np.float32)
    seen[..., 0] = values
    return ImaginedSkills({"observation": seen}, values, torch.zeros(*values.shape, 4))


ROWS = [[1.0, 5, 2, 0], [1.0, 0, 2, 4]]


def test_a_frame_is_near_by_the_variance_of_the_data(agent: Agent) -> None:
    goal = Frame({"observation": np.array([2, 0, 0], np.float32)}, Spread(np.array([4.0, 0, 0])))
    judged = goal.judge(agent, by_hand(ROWS), None)
    np.testing.assert_allclose(judged.rewards, -np.array([[1, 9, 0, 4], [1, 4, 0, 4]]) / 4)
    assert judged.code_distance is not None and judged.code_distance.shape == (SKILLS,)


def test_a_place_is_near_by_the_deviation_of_the_data(agent: Agent) -> None:
    seen = np.random.default_rng(0).normal(size=(40, 3))
    places = seen[:, :2] * [2, 1]
    axes = make_axes(("x", "y"), [episode_of(0, k, places, observations=seen) for k in range(2)])
    axes = replace(axes, spread=np.array([2.0, 1.0]))
    judged = Point(axes, 4.0, 0.0).judge(agent, by_hand(ROWS), None)
    np.testing.assert_allclose(judged.rewards, -np.array([[1, 3, 0, 2], [1, 2, 0, 2]]), atol=1e-3)
    lost = replace(axes, told=(1.0, 0.2))
    with pytest.raises(UsageError, match="do not tell x and y"):
        Point(lost, 4.0, 0.0).judge(agent, by_hand(ROWS), None)
    ends = np.array([[4.0, 0], [0, 0], [4, 3], [8, 0]])
    played = Point(lost, 4.0, 0.0, ends).judge(agent, by_hand(ROWS), None)
    np.testing.assert_allclose(played.rewards, -np.array([[0, 2, 3, 2]] * 2))
    assert judged.imagined and not played.imagined


def test_skills_are_ranked_by_imagined_return(agent: Agent, start: Start) -> None:
    imagined = imagine_skills(agent, start, STEPS, 0)
    ranked = prompt(agent, start, Reward(PREDICTED), steps=STEPS)
    scores = imagined.reward.sum(0)
    assert [one.skill for one in ranked] == np.argsort(-scores, kind="stable").tolist()
    assert [one.score for one in ranked] == pytest.approx(sorted(scores, reverse=True))
    assert all(one.distance is None and one.path == [] for one in ranked)
    goal = Frame({"observation": np.ones(3, np.float32)}, Spread(np.ones(3)))
    near = prompt(agent, start, goal, steps=STEPS)
    gaps = ((imagined.observations["observation"] - 1) ** 2).mean(-1)  # (H, K)
    for one in near:
        assert one.score == pytest.approx(-gaps[STEPS // 2 :, one.skill].mean(), rel=1e-5)
        assert one.distance == pytest.approx(gaps[:, one.skill].min(), rel=1e-5)
    assert [one.score for one in near] == sorted((one.score for one in near), reverse=True)


def png(picture: Image.Image) -> bytes:
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def test_a_picture_is_brought_to_what_the_agent_sees() -> None:
    agent = make_agent(make_pictured(1).spec)
    wide = Image.new("RGB", (300, 100), "black")
    wide.paste((200, 100, 50), (100, 0, 200, 100))  # its middle square
    goal = picture_goal(agent, png(wide), Spread(np.zeros(0), 0.1))
    image = goal.observation["image"]
    assert image.shape == (3, 64, 64) and image.dtype == np.uint8
    assert image.reshape(3, -1).T.tolist() == [[200, 100, 50]] * 64 * 64
    start = start_of_observation(agent, {"image": np.zeros((3, 64, 64), np.uint8)}, 0)
    assert len(prompt(agent, start, goal, steps=2)) == SKILLS


def test_a_picture_is_seen_as_a_person_sees_it() -> None:
    """Turned as the camera noted, and 16 bits a value as 8."""
    agent, spread = make_agent(make_pictured(1).spec), Spread(np.zeros(0), 0.1)
    halves = Image.new("RGB", (64, 64), "white")
    halves.paste((0, 0, 0), (0, 0, 32, 64))  # the left half
    exif, turned = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6  # to be turned right by a quarter: left is up
    halves.save(turned, "PNG", exif=exif)
    image = picture_goal(agent, turned.getvalue(), spread).observation["image"]
    assert image[:, :32].max() == 0 and image[:, 32:].min() == 255
    deep = Image.fromarray(np.full((64, 64), 100 * 256 + 7, np.uint16))
    assert np.unique(picture_goal(agent, png(deep), spread).observation["image"]).tolist() == [100]


def test_an_agent_that_sees_both_is_asked_by_the_picture_alone() -> None:
    spec = make_pictured(1, vectors=True).spec
    agent = make_agent(spec)
    first = {"observation": np.zeros(3, np.float32), "image": np.zeros((3, 64, 64), np.uint8)}
    goal = picture_goal(agent, png(Image.new("L", (8, 8), 9)), Spread(np.ones(3), 0.1))
    ranked = prompt(agent, start_of_observation(agent, first, 0), goal, steps=2)
    assert len(ranked) == SKILLS and ranked[0].code_distance is None


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "no picture that can be read"),
        (b"\x89PNG\r\n\x1a\n" + b"0" * 50, "no picture that can be read"),
        (png(Image.new("RGB", (40, 40)))[:50], "no picture that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that can be read"),
        (png(Image.new("1", (2**13, 2**13))), "too large; wanted are at most"),
    ],
)
def test_what_is_no_picture(data: bytes, sentence: str) -> None:
    agent = make_agent(make_pictured(1).spec)
    with pytest.raises(UsageError, match=sentence):
        picture_goal(agent, data, Spread(np.zeros(0)))


def test_a_picture_tells_an_agent_of_states_nothing(agent: Agent) -> None:
    with pytest.raises(UsageError, match="sees numbers and no pictures"):
        picture_goal(agent, png(Image.new("RGB", (8, 8))), Spread(np.zeros(0)))


def test_recorded_frames_are_named_for_good(agent: Agent, tmp_path) -> None:  # noqa: ANN001
    replay = Replay(tmp_path, {"observation": ((3,), "float32"), "is_first": ((), "bool")}, 2)
    for step in range(20):
        rows = np.array([[step, stream, 0] for stream in range(2)], np.float32)
        replay.append({"observation": rows, "is_first": np.zeros(2, bool)})
    frames = recorded_frames(agent, replay, 6)
    assert len(frames) == 6 and len({frame.number for frame in frames}) == 6
    for frame in frames:
        assert frame.observation["observation"][:2].tolist() == [frame.index, frame.stream]
        again = recorded_frame(agent, replay, frame.number)
        np.testing.assert_array_equal(
            again.observation["observation"], frame.observation["observation"]
        )
    for number in (40, -1, 10**12):
        with pytest.raises(UsageError, match="is not held"):
            recorded_frame(agent, replay, number)


def test_rewards_of_tasks_are_those_of_the_simulator() -> None:
    environment = make("point_mass_reach_top_left")
    agent = Agent(make("point_mass").spec, tiny_config(), "pretraining", 0)
    names = [one.name for one in named_rewards(agent)]
    assert names[0] == PREDICTED and "point_mass_reach_top_left" in names
    corner, rng = [], np.random.default_rng(0)
    environment.reset(0)
    rewards = []
    for _ in range(20):
        step = environment.step(rng.uniform(-1, 1, 2))
        corner.append(step.observation["observation"])
        rewards.append(step.reward)
    corner.append(np.array([-0.2, 0.2, 0, 0], np.float32))  # at the goal
    with TaskJudge(agent, "point_mass_reach_top_left") as judge:
        found = judge.rewards({"observation": np.stack(corner)})
    np.testing.assert_allclose(found, [*rewards, 1.0], atol=1e-5)


def test_rewards_that_there_are_not(agent: Agent) -> None:
    assert [one.name for one in named_rewards(agent)] == [PREDICTED]
    for name in ("walker_run", "../x", ""):
        with pytest.raises(UsageError, match=r"there is no reward .* there is predicted"):
            TaskJudge(agent, name)
    spec = replace(make("walker").spec, observations=CountingEnvironment().spec.observations)
    narrow = Agent(spec, tiny_config(), "pretraining", 0)  # it sees less than the state
    assert [one.name for one in named_rewards(narrow)] == [PREDICTED]
