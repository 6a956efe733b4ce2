"""Folders of runs and sweeps with known numbers, written in milliseconds instead of trained."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

VERSIONS = {"python": "3.11.7", "choreo": "0.1.0", "torch": "2.13.0"}
MACHINE = {"processor": "Toy CPU", "cores": 2, "cuda_device": None, "commit": "0123abcd"}
TASKS = {
    "walker": ("walker_stand", "walker_run"),
    "quadruped": ("quadruped_walk", "quadruped_jump"),
}
METHODS: dict[str, dict[str, Any]] = {
    "skills": {},
    "skills frozen": {"freeze_skills": True},
    "scratch": {"from_scratch": True},
}
LEVEL = {"skills": 0.6, "skills frozen": 0.4, "scratch": 0.2, "explorer": 0.5, "model": 0.3}
EXPERT = {"walker_stand": 984, "walker_run": 796, "quadruped_walk": 866, "quadruped_jump": 888}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def config(env: str, seed: int, command: str = "finetune", **changes: Any) -> dict[str, Any]:
    """Options as config.json has them, a few of them."""
    options = {
        "command": command,
        "preset": "cpu",
        "env": env,
        "seed": seed,
        "obs": "states",
        "frames": 1000,
        "device": "cpu",
        "training": {"action_repeat": None, "time_limit": None, "evaluate_episodes": 10},
        "logging": {"every": 100},
        "from_scratch": False,
        "freeze_skills": False,
        "source": None if command == "pretrain" else "somewhere/snapshots/frames_5000",
    }
    return options | changes


def curve(last: float, frames: int = 1000, points: int = 5) -> list[dict[str, Any]]:
    """Lines of metrics that rise in a straight line to `last`."""
    counts = np.linspace(frames / points, frames, points).astype(int).tolist()
    base = [{"kind": "train", "world_model/kl": 1.0}, {"kind": "evaluation", "return": last}]
    return [
        {**line, "frames": n, "steps": n, "updates": n // 10}
        | ({"return": last * n / frames} if line["kind"] == "evaluation" else {})
        for n in counts
        for line in base
    ]


def run(
    folder: Path,
    options: Mapping[str, Any],
    lines: Iterable[Mapping[str, Any]],
    versions: Mapping[str, str] = VERSIONS,
) -> Path:
    """A run folder without checkpoints, as one that was copied for its numbers."""
    content = {"format": 1, "config": options, "versions": versions, "machine": MACHINE}
    write(folder / "config.json", content)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    seconds = [{"frames": 500, "seconds": 40.0}, {"frames": 1000, "seconds": 30.0}]
    (folder / "timing.jsonl").write_text("".join(json.dumps(line) + "\n" for line in seconds))
    return folder


def evaluation(
    folder: Path, mean: float, policy: str = "task", name: str = "", **of_what: Any
) -> None:
    """What `choreo evaluate --json` prints, with returns around a mean."""
    returns = [mean - 1, mean + 1] * 5
    content = {
        "policy": policy,
        "returns": returns,
        "mean": mean,
        "interval95": [mean - 0.75, mean + 0.75],
        "counted": "steps",
        "steps": 10_000,
        "frames": 10_000,
        **of_what,
    }
    write(folder / f"evaluation{name}.json", content)


def score(task: str, method: str, seed: int) -> float:
    """The final return of a made-up run: a share of the expert's that differs by seed."""
    return round(EXPERT.get(task, 200) * (LEVEL[method] + 0.05 * (seed - 1)), 3)


def grid(folder: Path, seeds: Iterable[int] = range(3), chance: bool = True) -> Path:
    """Plain run folders of 3 methods x 4 tasks x 3 seeds, evaluated, and random actions."""
    for tasks in TASKS.values():
        for task in tasks:
            for method, options in METHODS.items():
                for seed in seeds:
                    value = score(task, method, seed)
                    place = folder / f"{task}-{method.replace(' ', '-')}-s{seed}"
                    run(place, config(task, seed, **options), curve(value))
                    evaluation(place, value)
            if chance:
                first = folder / f"{task}-skills-s{next(iter(seeds))}"
                evaluation(first, 0.02 * EXPERT[task], "random", "-random")
    return folder


def skills_json(trained: float = 0.5) -> dict[str, Any]:
    """A skill report's figures."""
    share = {"trained": trained, "untrained": 0.1, "random": 0.08, "chance": 0.0625}
    use = {"trained": {"used": 0.9}, "untrained": {"used": 0.2}, "random": {"used": 0.3}}
    errors = {"trained": [0.1, 0.3], "untrained": [1.0, 1.1], "nothing_changes": [0.4, 0.9]}
    return {
        "coverage": {"trained": 200, "untrained": 30, "random": 90, "cells": 400},
        "hit_rate": share,
        "predictability": {**share, "trained": 0.05},
        "codebook": {"used": 0.9, "rollouts": use},
        "model_error": {"horizons": [1, 15], **errors},
    }


def cell(root: Path, name: str, command: str, source: str | None, **labels: Any) -> dict[str, Any]:
    """A cell as cell.json and sweep.json describe it; its folder gets the file."""
    options = {"env": labels.get("task", labels.get("domain"))}
    stage = name.split("/")[0]
    content = {
        "sweep": "toy", "stage": stage, "cell": name, "command": command, "options": options,
        "from": source, "snapshot": None, "labels": labels,
    }  # fmt: skip
    write(root / name / "cell.json", content)
    return content


def done(folder: Path, seconds: float = 100.0) -> None:
    write(folder / "done.json", {"finished": "now", "seconds": seconds, "attempts": 1})


def sweep(root: Path, tasks: Mapping[str, tuple[str, ...]] = TASKS, seeds: int = 2) -> Path:
    """A whole sweep: pre-training, skills, fine-tuning, evaluation, random actions."""
    cells = []
    for domain, names in tasks.items():
        for seed in range(seeds):
            before = f"pretrain/{domain}-s{seed}"
            cells.append(cell(root, before, "pretrain", None, domain=domain, seed=seed))
            options = config(domain, seed, "pretrain", frames=5000)
            run(root / before / "run", options, curve(1.0, 5000))
            done(root / before, 3600)
            report = f"skills/{domain}-s{seed}"
            cells.append(cell(root, report, "skills", before, domain=domain, seed=seed))
            write(root / report / "skills" / "skills.json", skills_json(0.5 + 0.1 * seed))
            done(root / report)
            for task in names:
                cells += _tasks(root, domain, task, seed, before)
    write(root / "sweep.json", {"format": 1, "name": "toy", "spec": {}, "cells": cells})
    return root


def _tasks(root: Path, domain: str, task: str, seed: int, before: str) -> list[dict[str, Any]]:
    cells = []
    for method, changes in METHODS.items():
        labels = {"domain": domain, "task": task, "method": method, "seed": seed}
        tuned = f"finetune/{task}-{method.replace(' ', '_')}-s{seed}"
        cells.append(cell(root, tuned, "finetune", before, **labels))
        value = score(task, method, seed)
        options = config(task, seed, source=str(root / before / "run"), **changes)
        run(root / tuned / "run", options, curve(value))
        done(root / tuned, 600)
        scored = tuned.replace("finetune", "evaluate")
        cells.append(cell(root, scored, "evaluate", tuned, **labels))
        evaluation(root / scored, value)
        done(root / scored)
    name = f"chance/{task}-s{seed}"
    chance = cell(root, name, "evaluate", before, domain=domain, task=task, seed=seed)
    evaluation(root / name, 10.0 + seed, "random")
    done(root / name)
    return [*cells, chance]
