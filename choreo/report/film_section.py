"""Every skill in motion, played again from one start."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from choreo.agent import Agent
from choreo.envs import VectorEnv
from choreo.errors import RendererUnavailable
from choreo.evaluation.coverage import Projection
from choreo.evaluation.episode import Episode
from choreo.evaluation.health import SkillReport
from choreo.evaluation.rollouts import run_episodes
from choreo.record.files import writing
from choreo.record.progress import Tell, silent
from choreo.viz import (
    Clip,
    Films,
    Picture,
    Section,
    Verdict,
    clickable,
    encode_video,
    film_strip,
    side_by_side,
)

IN_STRIP = 7  # skills in the film strip [ours]
FILM_FRAMES = 50  # pictures of each [ours]
TITLE = "Skills in motion"
TEXT = "Every skill from the same start, and random actions. A film plays when it is clicked."


def film_section(
    report: SkillReport,
    agent: Agent,
    vector: VectorEnv,
    tell: Tell = silent,
    film: Path | None = None,
) -> Section:
    """Films of all skills, or a sentence on why there are none.

    Into `film` goes one mp4 of the skills that differ most, and of random actions.
    """
    try:
        clips = film_clips(report, agent, vector, tell)
    except RendererUnavailable as error:
        return no_films(f"There are no pictures of the simulator in this report. {error}")
    seconds = (vector.spec.step_seconds or 0.05) * _film_every(report)
    fps = min(30.0, max(5.0, 1 / seconds))
    films = [clickable(clip, fps, anchor(clip.label)) for clip in clips]
    different = {
        f"skill {k}" for k in most_different(report.episodes["trained"], report.projection)
    }
    chosen = [clip for clip in clips if clip.label in {*different, "random"}]
    if film is not None:
        with writing(film):
            film.write_bytes(encode_video(side_by_side(chosen), fps))
    strip = film_strip(chosen)
    caption = "The skills that end up furthest apart, a row each; time runs from left to right."
    content = [Films(films, f"{len(films)} films at {fps:.0f} pictures a second.")]
    return Section(TITLE, TEXT, content=[*content, Picture(strip, caption)])


def no_films(why: str) -> Section:
    """The section where nothing is drawn."""
    return Section(TITLE, TEXT, [Verdict("neutral", why)])


def anchor(label: str) -> str:
    """Where links to the film with this label lead."""
    return f"film-{label.replace(' ', '-')}"


def film_clips(
    report: SkillReport, agent: Agent, vector: VectorEnv, tell: Tell = silent
) -> list[Clip]:
    """Pictures of all skills and of random actions, all from the first start.

    Raises RendererUnavailable when nothing can be drawn here.
    """
    s, every = report.settings, _film_every(report)
    skills, steps = list(range(s.skills)), s.episode_steps
    total = (s.skills + 1) * steps
    played = run_episodes(
        agent,
        vector,
        "skill",
        len(skills),
        s.seed,
        skills=skills,
        sample=s.sampled_actions,
        steps=steps,
        frames_every=every,
        starts=[0] * len(skills),
        tell=lambda taken: tell("filming", min(taken, total), total),
    )
    chance = run_episodes(agent, vector, "random", 1, s.seed, steps=steps, frames_every=every)
    tell("filming", total, total)
    clips = [Clip(f"skill {k}", episode.frames) for k, episode in zip(skills, played)]
    return [*clips, Clip("random", chance[0].frames)]


def most_different(
    episodes: Sequence[Episode], projection: Projection, count: int = IN_STRIP
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
