"""What a person does on the page, in a real browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .browsing import chromium, fake_studio, tab

playwright = pytest.importorskip(
    "playwright.sync_api", reason="without playwright the page is not tested in a browser"
)
expect = playwright.expect
VIEWS = ("runs", "skills", "dream", "choreograph", "prompt", "choices", "learning")
TELLTALE = {
    "runs": ".facts",
    "skills": ".matrix",
    "dream": "#compared .plot svg",
    "choreograph": ".palette .film",
    "prompt": ".map .ground",
    "choices": ".strip svg",
    "learning": ".charts svg",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def studio() -> Iterator[str]:
    with fake_studio() as address:
        yield address


def _cards(page: Any) -> list[int]:
    """Skills on the line, in order."""
    return [int(card.get_attribute("data-skill")) for card in page.locator(".move").all()]


def _put(page: Any, *skills: int) -> None:
    for skill in skills:
        page.click(f".palette [data-skill='{skill}']")


def test_a_person_sees_what_was_learned(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker") as page:
        page.wait_for_selector(".map .skill")
        assert page.title() == "walker · Skill studio"
        assert "8,000 frames" in page.text_content(".facts")
        assert page.locator(".map .skill").count() == 24
        assert page.locator(".map .skill.idle").count() == 2
        page.click(".map .skill[data-skill='5']")
        panel = page.locator(".detail")
        assert panel.locator("h2").text_content() == "Skill 5"
        assert "Hit rate" in panel.text_content()
        panel.locator(".film[data-state=ready]").wait_for()
        page.locator(".wall [data-skill='5'] .film[data-state=ready]").wait_for()
        panel.get_by_role("button", name="Skill 6").click()
        assert panel.locator("h2").text_content() == "Skill 6"
        assert page.get_attribute(".wall [data-skill='6']", "aria-pressed") == "true"
        page.hover(".matrix tbody tr:nth-child(2) td:nth-of-type(1)")
        assert re.match(r"Skill 0 after 3: \d", page.text_content(".reading"))
        page.reload()
        page.wait_for_selector(".map .skill.chosen[data-skill='6']")


def test_the_controls_are_one_click_away(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker") as page:
        page.wait_for_selector(".map .skill")
        best = page.get_attribute(".map .skill[data-skill='5']", "aria-label")
        page.get_by_role("radio", name="Untrained").check()
        point = page.locator(".map .skill[data-skill='5']")
        expect(point).not_to_have_attribute("aria-label", best)
        assert "condition=untrained" in page.url
        with page.expect_request("**/compare?condition=untrained"):
            page.click("nav >> text=Real and dream")
        page.wait_for_selector("text=You look at a control")
        page.get_by_role("radio", name="Random").check()
        page.click("nav >> text=Prompt")
        page.wait_for_selector("text=nothing to rank")
        assert page.get_by_role("radio", name="Random").is_disabled()
        assert page.get_by_role("radio", name="Trained", exact=True).is_checked()
        page.click("nav >> text=Learning")
        page.wait_for_selector(".charts svg")
        assert page.get_by_role("radio").count() == 0
        page.click("nav >> text=Choreograph")
        assert page.get_by_role("radio", name="Random").is_checked()


def test_real_and_dream(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker&view=dream&skill=3") as page:
        page.wait_for_selector("#compared .path.dream")
        assert "leaves reality at step 80 of 99" in page.text_content("#compared")
        page.locator("#compared .film[data-state=ready]").nth(1).wait_for()
        page.locator("input[type=range]").fill("70")
        assert page.locator("#compared .cursor").count() == 1
        assert page.locator("#compared circle.dot").count() == 2
        page.select_option(".form select", "7")
        page.wait_for_selector("#compared [aria-label^='Real and dreamed path of skill 7']")


def test_a_choreography_from_drag_to_film(browser: Any, studio: str, tmp_path: Path) -> None:
    with tab(browser, f"{studio}#run=walker&view=choreograph") as page:
        page.wait_for_selector(".palette .film")
        page.drag_and_drop(".palette [data-skill='8']", ".line")
        _put(page, 3)
        page.drag_and_drop(
            ".palette [data-skill='6']", ".move >> nth=0", target_position={"x": 10, "y": 40}
        )
        assert _cards(page) == [6, 8, 3]
        place = {"x": 20, "y": 15}
        page.drag_and_drop(
            ".move >> nth=2", ".move >> nth=0", source_position=place, target_position=place
        )
        assert _cards(page) == [3, 6, 8]
        page.locator(".move input").first.fill("20")
        page.locator(".move input").first.press("Enter")
        page.get_by_role("button", name="Repeat move 1").click()
        page.get_by_role("button", name="Delete move 3").click()
        assert _cards(page) == [3, 3, 8]
        assert "3 moves, 90 steps in all" in page.text_content(".form output")
        page.click("[data-do=imagine]")
        page.wait_for_selector("#imagined .strip svg")
        assert page.locator("#imagined .strip rect").count() == 2
        page.click("[data-do=perform]")
        page.wait_for_selector(".stage[data-phase=ended]")
        assert re.search(
            r"step 90 · skill 8 · return 45 · \d+ frames/s", page.text_content(".live")
        )
        with page.expect_download() as downloading:
            page.click("[data-do=gif]")
        assert downloading.value.suggested_filename == "score.gif"
        with page.expect_download() as downloading:
            page.click("[data-do=save]")
        saved = tmp_path / "score.json"
        downloading.value.save_as(saved)
        score = json.loads(saved.read_text())
        assert [(m["skill"], m["steps"]) for m in score["moves"]] == [(3, 20), (3, 20), (8, 50)]
        assert score["checkpoint"] == "f" * 64
        page.reload()
        page.wait_for_selector(".move")
        assert _cards(page) == [3, 3, 8]
        page.click("text=Clear")
        assert _cards(page) == []
        page.set_input_files("input[type=file]", saved)
        page.wait_for_selector(".move")
        assert _cards(page) == [3, 3, 8]


def test_files_that_are_no_score_are_refused_in_words(browser: Any, studio: str) -> None:
    wrong = {"name": "score.json", "mimeType": "application/json", "buffer": b'{"moves": [3]}'}
    with tab(browser, f"{studio}#run=walker&view=choreograph") as page:
        page.wait_for_selector(".palette")
        page.set_input_files("input[type=file]", wrong)
        page.wait_for_selector("text=Move 1 is not a skill with steps.")
        assert _cards(page) == []


def test_number_keys_switch_skills_live(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker&view=choreograph") as page:
        page.wait_for_selector(".palette")
        _put(page, 3, 8)
        page.locator(".move input").first.fill("5000")
        page.locator(".move input").first.press("Enter")
        page.click("[data-do=perform]")
        page.wait_for_selector(".live >> text=skill 3")
        page.keyboard.press("2")
        page.wait_for_selector(".live >> text=skill 8")
        assert page.get_attribute(".key-cap[data-skill='8']", "aria-pressed") == "true"
        page.click(".stage >> text=Pause")
        page.wait_for_selector(".stage[data-phase=paused]")
        page.click(".stage >> text=Resume")
        page.wait_for_selector(".stage[data-phase=playing]")
        page.click(".stage >> text=Stop")
        page.wait_for_selector(".stage[data-phase=ended]")


def test_a_prompt_by_click(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker&view=prompt") as page:
        page.wait_for_selector(".map .ground")
        page.click(".map .ground", position={"x": 60, "y": 60})
        page.wait_for_selector(".ranking li")
        written = page.locator(".ranking .number").all_text_contents()
        scores = [float(text.replace("\N{MINUS SIGN}", "-")) for text in written]
        assert scores == sorted(scores, reverse=True)
        aimed = [each.input_value() for each in page.locator(".form input").all()]
        assert all(len(text) <= 6 for text in aimed), aimed
        page.get_by_role("radio", name="A reward").check()
        page.wait_for_selector("#ranking >> text=Ranked for x")
        page.get_by_role("radio", name="A place").check()
        page.click("[data-do=best]")
        page.wait_for_selector("#came >> text=off the goal")
        page.get_by_role("radio", name="A recorded frame").check()
        page.click("[data-frame='300']")
        page.wait_for_selector("#ranking >> text=Perform the best")
        assert "Ranked for frame 300" in page.text_content("#ranking")
        page.get_by_role("radio", name="A reward").check()
        page.wait_for_selector("text=Head high, upright.")
        page.click("[data-do=reward]")
        page.wait_for_selector("#ranking >> text=Perform the best")


def test_a_picture_as_goal_is_bounded(browser: Any, studio: str) -> None:
    picture = {"name": "a.png", "mimeType": "image/png", "buffer": b"\x89PNG\r\n" + b"0" * 2**22}
    with tab(browser, f"{studio}#run=walker&view=prompt") as page:
        page.get_by_role("radio", name="A picture").check()
        page.set_input_files("input[type=file]", picture)
        page.wait_for_selector("text=at most 4 MB")
        assert page.locator(".ranking").count() == 0


def test_which_skill_when(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=task&view=choices") as page:
        page.wait_for_selector(".strip svg")
        assert "skills were chosen" in page.text_content(".reading")
        page.locator("input[type=range]").fill("200")
        assert "step 200: skill" in page.text_content("output")
        assert page.locator(".cursor").count() == 3


def test_a_run_that_grows(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=growing&view=learning") as page:
        page.wait_for_selector(".charts .now")
        before = page.text_content(".charts .now"), page.text_content(".facts")
        expect(page.locator(".charts .now").first).not_to_have_text(before[0])
        expect(page.locator(".facts")).not_to_have_text(before[1])
        assert "renew themselves" in page.text_content("main")


def test_a_dead_simulator(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=dead&view=choreograph") as page:
        page.wait_for_selector(".palette")
        _put(page, 1)
        page.click("[data-do=perform]")
        page.wait_for_selector(".failed >> text=The simulator died.")
        assert "it starts anew" in page.text_content(".failed")
        page.click("[data-do=imagine]")
        page.wait_for_selector("#imagined .strip svg")
        page.click("nav >> text=Real and dream")
        page.wait_for_selector(".failed >> text=Try again")


def test_a_studio_that_is_gone(browser: Any, studio: str) -> None:
    address = f"{studio}#run=walker&view=choreograph"
    with tab(browser, address, complains=True) as page:
        page.wait_for_selector(".palette")
        _put(page, 1)
        page.context.set_offline(True)
        page.click("[data-do=imagine]")
        page.wait_for_selector("#imagined >> text=The studio does not answer.")
        page.context.set_offline(False)
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector("#imagined .strip svg")


def test_two_tabs_do_not_share_a_score(browser: Any, studio: str) -> None:
    address = f"{studio}#run=walker&view=choreograph"
    with tab(browser, address) as one:
        other = one.context.new_page()
        other.goto(address)
        for page, skill in ((one, 3), (other, 8)):
            page.wait_for_selector(".palette")
            _put(page, skill)
        one.reload()
        one.wait_for_selector(".move")
        assert (_cards(one), _cards(other)) == ([3], [8])


def test_two_runs_side_by_side(browser: Any, studio: str) -> None:
    with tab(browser, studio, viewport={"width": 2000, "height": 1000}) as page:
        page.wait_for_selector("text=6 runs in this folder")
        page.get_by_role("link", name="walker", exact=True).click()
        page.wait_for_selector(".map .skill")
        page.select_option("#beside", "task")
        expect(page.locator(".map")).to_have_count(2)
        assert page.locator(".column > h2").all_text_contents() == ["walker", "walker stand"]


def test_a_name_with_markup_stays_a_name(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=hostile&beside=walker") as page:
        page.wait_for_selector(".map .skill")
        assert page.text_content(".column > h2") == "<img src=x onerror=alert(1)>"
        assert page.locator("img[src=x]").count() == 0


def test_without_pictures(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=blind") as page:
        page.wait_for_selector(".wall .film.drawn .path")
        assert "apt install libegl1" in page.text_content("main")
        page.click("nav >> text=Choreograph")
        page.wait_for_selector("text=No pictures can be drawn here")


@pytest.mark.parametrize("width", [400, 2000])
def test_nothing_is_cut_off(browser: Any, studio: str, width: int) -> None:
    size = {"width": width, "height": 900}
    with tab(browser, f"{studio}#run=task", viewport=size) as page:
        for view in VIEWS:
            page.evaluate("view => location.hash = `#run=task&view=${view}`", view)
            page.wait_for_selector(TELLTALE[view])
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), view


def test_films_stand_still_for_who_wants_no_motion(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker") as page:
        page.wait_for_selector(".wall .film[data-state=ready] canvas")
        page.get_by_label("Still pictures").uncheck()
        page.wait_for_selector(".wall .film[data-state=ready] img")


def test_by_keyboard_alone(browser: Any, studio: str) -> None:
    with tab(browser, f"{studio}#run=walker") as page:
        page.wait_for_selector(".map .skill")
        page.keyboard.press("Tab")
        assert _focused(page) == "Skip to the content"
        page.keyboard.press("Enter")
        _tab_to(page, "Skill 8, hit rate")
        page.keyboard.press("PageDown")
        page.keyboard.press("Enter")
        assert page.text_content(".detail h2") == "Skill 9"
        _tab_to(page, "Add to the score")
        page.keyboard.press("Enter")
        page.keyboard.press("Space")
        page.evaluate("scrollTo(0, 0)")
        page.focus("nav a >> nth=2")
        page.keyboard.press("Enter")
        page.wait_for_selector(".move")
        page.keyboard.press("Tab")
        _tab_to(page, "Move 1")
        page.keyboard.press("+")
        assert page.locator(".move input").first.input_value() == "60"
        page.keyboard.press("d")
        page.keyboard.press("-")
        steps = [each.input_value() for each in page.locator(".move input").all()]
        assert steps == ["60", "50", "50"]
        page.keyboard.press("Shift+ArrowLeft")
        assert page.locator(".move input").first.input_value() == "50"
        page.keyboard.press("Delete")
        assert _cards(page) == [9, 9]
        assert "deleted" in page.text_content("#said")


def _focused(page: Any) -> str:
    here = "document.activeElement"
    return page.evaluate(f"{here}.getAttribute('aria-label') ?? {here}.textContent")


def _tab_to(page: Any, name: str) -> None:
    for _ in range(80):
        if _focused(page).startswith(name):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name!r} is not reached by Tab")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_has_a_name_and_can_be_read(browser: Any, studio: str, scheme: str) -> None:
    script = (Path(__file__).parent / "page" / "access.js").read_text()
    with tab(browser, f"{studio}#run=task", color_scheme=scheme) as page:
        for view in VIEWS:
            page.evaluate("view => location.hash = `#run=task&view=${view}`", view)
            page.wait_for_selector(TELLTALE[view])
            assert page.evaluate(script) == [], view
