"""How skills treat the body, on episodes made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from toy_episodes import episode_of

from choreo.evaluation.episode import Episode
from choreo.evaluation.safety import Safety, measure_safety

STILL = [[2.0], [2.0], [2.0]]


def acting(actions: list[list[float]], height: list[list[float]], **changes: object) -> Episode:
    made = episode_of(0, coordinates=height)
    return replace(made, actions=np.array(actions, np.float32), **changes)  # type: ignore[arg-type]


def measured(
    episode: Episode, limit: int | None = 2, names: tuple[str, ...] = ("height",)
) -> Safety:
    return measure_safety({"trained": [episode], "random": [episode]}, 2, names, limit)


def with_joints(*shares: float) -> Episode:
    return acting([[0.0, 0.0]] * 2, STILL, joints_at_limits=np.array(shares))


@pytest.mark.parametrize(
    ("figure", "episode", "value"),
    [
        ("at_action_limits", acting([[0.0, 1.0], [0.5, -0.5]], STILL), 0.5),
        ("action_rate", acting([[-1.0, 0.0], [1.0, 0.0]], STILL), 0.5),
        ("falls", acting([[0.0, 0.0]] * 2, [[2.0], [0.9], [2.0]]), 1.0),
        ("falls", acting([[0.0, 0.0]] * 2, [[2.0], [1.1], [2.0]]), 0.0),
        ("at_joint_limits", with_joints(0, 0.5, 1), 0.5),
        ("at_joint_limits", with_joints(np.nan, np.nan), None),
    ],
)  # fmt: skip
def test_figures(figure: str, episode: Episode, value: float | None) -> None:
    safety = measured(episode)
    assert safety.per_skill[figure]["trained"] == [value, None], "skill 1 has no episodes"
    assert safety.to_json()[figure]["random"] == value


def test_an_end_at_the_time_limit_is_not_early() -> None:
    episode = acting([[0.0, 0.0]] * 2, STILL)
    ends = [measured(episode, limit).mean("early_ends", "trained") for limit in (2, 3, None)]
    assert ends == [0.0, 500.0, 500.0]
    cut = replace(episode, ended=False)
    assert measured(cut, 3).mean("early_ends", "trained") == 0


def test_without_a_height_no_fall_is_known() -> None:
    assert measured(acting([[0.0, 0.0]] * 2, STILL), names=("x",)).mean("falls", "trained") is None
