"""The report of an agent that was trained from recorded data and has no environment to play in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from choreo.agent import Agent
from choreo.errors import UsageError
from choreo.evaluation.codes import CodeUse, replay_use
from choreo.evaluation.controls import untrained_agent
from choreo.evaluation.episode import Episode, thumbnails
from choreo.evaluation.model_error import ModelError, measure_model_error, measure_spread
from choreo.evaluation.windows import CONTEXT, HORIZONS, LENGTH
from choreo.record import derive_seed
from choreo.replay import Replay
from choreo.report.picture_sections import open_loop_section
from choreo.report.provenance import Provenance, unrecorded
from choreo.report.skill_report import FIGURES, REPORT, about_section, write_figures
from choreo.report.verdicts import codebook_verdict, model_verdicts
from choreo.viz import Picture, Section, write_report
from choreo.viz.plots import code_use_bars, error_curves

PIECES = 64  # sequences of the data on which the model is measured [ours]


@dataclass(frozen=True)
class DataReport:
    """Figures that need no environment: how well the model predicts the data, and the codes' use.

    The sequences are of the data that the agent learned from.
    """

    name: str
    skills: int
    episodes: list[Episode]
    code_use: CodeUse
    resampled: int
    model_error: ModelError | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain values; what only an environment could tell is null."""
        use = {**self.code_use.to_json(), "source": "data", "codes": self.skills}
        error = None if self.model_error is None else self.model_error.to_json()
        return {
            **dict.fromkeys(("coverage", "hit_rate", "predictability")),
            "codebook": {**use, "resampled": self.resampled},
            "model_error": error,
            "settings": {"environment": None, "data": self.name, "seed": self.seed},
        }


def measure_on_data(agent: Agent, replay: Replay, seed: int = 0) -> DataReport:
    """Measure model and codebook on sequences of recorded data.

    Raises UsageError when no episode holds a sequence of 60 steps.
    """
    episodes = list(_pieces(agent, replay, seed))
    use = replay_use(agent, replay, derive_seed(seed, "health"))
    if not episodes or use is None:
        raise UsageError(
            f"the data hold no episode of {LENGTH} steps, so the model cannot be measured on them; "
            "give an environment with --env"
        )
    models = {"trained": agent, "untrained": untrained_agent(agent, seed)}
    spread = measure_spread(episodes)
    error = measure_model_error(models, episodes, spread, derive_seed(seed, "health"))
    resampled = int(agent.skills.resampled)
    return DataReport(agent.spec.id, agent.num_skills, episodes, use, resampled, error, seed)


def _pieces(agent: Agent, replay: Replay, seed: int) -> Iterator[Episode]:
    """Sequences of 60 steps without an episode's end inside, drawn at random from the data."""
    rng = np.random.default_rng(derive_seed(seed, "pieces"))
    starts, stops = replay.bounds()
    found = 0
    for _ in range(20 * PIECES):
        stream = int(rng.integers(len(starts)))
        if found == PIECES or stops[stream] - starts[stream] < LENGTH:
            break
        first = int(rng.integers(starts[stream], stops[stream] - LENGTH + 1))
        steps = replay.read(stream, first, first + LENGTH)
        if not steps["is_first"][1:].any():
            found += 1
            yield _as_episode(agent, steps, found)


def _as_episode(agent: Agent, steps: dict[str, np.ndarray], number: int) -> Episode:
    images = {key: steps[key] for key in agent.spec.images}
    vectors = {key: steps[key] for key in agent.spec.observations if key not in images}
    return Episode(
        observations=vectors,
        actions=steps["action"][1:],
        rewards=steps["reward"][1:],
        coordinates=np.zeros((LENGTH, 0)),
        codes=np.zeros(LENGTH, np.int64),
        skill=None,
        start=number,
        ended=False,
        thumbnails={key: thumbnails(value) for key, value in images.items()},
        images=images,
        image_steps=np.arange(LENGTH if images else 0),
    )


def data_report(
    agent: Agent, replay: Replay, folder: Path, seed: int = 0, about: Provenance | None = None
) -> DataReport:
    """Measure on recorded data and write `report.html` and `skills.json` into `folder`.

    Raises StorageError when the files cannot be written, and UsageError as `measure_on_data`.
    """
    report = measure_on_data(agent, replay, seed)
    about = about or unrecorded(agent)
    write_figures(report, folder / FIGURES, about)
    sections = [_model_section(report), _codebook_section(report)]
    if agent.spec.images:
        sections.append(open_loop_section(agent, report.episodes, seed))
    sections.append(about_section(about))
    lead = (
        f"{about.lead(report.skills, None)} This page shows what can be told without an "
        "environment; with one, `choreo skills RUN --env ID` also plays the skills."
    )
    footer = f"{len(report.episodes)} sequences of the data, seed {seed}. Numbers: {FIGURES}."
    write_report(folder / REPORT, f"Learned from {report.name}", lead, sections, footer)
    return report


def _model_section(report: DataReport) -> Section:
    text = (
        f"The model watches {CONTEXT} steps of the data and then predicts from the actions alone."
    )
    pictures = []
    if report.model_error is not None:
        curves = error_curves({"recorded data": report.model_error.errors}, HORIZONS)
        pictures = [Picture(curves, "Prediction error; lower is better, dashed is a lazy guess.")]
    return Section("The world model", text, model_verdicts(report.model_error), pictures)


def _codebook_section(report: DataReport) -> Section:
    text = "Each skill stands for one code; codes that no state is near to would be idle skills."
    picture = Picture(code_use_bars(report.code_use.counts), "How often each code is the nearest.")
    verdict = codebook_verdict(report.code_use, "the data", report.resampled)
    return Section("The codebook", text, [verdict], [picture])
