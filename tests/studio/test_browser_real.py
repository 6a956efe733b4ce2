"""The page on the real server, with an agent, simulators and films: one way through all of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import toy_runs
import toy_studio

from choreo.studio.server import Server

from .browsing import chromium, playwright, tab

expect = playwright.expect
SKILLS = 4  # of the preset `debug`
SLOW = 240_000  # milliseconds for what is played or drawn, on a machine that does much else


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of its own, as a run in it grows here."""
    folder = tmp_path_factory.mktemp("runs")
    toy_runs.pretrain(folder / "<img src=x onerror=alert(1)>", env="toy_envs:drawn", frames=60)
    return folder


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[Server]:
    with toy_studio.serving(runs, trust=True) as found:
        yield found


@pytest.fixture(scope="module")
def page(browser: Any, server: Server) -> Iterator[Any]:
    """One tab for the whole way, opened by the address that the command prints."""
    with tab(browser, server.address) as page:
        page.context.set_default_timeout(SLOW)
        yield page


def _go(page: Any, view: str) -> None:
    page.locator("nav").get_by_role("link", name=view, exact=True).click()


def test_the_map_of_a_run_whose_name_is_markup(page: Any) -> None:
    page.wait_for_selector(".map .skill")
    assert "token" not in page.url
    assert "<img src=x onerror=alert(1)>" in page.text_content("header")
    assert page.locator("img[src=x]").count() == 0
    skills = page.locator(".map .skill").count()
    assert skills == page.locator(".wall .tile").count() == SKILLS
    page.wait_for_selector(".wall .film[data-state=ready]")
    page.click(".wall .tile[data-skill='3']")
    expect(page.locator(".detail h2")).to_have_text("Skill 3")
    assert "Hit rate" in page.text_content(".detail")
    page.wait_for_selector(".detail .film[data-state=ready] video")
    assert page.locator(".verdicts li").count() > 2


def test_real_beside_dream(page: Any) -> None:
    _go(page, "Real and dream")
    page.wait_for_selector("#compared >> text=Where does the dream leave reality?")
    assert "lazy guess" in page.text_content("#compared")
    page.wait_for_selector("#compared .film[data-state=ready]")


def test_three_skills_on_a_line(page: Any, tmp_path: Path) -> None:
    _go(page, "Choreograph")
    page.wait_for_selector(".palette .tile")
    page.click("text=Clear")
    page.drag_and_drop(".palette [data-skill='1']", ".line")
    page.click(".palette [data-skill='3']")
    page.click(".palette [data-skill='2']")
    for field in page.locator(".move input").all():
        field.fill("6")
        field.press("Enter")
    page.click("[data-do=imagine]")
    page.wait_for_selector("#imagined .strip svg")
    assert page.locator("#imagined .strip rect").count() == 3
    page.select_option(".stage select", "0")
    page.click("[data-do=perform]")
    page.wait_for_selector(".stage[data-phase=ended]")
    expect(page.locator(".live")).to_contain_text("step 18 · skill 2")
    page.reload()
    page.wait_for_selector(".move")
    assert page.locator(".move").count() == 3
    with page.expect_download() as downloading:
        page.click("[data-do=save]")
    downloading.value.save_as(tmp_path / "score.json")
    score = json.loads((tmp_path / "score.json").read_text())
    assert [move["skill"] for move in score["moves"]] == [1, 3, 2]
    assert len(score["checkpoint"]) == 64
    with page.expect_download() as downloading:
        page.click("[data-do=gif]")
    downloading.value.save_as(tmp_path / "score.gif")
    assert (tmp_path / "score.gif").read_bytes().startswith(b"GIF8")


def test_a_prompt_by_click_and_by_reward(page: Any) -> None:
    _go(page, "Prompt")
    page.click(".map .ground", position={"x": 30, "y": 30}, force=True)
    page.wait_for_selector(".ranking li")
    assert page.locator(".ranking li").count() == SKILLS
    page.click("[data-do=best]")
    page.wait_for_selector("#came >> text=off the goal")
    page.get_by_role("radio", name="A recorded frame").check()
    page.locator("[data-frame]").first.click()
    page.wait_for_selector("#ranking >> text=Perform the best")
    page.get_by_role("radio", name="A reward").check()
    page.click("[data-do=reward]")
    page.wait_for_selector("#ranking >> text=Perform the best")


def test_a_run_that_grows(page: Any, runs: Path) -> None:
    _go(page, "Learning")
    page.wait_for_selector(".charts svg")
    toy_runs.pretrain(next(runs.iterdir()), env="toy_envs:drawn", frames=100)
    expect(page.locator(".facts")).to_contain_text("100 frames", timeout=SLOW)
    page.wait_for_selector("[aria-label='Hit rate of skills in imagination'] svg")
    page.click("text=Show the latest")
    _go(page, "Skills")
    page.wait_for_selector(".map .skill")
    assert page.locator(".news .note").count() == 0


def test_a_simulator_that_dies_while_it_plays(page: Any, server: Server) -> None:
    _go(page, "Choreograph")
    page.click(".palette [data-skill='1']")
    page.locator(".move input").first.fill("5000")
    page.locator(".move input").first.press("Enter")
    page.select_option(".stage select", "0.5")
    page.click("[data-do=perform]")
    page.get_by_role("button", name="Pause").click()  # else its 20 steps may be over before
    page.wait_for_selector(".stage[data-phase=paused]")
    for worker in list(server.studio.live.workers):
        worker.process.kill()
    page.wait_for_selector(".stage .failed")
    page.click("[data-do=perform]")
    page.wait_for_selector(".stage[data-phase=playing]")
    page.click("[data-do=perform]")
    page.wait_for_selector(".stage[data-phase=ended]")
