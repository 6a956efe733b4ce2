"""What one run tells, as far as it has come."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from choreo.evaluation.scores import URLB_EXPERT, Interval

Status = Literal["done", "running", "stopped", "failed", "waiting"]
"""Of a run: at its end, going on, not at its end, given up, or not begun."""
TRAINS = ("pretrain", "offline", "finetune")
"""Commands that make a run folder; the others measure what these have made."""
RANDOM, SCRATCH = "random", "scratch"
"""Methods that every comparison needs: random actions, and the task learned with fresh weights."""


@dataclass(frozen=True)
class Final:
    """The score that stands for a run: a mean return over episodes, and where it was taken from."""

    value: float
    interval: Interval | None
    episodes: int | None
    measured: Literal["evaluation.json", "in training"]
    frames: int | None
    """Frames of training after which it was measured."""
    returns: tuple[float, ...] = ()

    @property
    def protocol(self) -> str:
        """How it was measured, in words."""
        where = "choreo evaluate" if self.measured == "evaluation.json" else "in training"
        return f"{self.episodes or '?'} episodes, {where}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of training with all that was measured on it, or a measurement of random actions."""

    name: str
    """Folder, as it was given."""
    path: Path
    command: str
    domain: str
    task: str
    method: str
    seed: int | None
    status: Status
    reason: str = ""
    """Why it is not done, in words."""
    sweep: str = ""
    stage: str = ""
    cell: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    """Options by dotted name."""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    budget: int | None = None
    """Frames (offline: updates) that were asked for."""
    reached: int = 0
    pretrained: int | None = None
    """Frames (or updates) of the run or snapshot that it started from."""
    action_repeat: int | None = None
    final: Final | None = None
    skills: dict[str, Any] | None = None
    goals: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What zeroshot.json holds, by task."""
    pending: tuple[str, ...] = ()
    """Measurements that a sweep plans and has not made, in words."""
    seconds: float | None = None
    metrics: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def preset(self) -> str | None:
        """Name of the preset."""
        return None if self.config.get("preset") is None else str(self.config["preset"])

    @property
    def commit(self) -> str | None:
        """Commit of the code, where it is recorded."""
        return None if self.machine.get("commit") is None else str(self.machine["commit"])

    @property
    def normalised(self) -> float | None:
        """Share of the URLB expert's return; None without a score or for other tasks."""
        if self.final is None or self.task not in URLB_EXPERT:
            return None
        return self.final.value / URLB_EXPERT[self.task]

    @property
    def counted(self) -> str:
        """What the budget counts."""
        return "updates" if self.command == "offline" else "frames"

    @property
    def compares(self) -> bool:
        """Whether it belongs into the comparison of returns."""
        return self.command in ("finetune", "evaluate")
