"""The skill report: the figures of `health` with pictures, as one page and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.envs.spaces import Obs
from choreo.errors import StorageError
from choreo.evaluation.codes import SKIPPED
from choreo.evaluation.conditions import CONDITIONS
from choreo.evaluation.episode import THUMBNAIL
from choreo.evaluation.health import TOLD_FROM, SkillReport, measure_health
from choreo.evaluation.windows import CONTEXT, HORIZONS
from choreo.record.progress import Tell, silent
from choreo.replay import Replay
from choreo.report import verdicts
from choreo.report.each_skill import each_skill_section
from choreo.report.film_section import film_section, no_films
from choreo.report.picture_sections import picture_sections
from choreo.report.provenance import Provenance, unrecorded
from choreo.viz import Picture, Section, Table, write_report
from choreo.viz.maps import SkillPath, skill_grid, skill_map
from choreo.viz.plots import (
    Bars,
    bar_panels,
    choice_strips,
    code_use_bars,
    error_curves,
    hit_heatmap,
    switch_heatmap,
)
from choreo.viz.style import skill_colours


class HasFigures(Protocol):
    """Anything with figures for `skills.json`."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ...


REPORT, FIGURES = "report.html", "skills.json"
ENVIRONMENTS = 16  # how many to step together: enough to batch the networks [ours]
NO_PICTURES = "The simulator was not drawn, as no pictures were asked for."

TITLES = {
    "trained": "trained skills",
    "untrained": "same agent, untrained",
    "random": "random actions",
}

SINGLE_IS: dict[Obs, str] = {
    "states": "",
    "pixels": f", a grey picture of {THUMBNAIL} x {THUMBNAIL} pixels",
    "both": f", its numbers and a grey picture of {THUMBNAIL} x {THUMBNAIL} pixels",
}
ERRORS_ARE: dict[Obs, str] = {
    "states": "Errors are squared, divided by the variance of each observation dimension and "
    "averaged.",
    "pixels": "Errors are squared, added up over all pixels and divided by what always showing "
    "the average picture would give.",
    "both": "Errors are squared and divided by the variance: of each observed number, and of all "
    "pixels together; the curves are the mean of the two.",
}


def skill_report(
    agent: Agent,
    vector: VectorEnv,
    folder: Path,
    episodes_per_skill: int = 4,
    steps: int | None = None,
    seed: int = 0,
    replay: Replay | None = None,
    sample: bool = False,
    first: Sequence[Section] = (),
    more: Sequence[Section] = (),
    title: str | None = None,
    about: Provenance | None = None,
    pictures: bool = True,
    tell: Tell = silent,
    film: Path | None = None,
) -> SkillReport:
    """Measure the skills and write `report.html` and `skills.json` into `folder`.

    `first` and `more` are sections to put before and after those on skills, `about` says of which
    agent the report is, without `pictures` the simulator is not drawn; `film` is where to put an
    mp4 of some skills side by side. See `measure_health` for the other arguments and errors; about
    16 environments in `vector` are fast.

    Raises StorageError when the files cannot be written.
    """
    report = measure_health(agent, vector, episodes_per_skill, steps, seed, replay, sample, tell)
    films = no_films(NO_PICTURES)
    if pictures:
        films = film_section(report, agent, vector, tell, film)
    about = about or unrecorded(agent)
    write_figures(report, folder / FIGURES, about)
    s = report.settings
    each = each_skill_section(report, filmed=bool(films.content))
    sections = [*skill_sections(report), *picture_sections(report, agent), each, films]
    write_report(
        folder / REPORT,
        title or f"Skills in {s.environment}",
        f"{about.lead(s.skills, s.environment)} This page shows what the skills do in the real "
        "simulator, always next to two controls: the same agent before training, and random "
        "actions.",
        [*first, *sections, *more, about_section(about)],
        f"Environment {s.environment}, seed {s.seed}, {s.steps_each:,} steps "
        f"({s.steps_each * s.action_repeat:,} frames) for each of the three columns. "
        f"The numbers are in {FIGURES}.",
    )
    return report


def about_section(about: Provenance) -> Section:
    """Of what the report is."""
    return Section(
        "Of what this is", "The agent, and when this page was made.", (), [about.table()]
    )


def write_figures(report: HasFigures, path: Path, about: Provenance) -> None:
    """Write the figures, and of what they are, as JSON.

    Raises StorageError when they cannot be written.
    """
    figures = {"about": about.to_json(), **report.to_json()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} could not be written ({error.strerror})") from error


def skill_sections(report: SkillReport) -> list[Section]:
    """The report's sections, from the table of figures to the world model."""
    return [
        _headline(report),
        _map_section(report),
        _hit_section(report),
        _switch_section(report),
        *_choice_sections(report),
        _codebook_section(report),
        _model_section(report),
    ]


def _headline(report: SkillReport) -> Section:
    text = "Good skills reach many places, go where they are told to, and differ from each other."
    content = [verdicts.headline_table(report)]
    return Section("At a glance", text, [verdicts.summary_verdict(report)], content)


def _map_section(report: SkillReport) -> Section:
    names = map_names(report)
    panels = {TITLES[name]: skill_paths(report, name) for name in CONDITIONS}
    skills, cells = report.settings.skills, report.coverage.cells
    axes = ", ".join(report.projection.names)
    text = (
        "Every line is one episode, every colour one skill, every dot the end of an episode; the "
        f"three panels have the same axes. Coverage counts the cells, of {cells:,}, of a grid "
        f"over {axes} that all skills together pass through.{_axes_note(report)}"
    )
    grid = skill_grid(skill_paths(report, "trained"), names, skills)
    return Section(
        "Where the skills go",
        text,
        [verdicts.coverage_verdict(report)],
        [
            Picture(skill_map(panels, names, skills), "Paths of all skills in the real simulator."),
            Picture(grid, "The trained skills one by one, over the paths of all of them in grey."),
        ],
    )


def _axes_note(report: SkillReport) -> str:
    """What the axes are where they are not the environment's named coordinates."""
    if report.projection.components is None:
        return ""
    seen = TOLD_FROM[report.settings.seen]
    return f" The components are the main directions in which {seen} vary."


def _hit_section(report: SkillReport) -> Section:
    chance = report.chance
    accuracy = {name: value.accuracy for name, value in report.predictability.items()}
    bars = [
        Bars("Coverage (cells)", report.coverage.visited),
        Bars("Hit rate", report.hit_rate, chance, percent=True),
        Bars("Predictability", accuracy, chance, percent=True),
    ]
    text = (
        f"Hit rate: the share of steps, after the first {SKIPPED}, at which the code nearest to "
        "the model's state is the commanded one (with DIAYN, which has no codes: at which its own "
        "discriminator names the commanded skill). Predictability: how often a simple classifier, "
        f"tested on episodes it has not seen, names the skill from a single observation"
        f"{SINGLE_IS[report.settings.seen]}."
    )
    matrices = {TITLES[name]: report.hits[name] for name in CONDITIONS}
    return Section(
        "Do skills do what they are told?",
        text,
        [verdicts.hit_verdict(report), verdicts.predictability_verdict(report)],
        [
            Picture(bar_panels(bars), "Trained skills beside their controls; dashed is chance."),
            Picture(
                hit_heatmap(matrices),
                "Where each commanded skill (row) spends its steps (column): a dark diagonal means "
                "that skills reach their own code.",
            ),
        ],
    )


def _switch_section(report: SkillReport) -> Section:
    s = report.switching
    text = (
        f"Skills one after the other, each for {s.skill_steps} steps, of which the first "
        f"{s.skipped} do not count: the share of steps at the code of a skill (column) that starts "
        "where another one (row) ended, each pair once. White: the episode ended too early."
    )
    chosen = len(s.skills) < report.settings.skills
    which = f"The {len(s.skills)} skills with the best hit rate." if chosen else "All skills."
    picture = Picture(switch_heatmap(s.hit_rate, s.skills), which)
    return Section("Can the agent switch?", text, [verdicts.switch_verdict(report)], [picture])


def _choice_sections(report: SkillReport) -> list[Section]:
    """What the meta-controller chose; nothing for an agent without one."""
    choices = report.choices
    if choices is None:
        return []
    rewards = [episode.rewards for episode in report.task_episodes]
    colours = skill_colours(report.settings.skills)
    caption = "One strip per episode; the colours are those of the map above."
    rows = [(f"skill {k}", verdicts.percent(choices.share[k])) for k in choices.most_used]
    text = "The meta-controller chooses a skill at every step."
    return [
        Section(
            "Which skill when",
            text,
            [verdicts.choice_verdict(choices)],
            [
                Picture(choice_strips(choices.chosen, rewards, colours), caption),
                Table(("skill", "share of the steps"), rows),
            ],
        )
    ]


def _codebook_section(report: SkillReport) -> Section:
    use, played = report.replay_code_use, report.code_use["trained"]
    text = "Each skill stands for one code; codes that no state is near to would be idle skills."
    if use is None:
        text += " No recorded experience is here, so codes are counted over this report's steps."
    picture = Picture(code_use_bars((use or played).counts), "How often each code is the nearest.")
    found = [verdicts.codebook_verdict(played, verdicts.PLAYED)]
    if use is not None:
        found.insert(0, verdicts.codebook_verdict(use, verdicts.RECORDED, report.resampled))
    return Section("The codebook", text, found, [picture])


def _model_section(report: SkillReport) -> Section:
    text = (
        f"The model watches {CONTEXT} steps and then predicts from the actions alone. "
        f"{ERRORS_ARE[report.settings.seen]}"
    )
    panels = {
        title: error.errors
        for title, error in (
            ("while trained skills act", report.model_error),
            ("while actions are random", report.model_error_random),
        )
        if error is not None
    }
    pictures = []
    if panels:
        caption = "Prediction error on new episodes; lower is better, and dashed is a lazy guess."
        pictures = [Picture(error_curves(panels, HORIZONS), caption)]
    return Section("The world model", text, verdicts.model_verdicts(report.model_error), pictures)


def map_names(report: SkillReport) -> tuple[str, str]:
    """The two coordinates a map shows: x and y, or the first two, or time and the only one."""
    names = report.projection.names
    if len(names) == 1:
        return "step", names[0]
    if "x" in names and "y" in names:
        return "x", "y"
    return names[0], names[1]


def skill_paths(report: SkillReport, condition: str) -> list[SkillPath]:
    """Every episode's path in the plane of `map_names`."""
    names = report.projection.names
    wanted = map_names(report)
    paths = []
    for episode in report.episodes[condition]:
        points = report.projection(episode)
        if len(names) == 1:
            points = np.column_stack([np.arange(len(points)), points[:, 0]])
        else:
            points = points[:, [names.index(name) for name in wanted]]
        paths.append(SkillPath(episode.skill or 0, points))
    return paths
