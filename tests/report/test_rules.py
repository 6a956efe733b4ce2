"""One rule per figure: made-up agents that are bad in one way each, in cell, sentence and docs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_episodes import SKILLS, make_agent, make_counting

from choreo.evaluation import SkillReport, measure_health
from choreo.evaluation.codes import CodeUse
from choreo.evaluation.coverage import Coverage
from choreo.evaluation.model_error import ModelError
from choreo.evaluation.predictability import Predictability
from choreo.evaluation.switching import Switching
from choreo.report import rules, verdicts
from choreo.viz import Tone, Verdict

DOCS = Path(__file__).parents[2] / "docs"
EVEN = CodeUse(np.full(16, 625))
CROWDED = CodeUse(np.array([3300, 1900, 1200, 900, 700, 500, 400, 300, *[100] * 8]))  # as 8.5
IDLE = CodeUse(np.array([1000] * 10 + [0] * 6))
PLAYED = CodeUse(np.array([667] * 15 + [0]))


def model(one: float, many: float) -> ModelError:
    """Errors of a trained model one step ahead and later; the lazy guess makes 0.09 and 0.9."""
    curve = np.array([one, *[many] * 14])
    lazy = np.array([0.09, *[0.9] * 14])
    return ModelError({"trained": curve, "nothing_changes": lazy, "untrained": lazy * 20}, 8, 0)


def shares(trained: float) -> dict[str, float | None]:
    return {"trained": trained, "untrained": 0.06, "random": 0.07}


def cells(trained: int, random: int) -> Coverage:
    return Coverage(400, {"trained": trained, "untrained": 30, "random": random}, {})


def told(trained: float) -> dict[str, Predictability]:
    return {name: Predictability(value or 0.0, []) for name, value in shares(trained).items()}


def switched(rate: float) -> Switching:
    return Switching([0, 1], np.full((2, 2), rate), 75, 50)


@pytest.fixture(scope="module")
def good() -> SkillReport:
    """A report of an agent that is good in every way; sixteen skills, from a tiny agent's frame."""
    made = measure_health(make_agent(), make_counting(SKILLS), 2, 60, seed=0)
    return replace(
        made,
        settings=replace(made.settings, skills=16),
        coverage=cells(300, 90),
        hit_rate=shares(0.8),
        switching=switched(0.7),
        predictability=told(0.8),
        code_use={"trained": PLAYED, "untrained": IDLE, "random": IDLE},
        replay_code_use=EVEN,
        model_error=model(0.04, 0.3),
    )


def recorded_verdict(report: SkillReport) -> Verdict:
    assert report.replay_code_use is not None
    return verdicts.codebook_verdict(report.replay_code_use, verdicts.RECORDED)


Judge = Callable[[SkillReport], Verdict]
RECORDED = "Codes in use, recorded experience"
HIT = "Steps at the commanded code (hit rate)"

# What is wrong, the changed figures, the row of the table, how it is judged, and its sentence.
CASES: list[tuple[str, dict, str, Tone, Judge]] = [
    ("random actions see more", {"coverage": cells(90, 300)}, "Cells visited by all skills", "bad",
     verdicts.coverage_verdict),
    ("the untrained agent sees as much", {"coverage": cells(31, 20)}, "Cells visited by all skills",
     "neutral", verdicts.coverage_verdict),
    ("skills miss their codes", {"hit_rate": shares(0.062)}, HIT, "bad", verdicts.hit_verdict),
    ("skills hardly hit", {"hit_rate": shares(0.09)}, HIT, "neutral", verdicts.hit_verdict),
    ("it cannot switch", {"switching": switched(0.05)},
     "The same, started where another skill ended", "bad", verdicts.switch_verdict),
    ("skills look alike", {"predictability": told(0.065)}, "Skill named right from one state",
     "bad", verdicts.predictability_verdict),
    ("8.5 effective codes", {"replay_code_use": CROWDED}, RECORDED, "neutral",
     recorded_verdict),
    ("six of the codes idle", {"replay_code_use": IDLE}, RECORDED, "neutral",
     recorded_verdict),
    ("one code for all", {"replay_code_use": CodeUse(np.array([9000, 1000] + [0] * 14))}, RECORDED,
     "bad", recorded_verdict),
    ("one step ahead ten times worse", {"model_error": model(0.9, 0.3)},
     "Prediction error 1 step ahead", "bad", lambda r: verdicts.model_verdict(r.model_error, 1)),
    ("hardly better one step ahead", {"model_error": model(0.085, 0.3)},
     "Prediction error 1 step ahead", "neutral",
     lambda r: verdicts.model_verdict(r.model_error, 1)),
    ("later worse than nothing", {"model_error": model(0.04, 2.0)},
     "Prediction error 15 steps ahead", "bad",
     lambda r: verdicts.model_verdict(r.model_error, 15)),
]  # fmt: skip


def judged(report: SkillReport) -> dict[str, Tone]:
    """Colour by row, as the table of the page has them."""
    table = verdicts.headline_table(report)
    assert [row[2] for row in table.rows] == [rules.FOUND[tone] for tone in table.tones]
    return {row[0]: tone for row, tone in zip(table.rows, table.tones)}


def test_a_good_agent_is_good_throughout(good: SkillReport) -> None:
    assert set(judged(good).values()) == {"good"}
    summary = verdicts.summary_verdict(good)
    assert summary.tone == "good" and summary.sentence == "8 of 8 figures are good."


@pytest.mark.parametrize(("what", "changes", "row", "tone", "sentence"), CASES)
def test_cell_and_sentence_agree_on_what_is_bad(
    good: SkillReport, what: str, changes: dict, row: str, tone: Tone, sentence: Judge
) -> None:
    spoilt = replace(good, **changes)
    found = judged(spoilt)
    assert found.pop(row) == tone, what
    assert set(found.values()) == {"good"}, "nothing else is blamed"
    assert sentence(spoilt).tone == tone
    summary = verdicts.summary_verdict(spoilt)
    assert summary.tone == tone and row in summary.sentence


def test_the_codebook_says_the_same_numbers_in_table_and_sentence(good: SkillReport) -> None:
    rows = {row[0]: row[1] for row in verdicts.headline_table(good).rows}
    assert rows[RECORDED] == "16 of 16 (as 16.0)"
    assert rows["Codes in use, this report"] == "15 of 16 (as 15.0)"
    recorded = verdicts.codebook_verdict(EVEN, verdicts.RECORDED).sentence
    assert "16 of the 16 codes are in use, as evenly as 16.0" in recorded
    played = verdicts.codebook_verdict(PLAYED, verdicts.PLAYED).sentence
    assert "15 of the 16 codes" in played and "steps of this report" in played


@pytest.mark.parametrize(
    ("own", "others", "tone"),
    [
        (0.5, [0.5], "bad"),
        (0.74, [0.5], "neutral"),
        (0.75, [0.5], "good"),  # half way to 100%
        (0.12, [0.06], "good"),  # twice
        (0.11, [0.06, 0.0625], "neutral"),
        (None, [0.06], "neutral"),
    ],
)
def test_shares(own: float | None, others: list[float], tone: Tone) -> None:
    assert rules.share_tone(own, others) == tone


def test_docs_say_the_rules_in_the_same_words() -> None:
    text = " ".join((DOCS / "concepts.md").read_text().split())
    for name, rule in rules.RULES.items():
        assert rule.good in text and rule.bad in text, name
