"""The page of a goal: its picture, how near each skill comes, and the chosen one in motion."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.errors import RendererUnavailable, StorageError
from choreo.evaluation.goal import GoalReport
from choreo.evaluation.rollouts import FRAME_SIZE, run_episodes
from choreo.report import rules
from choreo.report.provenance import Provenance
from choreo.viz import Clip, Films, Picture, Section, Table, Verdict, clickable, write_report
from choreo.viz.drawing import enlarge, png

PAGE, FIGURES = "goal.html", "goal.json"
COLUMNS = (
    "skill", "distance of code", "model: start", "model: nearest", "model: end",
    "picture: start", "picture: nearest", "picture: end",
)  # fmt: skip
NOTE = (
    "Skills as the model ranks them: by the distance of their code to that of the goal (with DIAYN "
    "by minus the log of the skill's probability). Model: distance of the model's state to that "
    "after looking at the goal. Picture: mean difference of grey levels of 16 x 16 areas. Less is "
    "nearer."
)


def goal_table(report: GoalReport) -> Table:
    """How near every skill came, with random actions below."""
    rows = [_row(str(k), report, k) for k in report.ranking]
    return Table(COLUMNS, rows, NOTE, sortable=True, totals=[_row("random", report, None)])


def goal_verdict(report: GoalReport) -> Verdict:
    """What was chosen, and where it ended among all skills and beside random actions."""
    own, chance = report.skills[report.chosen].picture_end, report.random.picture_end
    skills = len(report.skills)
    sentence = (
        f"Skill {report.chosen} was chosen. It ends {own:.1%} of grey levels away from the goal, "
        f"place {report.place} of {skills} skills; random actions end {chance:.1%} away."
    )
    return Verdict(rules.goal_tone(own, chance, report.place, skills), sentence)


def write_goal(
    report: GoalReport,
    goal: dict[str, np.ndarray],
    agent: Agent,
    vector: VectorEnv,
    folder: Path,
    seed: int,
    about: Provenance,
) -> Path:
    """Write `goal.html` and `goal.json` into `folder`; returns the page.

    Raises StorageError when they cannot be written.
    """
    seen = [
        Picture(_png(image), f"The goal, as the agent sees it ({key}).")
        for key, image in goal.items()
    ]
    sections = [
        Section("The goal", "What the agent was shown.", [goal_verdict(report)], seen),
        Section("How near each skill comes", "", content=[goal_table(report)]),
        _film(report, agent, vector, seed),
        Section("Of what this is", "The agent, and when this was made.", content=[about.table()]),
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figures = {"about": about.to_json(), **report.to_json()}
        (folder / FIGURES).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder / FIGURES} could not be written ({error.strerror})") from error
    lead = about.lead(agent.num_skills, vector.spec.id)
    return write_report(folder / PAGE, f"A goal in {vector.spec.id}", lead, sections)


def _film(report: GoalReport, agent: Agent, vector: VectorEnv, seed: int) -> Section:
    title, text = "The chosen skill in motion", "It plays when it is clicked."
    skill = report.chosen
    try:
        played = run_episodes(
            agent, vector, "skill", 1, seed, [skill], True, report.steps, frames_every=1,
            frame_size=tuple(2 * side for side in FRAME_SIZE),  # type: ignore[arg-type]
        )  # fmt: skip
    except RendererUnavailable as error:
        return Section(title, text, [Verdict("neutral", f"There is no film. {error}")])
    fps = min(30.0, max(5.0, 1 / (vector.spec.step_seconds or 0.05)))
    film = clickable(Clip(f"skill {skill}", played[0].frames), fps, f"film-skill-{skill}")
    return Section(title, text, content=[Films([film], f"{fps:.0f} pictures a second.")])


def _png(image: np.ndarray) -> bytes:
    """An image (C, H, W) of the agent, four times as large."""
    return png(Image.fromarray(enlarge(np.ascontiguousarray(image[-3:].transpose(1, 2, 0)), 4)))


def _row(name: str, report: GoalReport, skill: int | None) -> list[str]:
    d = report.random if skill is None else report.skills[skill]
    code = "-" if skill is None else f"{report.code_distance[skill]:.2f}"
    mark = " (chosen)" if skill == report.chosen else ""
    model = (d.model_start, d.model_nearest, d.model_end)
    picture = (d.picture_start, d.picture_nearest, d.picture_end)
    return [f"{name}{mark}", code, *(f"{v:.2f}" for v in model), *(f"{v:.1%}" for v in picture)]
