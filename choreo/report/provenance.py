"""Of what a report is: which run and checkpoint, how it was trained, and when."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from choreo.agent import Agent, find_checkpoint
from choreo.config_form import options_of
from choreo.errors import CheckpointError
from choreo.evaluation.runs.reading import seconds_of
from choreo.evaluation.subject import run_folder_of
from choreo.record import RunFolder, checkpoint, pack
from choreo.record.hub import address_of
from choreo.schema import Maybe, Real, Whole, problem
from choreo.viz import Table

UNKNOWN = "not recorded"

CODES = {
    "pretrain": "pre-trained without reward",
    "offline": "trained from recorded data without reward",
    "finetune": "fine-tuned from pre-trained skills",
    "scratch": "trained on a task from fresh weights",
}
PARTS = {
    "pretraining": "pretrain",
    "offline": "offline",
    "adaptation": "finetune",
    "task": "finetune",
}
"""What an agent's parts tell of its training where no run folder tells it."""

FORM = {
    "run": str,
    "checkpoint": str,
    "kind": tuple(CODES),
    "environment": str,
    "counted": ("frames", "updates"),
    "count": Maybe(Whole()),
    "updates": Maybe(Whole()),
    "preset": Maybe(str),
    "seed": Maybe(Whole(most=2**128)),
    "source": Maybe(str),
    "explored_by": Maybe(str),
    "frozen": bool,
    "hours": Maybe(Real()),
    "saved": Maybe(str),
    "written": Maybe(str),
    "weights_sha256": Maybe(str),
    "version": Maybe(str),
}
"""The form of what a pack says of its agent."""


@dataclass(frozen=True)
class Provenance:
    """What is known of an agent's training; None where it was not written down.

    `counted` is "frames" or "updates"; `source` what was fine-tuned or, offline, the data;
    `frozen` says that fine-tuning left the skills as they were; `hours` are of wall-clock time, of
    the whole run.
    """

    run: str
    checkpoint: str
    kind: str
    environment: str
    counted: str
    count: int | None
    updates: int | None = None
    preset: str | None = None
    seed: int | None = None
    source: str | None = None
    explored_by: str | None = None
    frozen: bool = False
    hours: float | None = None
    saved: str | None = None
    written: str | None = None
    weights_sha256: str | None = None
    version: str | None = None

    @property
    def trained_for(self) -> str:
        """Frames and updates in words."""
        if self.count is None:
            return UNKNOWN
        also = bool(self.updates) and self.counted == "frames"
        updates = f" ({self.updates:,} updates)" if also else ""
        return f"{self.count:,} {self.counted}{updates}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))

    def table(self) -> Table:
        """All of it for a page."""
        entries = {
            "Run": self.run,
            "Checkpoint": self.checkpoint,
            "Agent": CODES[self.kind],
            "Trained on": self.environment,
            "Trained for": self.trained_for,
            "Came from": self.source,
            "Explored by": self.explored_by,
            "Preset": self.preset,
            "Seed of training": self.seed,
            "Hours of training": None if self.hours is None else f"{self.hours:.2g}",
            "Checkpoint saved": self.saved,
            "Report written": self.written,
            "Version": self.version,
        }
        rows = [(name, str(value)) for name, value in entries.items() if value is not None]
        return Table(("of what", ""), rows, words=(1,))

    def lead(self, skills: int, environment: str | None) -> str:
        """How the agent came to its skills, in a sentence or two."""
        amount = "" if self.count is None else f" for {self.trained_for}"
        source = self.source or "a pre-trained agent"
        where = "" if environment in (None, self.environment) else f" It is shown in {environment}."
        since = "left as they were" if self.frozen else "changed by the reward since"
        told = {
            "pretrain": f"The agent explored {self.environment} without any reward{amount} and "
            f"learned {skills} skills.",
            "offline": f"The agent learned {skills} skills from {self.source or self.environment}, "
            f"recorded data, without any reward and without acting{amount}.",
            "finetune": f"This agent was fine-tuned on {self.environment}, with its reward"
            f"{amount}. Its {skills} skills were learned before, by {source}, and {since}.",
            "scratch": f"This agent is a control: it began with fresh weights and learned "
            f"{self.environment} with its reward{amount}. Its {skills} skills were never learned "
            "without reward.",
        }
        return told[self.kind] + where


def provenance_of(run: Path, agent: Agent, now: datetime | None = None) -> Provenance:
    """What the files of a run, checkpoint, snapshot or pack say of the agent in it."""
    found = find_checkpoint(run)
    if pack.is_pack(found):
        return _packed(found, now)
    folder = run_folder_of(run)
    state, content = checkpoint.load_state(found), _config(folder)
    config = content.get("config", {})
    command = config.get("command", PARTS[agent.parts])
    kind = "scratch" if command == "finetune" and config.get("from_scratch") else command
    counted = "updates" if command == "offline" else "frames"
    exploration = config.get("exploration", {}).get("kind") if command == "pretrain" else None
    return Provenance(
        run=folder.name,
        checkpoint=found.name,
        kind=kind if kind in CODES else PARTS[agent.parts],
        environment=config.get("env", agent.spec.id),
        counted=counted,
        count=state.get("count", _number_in(found.name, counted)),
        updates=state.get("learner", {}).get("updates"),
        preset=config.get("preset"),
        seed=config.get("seed"),
        source=_name(config.get("data" if command == "offline" else "source"), kind),
        explored_by=exploration,
        frozen=config.get("freeze_skills", False),
        hours=_hours(folder),
        saved=_time(datetime.fromtimestamp((found / checkpoint.STATE).stat().st_mtime, UTC)),
        written=_time(now or datetime.now(UTC)),
        weights_sha256=checkpoint.identity(found),
        version=(content.get("versions") or {}).get("choreo"),
    )


def _packed(folder: Path, now: datetime | None) -> Provenance:
    """What a pack says of its agent, which was saved where nobody can look any more."""
    about = pack.read(folder)["about"]
    if wrong := problem(about, FORM, "about"):
        raise CheckpointError(f"The pack {folder} is damaged: {wrong}. {pack.AGAIN}")
    known: dict[str, Any] = {name: about.get(name) for name in FORM}
    return replace(Provenance(**known), written=_time(now or datetime.now(UTC)))


def _hours(folder: Path) -> float | None:
    """Hours that a run took, all its processes together."""
    seconds = seconds_of(folder, [])
    return None if seconds is None else seconds / 3600


def unrecorded(agent: Agent) -> Provenance:
    """What an agent itself tells, where no files are known."""
    kind, written = PARTS[agent.parts], _time(datetime.now(UTC))
    return Provenance(UNKNOWN, UNKNOWN, kind, agent.spec.id, "frames", None, written=written)


def name_of_pack(folder: Path) -> str:
    """What a pack is called: its folder, or on a hub its repository."""
    address = address_of(folder.resolve())
    name = folder.resolve().name if address is None else address.rpartition("/")[2]
    return name.partition("@")[0]


def report_folder(run: Path) -> Path:
    """Where the report of a run goes: skills/, and below it for a snapshot or old checkpoint.

    Nothing is written into a pack: its report goes to skills/NAME in the working directory.
    """
    if pack.is_pack(Path(run)):
        return Path("skills") / name_of_pack(Path(run))
    folder, run = run_folder_of(run), Path(run).resolve()
    return folder / "skills" if run == folder else folder / "skills" / run.name


def _config(folder: Path) -> dict[str, Any]:
    """Options and versions of a run; empty for an agent that was saved outside one."""
    run = RunFolder(folder)
    if not run.config_path.exists():
        return {}
    return {**run.content(), "config": options_of(run, needed=())}


def _number_in(name: str, counted: str) -> int | None:
    """The frames or updates that a snapshot's name tells."""
    found = re.fullmatch(rf"{counted}_0*(\d+)", name)
    return int(found[1]) if found else None


def _name(source: str | None, kind: str) -> str | None:
    """The last parts of a path: enough to tell, and nothing of the machine it lay on."""
    if source is None or kind == "scratch":
        return None
    if address := address_of(Path(source)):
        return address
    return "/".join(part for part in Path(source).parts[-2:] if part != "/")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
