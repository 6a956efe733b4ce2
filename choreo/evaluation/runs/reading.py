"""From a folder to a run: options, how far it is, and its final score."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from choreo.config_form import sound_options
from choreo.evaluation.runs.files import number, read_json, read_lines
from choreo.evaluation.runs.folders import Place, cell_status
from choreo.evaluation.runs.labels import canonical, domain_of, method_of
from choreo.evaluation.runs.run import SCRATCH, Final, Run, Status
from choreo.evaluation.scores import Interval, mean_interval
from choreo.record import checkpoint, is_claimed
from choreo.record.run_folder import flatten

EVALUATION, ZEROSHOT, SKILLS = "evaluation.json", "zeroshot.json", "skills.json"


def read_run(place: Place, cells: Mapping[tuple[Path, str], Place]) -> Run:
    """The run of a place, with what was measured on it in its own folder.

    `cells` are those of all sweeps, by sweep folder and name.
    """
    notes: list[str] = []
    content = read_json(place.run / "config.json", notes) or {}
    config = flatten(_options(content, place.run / "config.json", notes))
    cell = place.cell or {}
    labels, options = place.labels, place.options
    command = str(cell.get("command") or config.get("command"))
    env = str(config.get("env") or options.get("env") or config.get("data") or "unknown")
    task = str(labels.get("task") or env)
    metrics = tuple(read_lines(place.run / "metrics.jsonl", notes))
    goals = read_json(place.run / ZEROSHOT, notes)
    count = "updates" if command == "offline" else "frames"
    budget = _whole(config.get(count) or options.get(count))
    run = Run(
        name=place.name,
        path=place.path,
        command=command,
        domain=str(labels.get("domain") or domain_of(task)),
        task=task,
        method=canonical(str(labels.get("method") or method_of(config | {"command": command}))),
        seed=_whole(labels.get("seed", config.get("seed"))),
        status="waiting",
        sweep=str(cell.get("sweep", "")),
        stage=str(cell.get("stage", "")),
        cell=place.path.name if place.cell else "",
        config=config,
        versions=_texts(content.get("versions")),
        machine=content["machine"] if isinstance(content.get("machine"), dict) else {},
        budget=budget,
        pretrained=_pretrained(place, config, cells),
        metrics=metrics,
        seconds=seconds_of(place.run, notes),
        skills=read_json(place.run / "skills" / SKILLS, notes),
        goals={task: goals} if goals is not None else {},
    )
    run = _with_progress(run, place, notes)
    evaluation = read_json(place.run / EVALUATION, notes)
    final = None
    if command != "finetune":
        notes += [f"{EVALUATION} is of skills that are not adapted"] if evaluation else []
    elif run.status == "done":
        final = evaluated(evaluation, run, notes) or _last_evaluation(run)
    elif evaluation is not None:
        notes.append(f"{EVALUATION} does not count before the run is at its end")
    repeat = action_repeat(run, evaluation)
    return replace(run, final=final, action_repeat=repeat, notes=tuple(notes))


def _options(content: Mapping[str, Any], path: Path, notes: list[str]) -> dict[str, Any]:
    """The options in a config.json, with a note for each that is not one that a run has."""
    if not content:
        return {}
    sound, wrong = sound_options(content.get("config"))
    notes += [f"{path} holds an option that no run has: {one}" for one in wrong]
    return sound


def _with_progress(run: Run, place: Place, notes: list[str]) -> Run:
    """The run with its status and how far it has come."""
    saved = _saved(place.run / "checkpoints")
    counted = max((_whole(line.get(run.counted)) or 0 for line in run.metrics[-50:]), default=0)
    reached = max(saved or 0, counted)
    seconds = run.seconds
    if place.cell is not None:
        status, reason, took = cell_status(place, notes)
        seconds = took or seconds
    else:
        every = _whole(run.config.get("logging.every")) or 0  # a copy without checkpoints
        status, reason = _plain_status(run, place.run, counted + every if saved is None else saved)
    if status in ("running", "stopped") and run.budget:
        reason = f"{status} at {reached:,} of {run.budget:,} {run.counted}"
    return replace(run, status=status, reason=reason, reached=reached, seconds=seconds)


def _plain_status(run: Run, folder: Path, reached: int) -> tuple[Status, str]:
    if run.budget is not None and run.metrics and reached >= run.budget:
        return "done", ""
    if is_claimed(folder):
        return "running", "running"
    return ("stopped", "stopped before its end") if reached else ("waiting", "not begun")


def _saved(folder: Path) -> int | None:
    """The count of the last checkpoint; None where there is no folder of them."""
    if not folder.is_dir():
        return None
    path = checkpoint.latest(folder)
    return (_count(path.name) if path is not None else None) or 0


def _count(name: str) -> int | None:
    """The number in a name such as frames_000100000."""
    found = re.fullmatch(r"(?:frames|updates)_(\d+)", name)
    return int(found[1]) if found else None


def _pretrained(
    place: Place, config: Mapping[str, Any], cells: Mapping[tuple[Path, str], Place]
) -> int | None:
    """Frames or updates that a run takes over; None for one that starts with fresh weights."""
    cell = place.cell or {}
    snapshot = _count(str(cell.get("snapshot") or Path(str(config.get("source"))).name))
    if snapshot is not None and (place.cell or method_of(config) != SCRATCH):
        return snapshot  # from scratch, it gives the scale of observations
    if SCRATCH in (method_of(config), canonical(str(place.labels.get("method")))):
        return None
    if not (config.get("source") or cell.get("from")):
        return None
    before = cells.get((place.key[0], str(cell.get("from"))))
    source = before.run if before is not None else Path(str(config.get("source")))
    path = source / "config.json"
    options = _options(read_json(path, []) or {}, path, [])
    return _whole(options.get("frames") or options.get("updates"))


def action_repeat(run: Run, evaluation: Mapping[str, Any] | None) -> int | None:
    """Frames of a step: as asked for, or as what was counted tells."""
    given = _whole(run.config.get("training.action_repeat"))
    if given is not None:
        return given
    for line in (evaluation or {}, *reversed(run.metrics[-1:])):
        frames, steps = _whole(line.get("frames")), _whole(line.get("steps"))
        if frames and steps:
            return round(frames / steps)
    return None


def evaluated(data: Mapping[str, Any] | None, run: Run, notes: list[str]) -> Final | None:
    """The score that `choreo evaluate --json` printed."""
    if data is None:
        return None
    value = number(data.get("mean"))
    if value is None:
        notes.append(f"{EVALUATION} holds no mean return")
        return None
    if run.reached and (other := _of_another(data, run)):
        notes.append(f"{EVALUATION} {other}, and does not count: evaluate the run again")
        return None
    returns, interval = _numbers(data.get("returns")), _numbers(data.get("interval95"))
    ends: Interval | None = (interval[0], interval[1]) if len(interval) == 2 else None
    at = run.reached or None
    return Final(value, ends, len(returns) or None, "evaluation.json", at, returns)


def _of_another(data: Mapping[str, Any], run: Run) -> str:
    """How an evaluation that says what it is of is not of the end of this run; "" if it is."""
    about = data.get("about")
    found = _whole(about.get("count")) if isinstance(about, dict) else None
    env, wanted = data.get("env"), run.config.get("env")
    if env and wanted and env != wanted:
        return f"was made in {env}, the run learned {wanted}"
    if found is not None and found < run.reached:
        return f"is of {found:,} {run.counted}, the run is at {run.reached:,}"
    return ""


def _numbers(values: Any) -> tuple[float, ...]:
    """The numbers of a list; none where it holds anything else."""
    found = [number(value) for value in values] if isinstance(values, list) else [None]
    return tuple(value for value in found if value is not None) if None not in found else ()


def _last_evaluation(run: Run) -> Final | None:
    """The last evaluation in training, of a run that is at its end."""
    lines = [line for line in run.metrics if line.get("kind") == "evaluation"]
    value = number(lines[-1].get("return")) if lines else None
    if value is None:
        return None
    each = _numbers([lines[-1][key] for key in lines[-1] if re.fullmatch(r"return_\d+", key)])
    episodes = _whole(run.config.get("training.evaluate_episodes"))
    interval = mean_interval(each)
    frames = _whole(lines[-1].get(run.counted))
    return Final(value, interval, episodes, "in training", frames)


def seconds_of(folder: Path, notes: list[str]) -> float | None:
    """Seconds of all processes that worked on a run; each counts from its own start."""
    total, last = 0.0, None
    for line in read_lines(folder / "timing.jsonl", notes):
        seconds = number(line.get("seconds"))
        if seconds is not None:
            total += last if last is not None and seconds < last else 0.0
            last = seconds
    return None if last is None else total + last


def _texts(value: Any) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)
