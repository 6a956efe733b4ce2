"""The report of a tiny agent in a real simulator, and what its sentences say."""

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from toy_episodes import episode_of, make_agent, make_counting, make_pictured

from choreo.agent import Agent
from choreo.envs import VectorEnv, make_vector
from choreo.errors import RendererUnavailable, StorageError
from choreo.evaluation import SkillReport, measure_health
from choreo.evaluation.codes import CodeUse
from choreo.evaluation.coverage import Coverage, Projection
from choreo.evaluation.model_error import ModelError
from choreo.evaluation.pictures import AHEAD, SEEN
from choreo.report import skill_report, verdicts
from choreo.report.film_section import most_different
from choreo.report.picture_sections import compare_open_loop, picture_sections
from choreo.report.skill_report import map_names, skill_paths
from choreo.viz import Section


@pytest.fixture(scope="module")
def vector() -> Iterator[VectorEnv]:
    with make_vector("dmc:point_mass-easy", 8, parallel=False) as made:
        yield made


@pytest.fixture(scope="module")
def agent(vector: VectorEnv) -> Agent:
    return make_agent(vector.spec)


@pytest.fixture(scope="module")
def report(agent: Agent, vector: VectorEnv) -> SkillReport:
    return measure_health(agent, vector, 2, 65, seed=0)


def no_renderer(index: int, height: int, width: int) -> np.ndarray:
    raise RendererUnavailable("Install <libegl1>.")


def test_page_and_figures_of_a_real_environment(
    agent: Agent, vector: VectorEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector, "render", no_renderer)
    last = Section("One more", "Put after the others.")
    skill_report(agent, vector, tmp_path / "out", 2, 65, seed=0, more=[last])
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 7
    assert "no pictures of the simulator" in page
    assert "Install &lt;libegl1&gt;." in page
    assert page.index("Skills in motion") < page.index("One more")
    assert not re.search(r"(src|href)=\"(?!data:|#film-)|https?://|@import", page)
    figures = json.loads((tmp_path / "out" / "skills.json").read_text())
    assert figures["coverage"]["coordinates"] == ["x", "y"]
    assert figures["settings"]["steps"] == agent.num_skills * 2 * 65


def test_film_where_pictures_can_be_drawn(tmp_path: Path) -> None:
    # The counting environment draws without a graphics driver.
    agent, vector = make_agent(), make_counting(4)
    skill_report(agent, vector, tmp_path, 2, 60, seed=0)
    assert "data:video/mp4;base64," in (tmp_path / "report.html").read_text()


def test_the_page_of_an_agent_that_sees_images(tmp_path: Path) -> None:
    vector = make_pictured(4)
    agent = make_agent(vector.spec)
    skill_report(agent, vector, tmp_path, 2, 62, seed=0)
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 7 + 2 + 1 + agent.num_skills + 1
    assert "names the skill from a single observation, a grey picture of 16 x 16" in page
    assert "Skill named right from one picture" in page
    order = ["The world model", "What the model expects", "What the codes look", "in motion"]
    places = [page.index(title) for title in order]
    assert places == sorted(places)
    films = re.findall(r"data:video/mp4;base64,([^\"]+)", page)
    with av.open(io.BytesIO(base64.b64decode(films[0])), "r") as container:
        played = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(films) == 1 + agent.num_skills + 1, "the model's film, all skills, and chance"
    assert len(played) == SEEN + AHEAD
    assert played[0].shape == played[-1].shape


def test_images_of_short_episodes_are_not_compared(tmp_path: Path) -> None:
    vector = make_pictured(4)
    agent = make_agent(vector.spec)
    report = measure_health(agent, vector, 2, 62, seed=0)
    assert [c.label for c in compare_open_loop(agent, report.episodes["trained"], 0)] == [
        "skill 0",
        "skill 2",
        "skill 1",
        "skill 3",
    ]
    cut = [episode.cut(SEEN - 1) for episode in report.episodes["trained"]]
    assert compare_open_loop(agent, cut, 0) == []
    short = replace(report, episodes={**report.episodes, "trained": cut})
    sections = picture_sections(short, agent)
    assert sections[0].verdicts[0].sentence.startswith("Not shown")


def test_agents_from_states_have_no_pictures_of_the_model(
    report: SkillReport, agent: Agent
) -> None:
    assert picture_sections(report, agent) == []
    assert verdicts.code_match_verdict(report).sentence.startswith("Not measured")


@pytest.mark.parametrize(("right", "tone"), [(0.25, "bad"), (0.4, "neutral"), (0.75, "good")])
def test_verdict_on_decoded_codes(report: SkillReport, right: float, tone: str) -> None:
    match = {"trained": right, "untrained": 0.25, "random": 0.35}
    verdict = verdicts.code_match_verdict(replace(report, code_match=match))
    assert verdict.tone == tone
    assert f"For {right:.0%} of the skills" in verdict.sentence


def test_a_folder_that_cannot_be_written_is_named(
    agent: Agent, vector: VectorEnv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector, "render", no_renderer)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        skill_report(agent, vector, tmp_path / "file", 2, 60)


def with_figures(report: SkillReport, trained: int, hit: float) -> SkillReport:
    """The report as if trained skills had visited and hit so much; controls 100 and 20%."""
    visited = {"trained": trained, "untrained": 100, "random": 100}
    coverage = Coverage(400, visited, report.coverage.per_skill)
    rates = {"trained": hit, "untrained": 0.2, "random": 0.2}
    return replace(report, coverage=coverage, hit_rate=rates)


@pytest.mark.parametrize(
    ("trained", "hit", "tone", "words", "hit_words"),
    [
        (
            310,
            0.9,
            "good",
            "310 cells: 3.1 times as many",
            "90%; random actions 20%",
        ),
        (110, 0.26, "neutral", "1.10 times as many", "not twice as much"),
        (98, 0.26, "neutral", "about as many as random", "not twice as much"),
        (70, 0.2, "bad", "fewer than random actions (100)", "not above all"),
    ],
)
def test_verdicts(
    report: SkillReport, trained: int, hit: float, tone: str, words: str, hit_words: str
) -> None:
    changed = with_figures(report, trained, hit)
    coverage = verdicts.coverage_verdict(changed)
    assert coverage.tone == tone
    assert words in coverage.sentence
    verdict = verdicts.hit_verdict(changed)
    assert verdict.tone == tone
    assert hit_words in verdict.sentence.replace(" of the steps", "")


def test_verdicts_of_what_was_not_measured(report: SkillReport) -> None:
    rates = dict.fromkeys(report.hit_rate)
    missing = replace(report, hit_rate=rates, model_error=None)
    assert verdicts.hit_verdict(missing).sentence.startswith("Not measured")
    assert verdicts.model_verdict(missing.model_error).sentence.startswith("Not measured")
    assert len(verdicts.headline_table(missing).rows) == 5


def test_an_untrained_model_is_called_misleading(report: SkillReport) -> None:
    assert verdicts.model_verdict(report.model_error).tone == "bad"


@pytest.mark.parametrize(("own", "tone"), [(0.4, "good"), (1.2, "neutral"), (1.6, "bad")])
def test_a_model_worse_than_the_mean_is_not_called_good(own: float, tone: str) -> None:
    errors = {"trained": own, "nothing_changes": 1.5, "untrained": 4.0}
    curves = {name: np.full(15, value) for name, value in errors.items()}
    verdict = verdicts.model_verdict(ModelError(curves, 8, 0))
    assert verdict.tone == tone and f"error is {own}" in verdict.sentence


def test_codebook_verdict() -> None:
    verdict = verdicts.codebook_verdict(CodeUse(np.full(4, 2500)), "what was recorded", 7)
    assert verdict.tone == "good"
    assert "4 of the 4 codes" in verdict.sentence
    assert "7 unused codes were replaced" in verdict.sentence


def test_headline_table_has_a_row_per_figure(report: SkillReport) -> None:
    table = verdicts.headline_table(report)
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert table.rows[1][-1] == "25%"  # chance with 4 skills


def test_a_map_of_one_coordinate_runs_over_time(report: SkillReport) -> None:
    one = episode_of(2, coordinates=[[5.0], [6.0], [7.0]])
    changed = replace(report, projection=Projection(("height",)), episodes={"trained": [one]})
    assert map_names(changed) == ("step", "height")
    (path,) = skill_paths(changed, "trained")
    np.testing.assert_array_equal(path.points, [[0, 5], [1, 6], [2, 7]])


def test_x_and_y_are_found_among_many(report: SkillReport) -> None:
    one = episode_of(0, coordinates=[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    projection = Projection(("height", "x", "y"))
    changed = replace(report, projection=projection, episodes={"trained": [one]})
    np.testing.assert_array_equal(skill_paths(changed, "trained")[0].points[0], [2.0, 3.0])


def test_the_most_different_skills_are_filmed() -> None:
    places = {0: [0.0, 0.0], 1: [0.1, 0.0], 2: [10.0, 0.0], 3: [0.0, 10.0]}
    episodes = [episode_of(k, coordinates=[place] * 4) for k, place in places.items()]
    chosen = most_different(episodes, Projection(("x", "y")), count=3)
    assert set(chosen) in ({0, 2, 3}, {1, 2, 3})
