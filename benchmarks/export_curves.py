"""Write the curves of runs as small CSV files: `python benchmarks/export_curves.py OUT RUN ...`.

Each file begins with lines that say what it is of: command, environment, seed, versions, machine.
"""

import csv
import json
import platform
import sys
from pathlib import Path

KINDS = {"episode": ["return", "length"], "evaluation": ["return"]}
TRAIN = [
    "world_model/loss_observation",
    "world_model/loss_image",
    "world_model/kl",
    "skills/reward_code",
    "skills/reward_entropy",
    "codebook/reconstruction",
    "codebook/resampled",
    "exploration/bonus",
    "adaptation/reward",
    "adaptation/entropy",
    "adaptation/deviation",
]
MOST_ROWS = 200


def main(out: Path, runs: list[Path]) -> None:
    """Export every run into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    for run in runs:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        name = f"{run.parent.name}-{run.name}" if run.name in NAMES else run.name
        for kind, columns in {**KINDS, "train": TRAIN}.items():
            rows = [line for line in lines if line["kind"] == kind]
            rows = rows[:: max(1, len(rows) // MOST_ROWS)]
            known = [column for column in columns if rows and column in rows[-1]]
            if rows and known:
                write(out / f"{name}-{kind}.csv", describe(run), rows, known)


NAMES = ("pretrain", "finetune", "scratch")


def describe(run: Path) -> list[str]:
    """What the numbers are of."""
    content = json.loads((run / "config.json").read_text())
    config, versions = content["config"], content["versions"]
    return [
        f"choreo {config['command']}{start_of(config)} --preset {config['preset']} "
        f"--env {config['env']} --frames {config['frames']} --seed {config['seed']}",
        f"action repeat {config['training']['action_repeat']}, "
        f"time limit {config['training']['time_limit']} steps, {config['skills']['codes']} codes",
        *tuning(config),
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"{platform.machine()}, device {config['device']}, {config['threads']} thread(s), "
        f"{elapsed(run):.0f} minutes in all its sessions, other jobs included",
    ]


def start_of(config: dict) -> str:
    """What a fine-tuning started from."""
    if config["command"] != "finetune":
        return ""
    start = config.get("start") or ("scratch" if config["from_scratch"] else "skills")
    frozen = " --freeze-skills" if config.get("freeze_skills") else ""
    return f" --from PRETRAINED --start {start}{frozen}"


def tuning(config: dict) -> list[str]:
    """How a fine-tuning learns, as presets may come to do otherwise."""
    if config["command"] != "finetune":
        return []
    settings = config.get("adaptation", {}) | {"behavior_lr": config["optimizer"]["behavior_lr"]}
    if config["imagination"].get("clamp_stops"):  # in either place
        settings["clamp_stops"] = True
    return [", ".join(f"{name} {value}" for name, value in settings.items())]


def elapsed(run: Path) -> float:
    """Minutes of all sessions, whose clocks begin at nought."""
    lines = (run / "timing.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    after = [*seconds[1:], 0.0]
    return sum(s for s, then in zip(seconds, after, strict=True) if then < s) / 60


def write(path: Path, about: list[str], rows: list[dict], columns: list[str]) -> None:
    """One CSV with comment lines before the header."""
    counters = ["frames", "steps", "updates"]
    with path.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in about)
        writer = csv.writer(file)
        writer.writerow([*counters, *columns])
        for row in rows:
            values = [row.get(column) for column in columns]
            shown = [f"{v:.5g}" if isinstance(v, float) else v for v in values]
            writer.writerow([*(row[name] for name in counters), *shown])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
