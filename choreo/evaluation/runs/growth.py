"""Health of a run over time, also while it grows: what it logs, and what that warns of."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from choreo.errors import UsageError
from choreo.evaluation.runs.curves import points_of
from choreo.evaluation.runs.folders import Place
from choreo.evaluation.runs.reading import read_run
from choreo.evaluation.runs.run import Run
from choreo.record import health

POINTS = 300  # of a curve at most; of more, neighbours are averaged [ours]

Good = Literal["high", "low"] | None
"""Which way a figure should go; None where neither is better."""

LOGGED: dict[str, tuple[str, Good]] = {
    "train/codebook/perplexity": ("Codes in use, counted as codes used alike", "high"),
    "train/skills/reward_code": ("Reward of imagined skills for reaching their code", "high"),
    "train/skills/reward_entropy": ("Reward of imagined skills for variety", "high"),
    "train/world_model/loss": ("Loss of the world model", "low"),
    "train/world_model/kl": ("Surprise: KL of what is seen from what was expected, nats", "low"),
    "train/exploration/bonus": ("Exploration bonus", None),
    "train/adaptation/return": ("Imagined return of the task", "high"),
    "train/adaptation/entropy": ("Entropy of the meta-controller's choice, nats", None),
    "train/adaptation/deviation": ("Deviation of the actions, which lie within -1 and 1", None),
    "evaluation/return": ("Return of evaluations", "high"),
    "evaluation/critic/expected": ("Discounted return that the critic expects", None),
    "evaluation/critic/found": ("Discounted return that followed in evaluations", "high"),
    "episode/return": ("Return of episodes while learning", None),
}


@dataclass(frozen=True)
class Series:
    """One curve: points [count, value] in order of counts."""

    label: str
    points: list[list[float]]
    good: Good


@dataclass(frozen=True)
class Growth:
    """All curves of a run by name, against frames or updates, with what holds now."""

    x: str
    series: dict[str, Series]
    warnings: list[str]
    running: bool
    reached: int
    budget: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_growth(folder: Path, more: Mapping[str, Series] | None = None) -> Growth:
    """The health of the run in a folder as far as it has come; `more` are further curves.

    A line that is being written is left for the next call. Raises UsageError where there is no
    run.
    """
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} holds no run: there is no config.json in it")
    run = read_run(Place(folder.resolve(), folder.name), {})
    found = {name: _curve(run, name) for name in LOGGED}
    return Growth(
        x=run.counted,
        series={**{name: one for name, one in found.items() if one}, **(more or {})},
        warnings=_warnings(run),
        running=run.status == "running",
        reached=run.reached,
        budget=run.budget,
    )


def _curve(run: Run, name: str) -> Series | None:
    kind, metric = name.split("/", 1)
    found = points_of(run, kind, metric)
    if found is None:
        return None
    label, good = LOGGED[name]
    pieces = [np.array_split(values, min(POINTS, len(values))) for values in found]
    points = [[float(x[-1]), float(y.mean())] for x, y in zip(*pieces)]
    return Series(label, points, good)


def _warnings(run: Run) -> list[str]:
    """Sentences of `record.health` on the last lines of the run."""
    codes = run.config.get("skills.codes")
    random_frames = run.config.get("training.random_frames")
    returns = _values(run, "evaluation/return")
    found = [health.falling_return(returns)]
    if isinstance(codes, int):
        checks = {
            "train/codebook/perplexity": health.few_codes,
            "train/adaptation/entropy": health.certain_selector,
        }
        for name, check in checks.items():
            if values := _values(run, name):
                found.append(check(values[-1], codes))
    critic = [_values(run, f"evaluation/critic/{name}") for name in ("expected", "found")]
    if all(critic):
        found.append(health.hopeful_critic(critic[0][-1], critic[1][-1]))
    if run.command == "finetune" and isinstance(random_frames, int):
        adapts = bool(_values(run, "train/adaptation/return"))
        found.append(health.missing_reward(adapts, run.reached, random_frames))
    return [sentence for sentence in found if sentence is not None]


def _values(run: Run, name: str) -> list[float]:
    found = points_of(run, *name.split("/", 1))
    return [] if found is None else found[1].tolist()
