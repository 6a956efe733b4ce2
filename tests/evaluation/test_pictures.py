"""What the model draws: shapes, ranges, and that truth and model stand beside each other."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from toy_episodes import SKILLS, PictureEnvironment, make_agent, make_pictured

from choreo.agent import Agent
from choreo.errors import UsageError
from choreo.evaluation import pictures
from choreo.evaluation.episode import Episode
from choreo.evaluation.pictures import (
    code_pictures,
    measure_code_match,
    open_loop_pictures,
    reached_pictures,
    side_by_side,
)
from choreo.evaluation.rollouts import run_episodes
from choreo.evaluation.windows import cut_windows

SIZE = PictureEnvironment.SIZE


def pictured(cameras: Sequence[str] = ("image",), vectors: bool = False) -> Agent:
    return make_agent(PictureEnvironment(vectors, cameras).spec)


@pytest.fixture(scope="module")
def agent() -> Agent:
    return pictured()


@pytest.fixture(scope="module")
def episodes(agent: Agent) -> list[Episode]:
    return run_episodes(
        agent,
        make_pictured(SKILLS),
        "skill",
        SKILLS,
        seed=0,
        skills=range(SKILLS),
        steps=30,
        keep_images=lambda episode: np.arange(episode.length + 1),
    )


@pytest.mark.parametrize(
    ("cameras", "vectors", "width"),
    [(("image",), False, SIZE), (("one", "two"), True, 2 * SIZE)],
)
def test_every_code_has_a_picture(cameras: tuple[str, ...], vectors: bool, width: int) -> None:
    drawn = code_pictures(pictured(cameras, vectors))
    assert drawn.shape == (SKILLS, SIZE, width, 3)
    assert drawn.dtype == np.uint8
    assert 60 < drawn.mean() < 195  # an untrained decoder gives nearly 0, the middle of the range


def test_codes_can_be_sampled_and_repeated(agent: Agent) -> None:
    one, again, other = (
        code_pictures(agent, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(code_pictures(agent), code_pictures(agent))


def test_a_picture_is_what_the_decoder_gives(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = torch.tensor([-0.7, -0.5, 0.5, 0.7]).view(SKILLS, 1, 1, 1).expand(-1, 3, SIZE, SIZE)
    monkeypatch.setattr(agent.world_model, "decode", lambda feat: {"image": levels})
    assert code_pictures(agent)[:, 0, 0, 0].tolist() == [0, 0, 255, 255]


def test_agents_that_see_no_images_draw_none() -> None:
    with pytest.raises(UsageError, match="sees no images"):
        code_pictures(make_agent())
    assert measure_code_match(make_agent(), []) is None


def test_truth_and_model_of_an_episode(agent: Agent, episodes: list[Episode]) -> None:
    window = cut_windows(episodes, 20)[0]
    result = open_loop_pictures(agent, window, seed=0, seen=5, ahead=45)
    assert result.truth.shape == result.model.shape == (20, SIZE, SIZE, 3)
    assert result.seen == 5
    np.testing.assert_array_equal(result.truth[7], window["image"][7].transpose(1, 2, 0))
    again = open_loop_pictures(agent, window, seed=0, seen=5, ahead=45)
    np.testing.assert_array_equal(result.model, again.model)
    assert len(open_loop_pictures(agent, window, seed=0, seen=5, ahead=4).model) == 9


def test_the_model_sees_nothing_after_the_first_steps(episodes: list[Episode]) -> None:
    agent = pictured()
    with torch.no_grad():  # fresh weights hardly look at an image
        agent.world_model.rssm.posterior_hidden.weight.mul_(1000)
    window = dict(cut_windows(episodes, 20)[0])
    seen = open_loop_pictures(agent, window, seed=0).model
    window["image"] = window["image"].copy()
    window["image"][5:] = 255
    np.testing.assert_array_equal(open_loop_pictures(agent, window, seed=0).model, seen)
    window["image"][4] = 255
    changed = open_loop_pictures(agent, window, seed=0).model
    np.testing.assert_array_equal(changed[:4], seen[:4])
    assert not np.array_equal(changed[4:], seen[4:])


def test_prediction_goes_on_from_the_last_reconstruction(
    agent: Agent, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    rssm, starts, ends = agent.world_model.rssm, [], []
    imagine, observe = rssm.imagine_step, rssm.observe

    def spy_imagine(state, action, generator=None):  # noqa: ANN001, ANN202
        starts.append(state.stoch)
        return imagine(state, action, generator)

    def spy_observe(*arguments):  # noqa: ANN002, ANN202
        posterior, prior = observe(*arguments)
        ends.append(posterior.stoch[:, -1])
        return posterior, prior

    monkeypatch.setattr(rssm, "imagine_step", spy_imagine)
    monkeypatch.setattr(rssm, "observe", spy_observe)
    open_loop_pictures(agent, cut_windows(episodes, 20)[0], seed=3)
    assert len(ends) == 2
    assert torch.equal(ends[0], ends[1])
    assert torch.equal(starts[0], ends[0])


def test_reached_pictures_show_the_nearest_moment_and_the_end(
    agent: Agent, episodes: list[Episode]
) -> None:
    for episode in episodes:
        episode.distances[:] = 1.0
        episode.distances[11] = 0.5
    found = reached_pictures(agent, episodes)
    assert [reached.skill for reached in found] == list(range(SKILLS))
    # The corner of the picture shows the step's number.
    assert [int(r.nearest[0, 0, 0]) for r in found] == [11] * SKILLS
    assert [int(r.end[0, 0, 0]) for r in found] == [30] * SKILLS
    np.testing.assert_array_equal(found[2].imagined, code_pictures(agent)[2])
    assert [r.skill for r in reached_pictures(agent, episodes[1:3])] == [1, 2]


def test_a_match_is_found_and_a_shift_is_not(
    agent: Agent, episodes: list[Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = np.stack([side_by_side(e.images)[-1] for e in episodes])
    noise = np.random.default_rng(0).integers(0, 3, ends.shape).astype(np.uint8)
    ends = ends // 2 + noise  # darker than what is reached, but alike
    apart = len({end.tobytes() for end in ends // 8})
    assert apart == SKILLS
    monkeypatch.setattr(pictures, "code_pictures", lambda agent: ends)
    assert measure_code_match(agent, episodes) == 1.0
    monkeypatch.setattr(pictures, "code_pictures", lambda agent: np.roll(ends, 1, axis=0))
    assert measure_code_match(agent, episodes) == 0.0


def test_cameras_stand_side_by_side() -> None:
    grey = np.full((2, 1, 4, 4), 10, np.uint8)
    stacked = np.concatenate([np.full((2, 3, 6, 5), 20), np.full((2, 3, 6, 5), 30)], 1)
    shown = side_by_side({"grey": grey, "stacked": stacked.astype(np.uint8)})
    assert shown.shape == (2, 6, 9, 3)
    assert (shown[:, :4, :4] == 10).all()
    assert (shown[:, 4:, :4] == 0).all()
    assert (shown[:, :, 4:] == 30).all()
