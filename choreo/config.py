"""Every option of every run, as frozen dataclasses: the schema that the command line shows."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from choreo.adaptation import AdaptationConfig
from choreo.agent import AgentConfig
from choreo.exploration import ExplorationConfig
from choreo.imagination import ImaginationConfig
from choreo.nn import OptimizerConfig
from choreo.skills import SkillConfig
from choreo.world_model import ModelConfig

PresetName = Literal["paper-states", "cpu", "debug"]


@dataclass(frozen=True)
class TrainingConfig:
    """Batches, clocks and environments of a run. Clocks count frames."""

    batch: int = 50
    """Sequences in a batch. [paper]"""
    length: int = 50
    """Steps in a sequence. [paper]"""
    update_every: int = 10
    """Frames between two updates. [authors]"""
    random_frames: int = 4000
    """Frames at the start with random actions (pre-training) or random skills (fine-tuning).
    [authors]"""
    environments: int = 1
    """Environments stepped together. [authors: 1]"""
    parallel: bool = False
    """Give each environment a process of its own. [ours]"""
    action_repeat: int | None = None
    """Frames per agent step; None is 1 from states. [URLB]"""
    time_limit: int | None = None
    """Agent steps per episode; None is the environment's own limit. [ours]"""
    evaluate_every: int = 0
    """Frames between two evaluations during training; 0 turns them off. [ours]"""
    evaluate_episodes: int = 10
    """Episodes of each of these evaluations. [authors]"""


@dataclass(frozen=True)
class ReplayConfig:
    """Where experience is kept."""

    max_gb: float = 20.0
    """Gigabytes (10^9 bytes) on disk after which the oldest experience is dropped. [ours]"""


@dataclass(frozen=True)
class LoggingConfig:
    """What a run writes down. Clocks count frames."""

    every: int = 1000
    """Frames between two lines of training metrics. [ours]"""
    checkpoint_every: int = 10_000
    """Frames between two checkpoints. [ours]"""
    keep: int = 2
    """Checkpoints kept. [ours]"""
    tensorboard: bool = True
    """Write TensorBoard files. [ours]"""
    wandb: bool = False
    """Send metrics to Weights & Biases (pip install choreo[wandb]); it can never stop a run.
    [ours]"""
    wandb_project: str = "choreo"
    """Project there. [ours]"""
    progress: bool = True
    """Show a progress bar. [ours]"""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Options that pre-training and fine-tuning share."""

    preset: PresetName = "paper-states"
    """Named settings that the other options change. [paper-states: paper; cpu, debug: ours]"""
    env: str
    """Environment: a URLB domain (walker) or task (walker_run), dmc:DOMAIN-TASK, gym:ID or
    module:factory."""
    obs: Literal["states"] = "states"
    """What the agent sees."""
    frames: int
    """Simulator steps in total; an agent step is `training.action-repeat` frames."""
    seed: int = 0
    """One seed from which every random stream is derived. [ours]"""
    run_dir: Path
    """Folder of the run. The same command again resumes it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks live; auto takes CUDA when there is one. [ours]"""
    threads: int = 0
    """CPU threads of the networks; 0 is one per core. [ours]"""
    model: ModelConfig = field(default_factory=ModelConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    skills: SkillConfig = field(default_factory=SkillConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    def to_json(self) -> dict[str, Any]:
        """Nested plain values; paths become strings."""
        data = asdict(self)
        data = {
            key: str(value) if isinstance(value, Path) else value for key, value in data.items()
        }
        return data | {"command": self.command}

    @property
    def command(self) -> str:
        """Which command a run of this configuration belongs to."""
        raise NotImplementedError

    @property
    def env_options(self) -> dict[str, Any]:
        """What `choreo.envs.make` takes beside the id."""
        t = self.training
        return {"obs": self.obs, "action_repeat": t.action_repeat, "time_limit": t.time_limit}


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(RunConfig):
    """Options of `choreo pretrain`."""

    frames: int = 2_000_000
    """Simulator steps in total. [paper]"""
    run_dir: Path = Path("runs/pretrain")
    """Folder of the run. The same command again resumes it."""
    snapshots: tuple[int, ...] = (100_000, 500_000, 1_000_000, 2_000_000)
    """Frames after which the agent is saved for good, in snapshots/. [paper]"""
    model_first: int = 0
    """Updates at the start in which policies do not learn yet, so that they are not shaped by a
    model that knows nothing. [ours; paper: 0]"""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)

    @property
    def command(self) -> str:
        return "pretrain"

    def agent_config(self) -> AgentConfig:
        """What decides the networks."""
        return AgentConfig(
            model=self.model,
            imagination=self.imagination,
            exploration=self.exploration,
            skills=self.skills,
        )


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(RunConfig):
    """Options of `choreo finetune`."""

    frames: int = 100_000
    """Simulator steps in total. [paper]"""
    run_dir: Path = Path("runs/finetune")
    """Folder of the run. The same command again resumes it."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Pre-trained run or snapshot whose model and skills are taken. [paper]"""
    from_scratch: bool = False
    """Control: fresh weights, nothing pre-trained. With --from, the sizes, settings and scale of
    observations of that run. [ours]"""
    freeze_skills: bool = False
    """Train the selector alone and leave the skill policy as it is. [paper]"""
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    @property
    def command(self) -> str:
        return "finetune"

    def agent_config(self) -> AgentConfig:
        """What decides the networks."""
        return AgentConfig(
            model=self.model,
            imagination=self.imagination,
            skills=self.skills,
            adaptation=self.adaptation,
        )


MAY_CHANGE = (
    "frames",
    "threads",
    "run_dir",
    "snapshots",
    "logging",
    "training.parallel",
    "training.evaluate_every",
    "training.evaluate_episodes",
)
"""Options that may differ when a run is resumed; every other one is refused by name."""
