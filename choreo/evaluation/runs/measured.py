"""All runs in some folders, each with what other commands have measured on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from choreo.evaluation.runs.files import read_json
from choreo.evaluation.runs.folders import Found, Place, cell_status, find
from choreo.evaluation.runs.labels import canonical, domain_of
from choreo.evaluation.runs.reading import (
    EVALUATION,
    SKILLS,
    ZEROSHOT,
    action_repeat,
    evaluated,
    read_run,
)
from choreo.evaluation.runs.run import RANDOM, TRAINS, Run

CHANCE = "evaluation-random.json"
UNADAPTED = {"skill": "skills, not adapted", "explore": "explorer, not adapted"}
"""Methods of evaluations of pre-trained runs, by the policy that acted."""

Cells = Mapping[tuple[Path, str], Place]


def read_runs(folders: Sequence[Path]) -> tuple[list[Run], Found]:
    """All runs in some folders, and where they were found.

    Random actions, and pre-trained agents that were evaluated as they are, are runs of their own.
    Raises UsageError for a folder that holds none.
    """
    found = find(folders)
    cells = {place.key: place for place in found.places if place.cell is not None}
    trained = [place for place in found.places if _trains(place)]
    runs = {place.path: read_run(place, cells) for place in trained}
    alone = [_plain_chance(place, runs[place.path]) for place in trained]
    for place in found.places:
        if not _trains(place):
            alone.append(_attach(place, cells, runs))
    apart = [run for run in alone if run is not None]
    return [*_evaluated_alike(runs.values()), *_each_once(apart)], found


def _trains(place: Place) -> bool:
    return place.cell is None or place.cell.get("command") in TRAINS


def _each_once(runs: Iterable[Run]) -> list[Run]:
    """The runs without repetitions of one and the same episodes of random actions."""
    kept: dict[tuple, Run] = {}
    for run in runs:
        same = run.method == RANDOM and run.final is not None and run.final.returns
        kept.setdefault((run.task, same) if same else (run.path,), run)
    return list(kept.values())


def _evaluated_alike(runs: Iterable[Run]) -> list[Run]:
    """The runs of a stage that is evaluated by cells: none keeps its last one in training."""
    runs = list(runs)
    stages = {
        run.path.parent
        for run in runs
        if run.cell and run.final is not None and run.final.measured == "evaluation.json"
    }
    return [
        replace(run, final=None, reason=run.reason or "not evaluated yet")
        if run.path.parent in stages and run.final and run.final.measured != "evaluation.json"
        else run
        for run in runs
    ]


def _attach(place: Place, cells: Cells, runs: dict[Path, Run]) -> Run | None:
    """Give what a measuring cell found to its run; or a run of its own, where it is apart."""
    cell = place.cell or {}
    source = cells.get((place.key[0], str(cell.get("from"))))
    run = None if source is None else runs.get(source.path)
    data = read_json(place.path / EVALUATION, []) if cell.get("command") == "evaluate" else None
    if cell.get("command") == "evaluate" and (run is None or _is_apart(place, data, run)):
        return _apart(place, run or read_run(place, cells), data)
    if run is not None:
        measure = _with_score if cell.get("command") == "evaluate" else _with_figures
        runs[run.path] = measure(run, place)
    return None


def _is_apart(place: Place, data: Mapping[str, Any] | None, run: Run) -> bool:
    """Whether an evaluation is of something else than what its run learned."""
    method = canonical(str(place.labels.get("method") or run.method))
    chance = _policy(place, data) == RANDOM
    return chance or run.command != "finetune" or method != run.method


def _policy(place: Place, data: Mapping[str, Any] | None) -> str:
    return str((data or {}).get("policy") or place.options.get("policy") or "skill")


def _apart(place: Place, run: Run, data: Mapping[str, Any] | None) -> Run:
    """A row of its own for random actions, or for a pre-trained agent that is not adapted."""
    notes: list[str] = []
    labels, policy = place.labels, _policy(place, data)
    method = RANDOM if policy == RANDOM else labels.get("method") or UNADAPTED.get(policy, policy)
    task = str(labels.get("task") or place.options.get("env") or run.task)
    status, reason, took = cell_status(place, notes) if place.cell else ("done", "", None)
    fresh = replace(
        run,
        name=place.name,
        path=place.path,
        command="evaluate",
        task=task,
        domain=str(labels.get("domain") or domain_of(task)),
        method=canonical(str(method)),
        stage=str((place.cell or {}).get("stage", "")),
        cell=place.path.name if place.cell else "",
        status=status,
        reason=reason,
        budget=None,
        reached=0,
        pretrained=None if policy == RANDOM else run.pretrained or run.reached or None,
        seconds=took,
        metrics=(),
        skills=None,
        goals={},
        pending=(),
    )
    final = evaluated(data, fresh, notes)
    repeat = action_repeat(replace(fresh, config={}), data) or run.action_repeat
    return replace(fresh, final=final, action_repeat=repeat, notes=tuple(notes))


def _with_score(run: Run, place: Place) -> Run:
    """The run with the score of its evaluation cell; without one while that is still to come."""
    notes: list[str] = []
    final = evaluated(read_json(place.path / EVALUATION, notes), run, notes)
    _, why, _ = cell_status(place, notes)
    reason = run.reason if final or run.reason else f"evaluation {why or 'without a mean return'}"
    return replace(run, final=final, reason=reason, notes=(*run.notes, *notes))


def _with_figures(run: Run, place: Place) -> Run:
    """The run with its skill report, or its test of goals."""
    notes, pending = list(run.notes), list(run.pending)
    command = (place.cell or {}).get("command")
    task = str(place.labels.get("task") or run.task)
    of_skills = command == "skills"
    path = place.path / "skills" / SKILLS if of_skills else place.path / ZEROSHOT
    found = read_json(path, notes)
    if found is None:
        reason = cell_status(place, notes)[1] or f"without {path.name}"
        pending.append(f"{command}{'' if of_skills else f' {task}'} {reason}")
    changes = {"notes": tuple(notes), "pending": tuple(pending)}
    if found is None:
        return replace(run, **changes)
    if of_skills:
        return replace(run, skills=found, **changes)
    return replace(run, goals=run.goals | {task: found}, **changes)


def _plain_chance(place: Place, run: Run) -> Run | None:
    """Random actions that were evaluated into the folder of a run."""
    data = read_json(place.run / CHANCE, [])
    if data is None:
        return None
    return _apart(Place(place.run / CHANCE, f"{place.name}/{CHANCE}"), run, data)
