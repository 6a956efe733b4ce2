"""The skill report: the figures of `health` with pictures, as one page and as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.envs.spaces import Obs
from choreo.errors import RendererUnavailable, StorageError
from choreo.evaluation.codes import SKIPPED
from choreo.evaluation.coverage import Projection
from choreo.evaluation.episode import THUMBNAIL, Episode
from choreo.evaluation.health import CONDITIONS, TOLD_FROM, SkillReport, measure_health
from choreo.evaluation.rollouts import run_episodes
from choreo.evaluation.windows import CONTEXT, HORIZONS
from choreo.replay import Replay
from choreo.report import verdicts
from choreo.report.picture_sections import picture_sections
from choreo.viz import (
    Clip,
    Picture,
    Section,
    Verdict,
    Video,
    encode_video,
    film_strip,
    mosaic,
    write_report,
)
from choreo.viz.maps import SkillPath, skill_grid, skill_map
from choreo.viz.plots import Bars, bar_panels, code_use_bars, error_curves, hit_heatmap


class HasFigures(Protocol):
    """Anything with figures for `skills.json`."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ...


REPORT, FIGURES = "report.html", "skills.json"
ENVIRONMENTS = 16  # how many to step together: enough to batch the networks [ours]
FILMED = 7  # skills in the film strip [ours]
FILM_FRAMES = 50  # pictures of each [ours]

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
) -> SkillReport:
    """Measure the skills and write `report.html` and `skills.json` into `folder`.

    `first` and `more` are sections to put before and after those on skills. See `measure_health`
    for the other arguments and errors; about 16 environments in `vector` are fast.

    Raises StorageError when the files cannot be written.
    """
    report = measure_health(agent, vector, episodes_per_skill, steps, seed, replay, sample)
    film = film_section(report, agent, vector)
    write_figures(report, folder / FIGURES)
    s = report.settings
    write_report(
        folder / REPORT,
        title or f"Skills learned in {s.environment}",
        _lead(report),
        [*first, *skill_sections(report), *picture_sections(report, agent), film, *more],
        f"Environment {s.environment}, seed {s.seed}, {s.steps_each:,} steps "
        f"({s.steps_each * s.action_repeat:,} frames) for each of the three columns. "
        f"The numbers are in {FIGURES}.",
    )
    return report


def write_figures(report: HasFigures, path: Path) -> None:
    """Write the figures as JSON.

    Raises StorageError when they cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} could not be written ({error.strerror})") from error


def skill_sections(report: SkillReport) -> list[Section]:
    """The report's sections, from the table of figures to the world model."""
    return [
        _headline(report),
        _map_section(report),
        _hit_section(report),
        _codebook_section(report),
        _model_section(report),
    ]


def film_section(report: SkillReport, agent: Agent, vector: VectorEnv) -> Section:
    """Pictures of some skills in motion, or a sentence on why there are none."""
    title = "Skills in motion"
    text = "The skills that end up furthest from one another, played again from one start."
    try:
        clips = film_clips(report, agent, vector)
    except RendererUnavailable as error:
        sentence = f"There are no pictures of the simulator in this report. {error}"
        return Section(title, text, [Verdict("neutral", sentence)])
    seconds = (vector.spec.step_seconds or 0.05) * _film_every(report)
    fps = min(30.0, max(5.0, 1 / seconds))
    return Section(
        title,
        text,
        content=[
            Video(encode_video(mosaic(clips), fps), "Each tile is one skill, the last is random."),
            Picture(film_strip(clips), "One row per skill, time runs from left to right."),
        ],
    )


def film_clips(report: SkillReport, agent: Agent, vector: VectorEnv) -> list[Clip]:
    """Pictures of the most different skills and of random actions, all from the first start.

    Raises RendererUnavailable when nothing can be drawn here.
    """
    chosen = sorted(most_different(report.episodes["trained"], report.projection))
    s = report.settings
    every, steps, starts = _film_every(report), s.episode_steps, [0] * len(chosen)
    played = run_episodes(
        agent,
        vector,
        "skill",
        len(chosen),
        s.seed,
        skills=chosen,
        sample=s.sampled_actions,
        steps=steps,
        frames_every=every,
        starts=starts,
    )
    chance = run_episodes(agent, vector, "random", 1, s.seed, steps=steps, frames_every=every)
    clips = [Clip(f"skill {k}", episode.frames) for k, episode in zip(chosen, played)]
    return [*clips, Clip("random", chance[0].frames)]


def most_different(
    episodes: Sequence[Episode], projection: Projection, count: int = FILMED
) -> list[int]:
    """Skills whose later states lie far apart: each next one is the furthest from those chosen."""
    skills = sorted({episode.skill for episode in episodes if episode.skill is not None})
    later = [
        np.mean(
            [projection(e)[e.length // 2 :].mean(0) for e in episodes if e.skill == skill], axis=0
        )
        for skill in skills
    ]
    places = np.array(later)
    places = (places - places.mean(0)) / np.maximum(places.std(0), 1e-8)
    chosen = [int(np.argmax((places**2).sum(1)))]
    while len(chosen) < min(count, len(skills)):
        gaps = ((places[:, None] - places[chosen]) ** 2).sum(-1).min(1)
        gaps[chosen] = -1.0
        chosen.append(int(np.argmax(gaps)))
    return [skills[number] for number in chosen]


def _film_every(report: SkillReport) -> int:
    return max(1, report.settings.episode_steps // FILM_FRAMES)


def _lead(report: SkillReport) -> str:
    s = report.settings
    return (
        f"The agent explored {s.environment} without any reward and learned {s.skills} skills. "
        "This page shows what they do in the real simulator, always next to two controls: the "
        "same agent before training, and random actions."
    )


def _headline(report: SkillReport) -> Section:
    findings = [
        *verdicts.coverage_verdicts(report)[:1],
        verdicts.hit_verdict(report),
        verdicts.predictability_verdict(report),
    ]
    text = "Good skills reach many places, go where they are told to, and differ from each other."
    return Section("At a glance", text, findings, [verdicts.headline_table(report)])


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
        verdicts.coverage_verdicts(report),
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
        "the model's state is the commanded one. Predictability: how often a simple classifier, "
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


def _codebook_section(report: SkillReport) -> Section:
    use = report.replay_code_use or report.code_use["trained"]
    text = "Each skill stands for one code; codes that no state is near to would be idle skills."
    where = "recorded experience" if report.replay_code_use else "the steps of this report"
    picture = Picture(code_use_bars(use.counts), "How often each code is the nearest one.")
    verdict = verdicts.codebook_verdict(use, where, report.resampled)
    return Section("The codebook", text, [verdict], [picture])


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
    return Section("The world model", text, [verdicts.model_verdict(report.model_error)], pictures)


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
