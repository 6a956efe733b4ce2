"""`choreo play`: a choreography played, filmed or imagined without a page."""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from choreo.agent import Agent, load
from choreo.cli.measure import fitting_vector, knows_no_environment, replay_of
from choreo.envs import VectorEnv
from choreo.errors import RendererUnavailable, StorageError, UsageError
from choreo.evaluation.choreography import Score, checkpoint_of, read_score, written_for
from choreo.evaluation.imagining import (
    Start,
    film_imagined,
    imagine,
    start_of_replay,
    start_of_reset,
)
from choreo.evaluation.performance import FILM_SIZE, Performed, film, open_stage, perform
from choreo.record.progress import Stages, Tell
from choreo.runtime import keep_memory, set_threads
from choreo.viz.film import FilmForm

FORMS: dict[str, FilmForm] = {".mp4": "mp4", ".gif": "gif", ".webp": "webp"}
MOST_ROWS = 50  # of the table
SIZES = (32, 1024)  # pixels of a film, at least and at most


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """Play a choreography: skills one after the other, as a small JSON file has them."""

    score: Annotated[Path, tyro.conf.Positional]
    """JSON file: moves (skill, steps), and perhaps seed, loop, start and checkpoint."""
    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, checkpoint, snapshot or pack; hf://OWNER/NAME@REVISION is a pack on a hub. Of a
    run, the checkpoint that the score was written for is played where it is still there."""
    out: Path | None = None
    """Film it: a name that ends with .mp4, .gif or .webp. The same score gives the same film."""
    imagine: bool = False
    """Let the model imagine the score instead of playing it; no simulator is needed for a run from
    recorded data."""
    size: int = FILM_SIZE
    """Height and width of the film in pixels. [ours]"""
    env: str | None = None
    """Environment; None is the one the agent was trained on."""
    trust: bool = False
    """Run the code that the run names as its environment (module:factory): only for runs of your
    own. Not needed with --env, nor where you have trained with the same code."""
    json: bool = False
    """Print JSON instead of a table."""

    @property
    def form(self) -> FilmForm | None:
        """How to film it; None without a film."""
        return None if self.out is None else FORMS[self.out.suffix.lower()]


@dataclass(frozen=True)
class Outcome:
    """What came of a score.

    rewards (T,), those that the model predicts where it was imagined; coordinates (T + 1, C), the
    environment's named ones, None where they are not known; ended: whether the environment ended
    the episode before the score was over; film: its bytes.
    """

    rewards: np.ndarray
    coordinates: np.ndarray | None
    ended: bool = False
    film: bytes | None = None


def play(arguments: list[str]) -> None:
    """`choreo play SCORE.json RUN`."""
    options = tyro.cli(PlayOptions, args=arguments, prog="choreo play")
    _check(options)
    score = read_score(options.score)
    run, warning = written_for(score, options.run)
    if warning is not None:
        print(f"warning: {warning}", file=sys.stderr)
    keep_memory()
    set_threads(1)  # as sums of several threads may round otherwise, and films would differ
    agent = load(run)
    score.require_skills(agent)
    with Stages() as tell:
        outcome = (_imagined if options.imagine else _performed)(options, agent, score, run, tell)
    if options.out is not None and outcome.film is not None:
        _write(options.out, outcome.film)
    _tell(options, agent, score, outcome, checkpoint_of(run))


def _performed(options: PlayOptions, agent: Agent, score: Score, run: Path, tell: Tell) -> Outcome:
    if options.env is None and knows_no_environment(agent):
        raise UsageError(
            f"this agent learned from recorded data ({agent.spec.id}) and knows no environment to "
            "play in: add --imagine, or name one with --env"
        )
    rewards: list[float] = []
    coordinates: list[np.ndarray] = []
    last: list[bool] = [False]

    def note(item: Performed) -> None:
        rewards.append(item.reward)
        coordinates.append(item.coordinates)
        last[0] = item.ended and item.step < score.steps

    with open_stage(lambda limit: _vector(options, agent, run, limit), score.steps) as vector:
        if options.form is not None:
            filmed = _drawn(film, agent, vector, score, options.form, options.size, tell, note)
        else:
            filmed = None
            for item in perform(agent, vector, score):
                tell("playing the score", item.step, score.steps)
                note(item)
    return Outcome(np.array(rewards[1:]), np.array(coordinates), last[0], filmed)


def _imagined(options: PlayOptions, agent: Agent, score: Score, run: Path, tell: Tell) -> Outcome:
    if options.env is None and knows_no_environment(agent):
        replay = replay_of(run)
        if replay is None:
            raise UsageError(
                f"{run} is a snapshot without its data, so there is no start to imagine from: give "
                "the run folder, or an environment with --env"
            )
        start = start_of_replay(agent, replay, score.seed)
        return _imagine(options, agent, score, None, start, tell)
    with _vector(options, agent, run, None) as vector:
        start = start_of_reset(agent, vector, score.seed)
        return _imagine(options, agent, score, vector, start, tell)


def _imagine(
    options: PlayOptions,
    agent: Agent,
    score: Score,
    vector: VectorEnv | None,
    start: Start,
    tell: Tell,
) -> Outcome:
    found = imagine(agent, score, start, vector, tell)
    filmed = None
    if options.form is not None:
        filmed = _drawn(film_imagined, agent, found, vector, options.form, options.size)
    return Outcome(found.reward, found.coordinates, film=filmed)


def _drawn(make: Callable[..., bytes], *arguments: Any) -> bytes:
    try:
        return make(*arguments)
    except RendererUnavailable as error:
        raise RendererUnavailable(f"no film: {error}") from error


def _vector(options: PlayOptions, agent: Agent, run: Path, limit: int | None) -> VectorEnv:
    return fitting_vector(agent, options.env, 1, run, limit, options.trust)


def _check(options: PlayOptions) -> None:
    """Refuse what cannot become a film before anything is loaded or played."""
    out = options.out
    if out is not None and out.suffix.lower() not in FORMS:
        raise UsageError(f"--out {out}: give a name that ends with {', '.join(FORMS)}")
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out} is a folder. Give the name of a file in it")
    if not SIZES[0] <= options.size <= SIZES[1]:
        raise UsageError(f"--size {options.size}: wanted are {SIZES[0]} to {SIZES[1]} pixels")


def _write(path: Path, film: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(film)
    except OSError as error:
        raise StorageError(f"{path} could not be written: {error.strerror}") from error


def _tell(
    options: PlayOptions, agent: Agent, score: Score, outcome: Outcome, identity: str
) -> None:
    rows = _moves(agent, score, outcome)
    total, steps = float(outcome.rewards.sum()), len(outcome.rewards)
    if options.json:
        found = {
            "score": score.to_json(),
            "environment": options.env or agent.spec.id,
            "checkpoint": identity,
            "imagined": options.imagine,
            "moves": rows,
            "return": total,
            "steps": steps,
            "ended": outcome.ended,
            "film": None if options.out is None else str(options.out),
        }
        print(json.dumps(found))
        return
    Console(file=sys.stdout).print(_table(options, agent, rows, total, steps))
    if outcome.ended:
        print(f"the environment ended the episode after {steps} of {score.steps} steps")
    if options.out is not None:
        print(options.out)


def _moves(agent: Agent, score: Score, outcome: Outcome) -> list[dict[str, Any]]:
    """Every move that was begun, of every repeat: its skill, steps, reward, and where it ended."""
    rows, first = [], 0
    for move in score.moves * score.loop:
        part = slice(first, min(first + move.steps, len(outcome.rewards)))
        if part.start >= part.stop:
            break
        end = () if outcome.coordinates is None else outcome.coordinates[part.stop].tolist()
        rows.append(
            {
                "skill": move.skill,
                "steps": part.stop - part.start,
                "reward": float(outcome.rewards[part].sum()),
                "end": {
                    name: value if math.isfinite(value) else None
                    for name, value in zip(agent.spec.coordinates, end)
                },
            }
        )
        first += move.steps
    return rows


def _table(
    options: PlayOptions, agent: Agent, rows: list[dict[str, Any]], total: float, steps: int
) -> Table:
    reward = "predicted reward" if options.imagine else "reward"
    names = list(rows[0]["end"])
    caption = f"{steps} steps, {'predicted ' * options.imagine}return {total:.2f}"
    table = Table("move", "skill", "steps", reward, *(f"{n} at its end" for n in names))
    table.caption = caption
    for number, row in enumerate(rows[:MOST_ROWS], 1):
        ends = ["-" if value is None else f"{value:.2f}" for value in row["end"].values()]
        move = str(number), str(row["skill"]), str(row["steps"]), f"{row['reward']:.2f}"
        table.add_row(*move, *ends)
    if len(rows) > MOST_ROWS:
        table.add_row("...", "", "", "")
    return table
