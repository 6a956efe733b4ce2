"""Every option of every run, as frozen dataclasses: the schema that the command line shows."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from choreo.adaptation import AdaptationConfig
from choreo.agent import AgentConfig, Start
from choreo.envs.spaces import Obs
from choreo.errors import UsageError
from choreo.exploration import ExplorationConfig
from choreo.imagination import ImaginationConfig
from choreo.learning.modes import Mode
from choreo.nn import OptimizerConfig
from choreo.nn.precision import Precision
from choreo.skills import SkillConfig
from choreo.world_model import ModelConfig

PresetName = Literal[
    "paper-states",
    "paper-pixels",
    "paper-metaworld",
    "paper-offline",
    "cpu",
    "laptop",
    "cpu-pixels",
    "debug",
]


@dataclass(frozen=True)
class BatchConfig:
    """What an update learns from."""

    batch: int = 50
    """Sequences in a batch. [paper]"""
    length: int = 50
    """Steps in a sequence. [paper]"""
    sequences: Literal["episode", "stream"] = "episode"
    """Whether a sequence ends with its episode at the latest, so that shorter episodes are left
    out, or runs on into the episode recorded next. [authors]"""


@dataclass(frozen=True)
class TrainingConfig(BatchConfig):
    """Batches, clocks and environments of a run. Clocks count frames."""

    update_every: int = 10
    """Frames between two updates. [authors]"""
    random_frames: int = 4000
    """Frames at the start with random actions (pre-training), or with random skills or what
    `adaptation.search-with` says (fine-tuning). [authors]"""
    environments: int = 1
    """Environments stepped together. [authors: 1]"""
    parallel: bool = False
    """Give each environment a process of its own. [ours]"""
    action_repeat: int | None = None
    """Frames per agent step; None is 1 from states, 2 from pixels and in Meta-World. [URLB]"""
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
    """Gigabytes (10^9 bytes) that are sampled from; beyond, the oldest experience is dropped, and
    its files go once no kept checkpoint needs them. [ours]"""


@dataclass(frozen=True)
class LoggingConfig:
    """What a run writes down. Clocks count frames, or updates where there is no environment."""

    every: int = 1000
    """Frames (offline: updates) between two lines of training metrics. [ours]"""
    checkpoint_every: int = 10_000
    """Frames (offline: updates) between two checkpoints. [ours]"""
    checkpoint_minutes: float = 5.0
    """Minutes after which there is a checkpoint in any case; 0 turns this off. [ours]"""
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
    """Options of everything that trains."""

    preset: PresetName = "paper-states"
    """Named settings that the other options change. [paper-...: paper; the others: ours]"""
    seed: int = 0
    """One seed from which every random stream is derived. [ours]"""
    run_dir: Path
    """Folder of the run. The same command again resumes it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks live; auto takes CUDA when there is one. [ours]"""
    threads: int = 0
    """CPU threads of the networks; 0, or more than there are cores, is one per core. [ours]"""
    precision: Precision = "fp32"
    """Of large products; in bf16 their factors are rounded, everything else stays fp32. [ours]"""
    mode: Mode = "auto"
    """How updates are run: as they are, compiled, as CUDA graphs, or as graphs of compiled steps;
    auto is captured on CUDA and eager on a CPU. [ours]"""
    model: ModelConfig = field(default_factory=ModelConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    skills: SkillConfig = field(default_factory=SkillConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: BatchConfig = field(default_factory=BatchConfig)
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


@dataclass(frozen=True, kw_only=True)
class OnlineConfig(RunConfig):
    """Options of training in an environment, which pre-training and fine-tuning share."""

    env: str
    """Environment: a URLB domain (walker) or task (walker_run), mw_TASK, dmc:DOMAIN-TASK, gym:ID
    or module:factory."""
    obs: Obs = "states"
    """What the agent sees: the environment's own observations, pictures of it, or both."""
    image_size: int = 64
    """Height and width of pictures in pixels: 32, 64 or 128. [paper: 64]"""
    cameras: tuple[str, ...] = ()
    """Names or numbers of the cameras that take the pictures; none given is the domain's own.
    [URLB]"""
    keys: tuple[str, ...] = ()
    """Observations to use, by name; none given is all. [ours]"""
    frames: int
    """Simulator steps in total; an agent step is `training.action-repeat` frames."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)

    @property
    def env_options(self) -> dict[str, Any]:
        """What `choreo.envs.make` takes beside the id."""
        names = ("obs", "image_size", "cameras", "keys")
        t = self.training
        return {name: getattr(self, name) for name in names} | {
            "action_repeat": t.action_repeat,
            "time_limit": t.time_limit,
        }


@dataclass(frozen=True, kw_only=True)
class PretrainConfig(OnlineConfig):
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
class OfflineConfig(RunConfig):
    """Options of `choreo offline`."""

    preset: PresetName = "paper-offline"
    """Named settings that the other options change. [paper-...: paper; the others: ours]"""
    data: Path
    """Recorded data: a file or folder of any kind that `choreo data inspect` reads."""
    spec: Path | None = None
    """JSON file that says what the data do not: action bounds, observations. [ours]"""
    keys: tuple[str, ...] = ()
    """Observations to take from the data, by name; none given is every vector and image. [ours]"""
    map: tuple[str, ...] = ()
    """Arrays of other names, as NAME=NAME: action=actions takes the data's "actions" as action.
    [ours]"""
    clip: bool = False
    """Cut actions beyond declared bounds off, instead of refusing them. [ours]"""
    rescale: bool = False
    """Make all actions smaller until the largest fits declared bounds. [ours]"""
    skip_bad: bool = False
    """Leave out episodes that cannot be used, and count them. [ours]"""
    max_steps: int = 2_000_000
    """Recorded steps to learn from: whole episodes, the first ones, until they hold as many; 0 is
    all. [authors]"""
    updates: int = 200_000
    """Updates in total. [paper]"""
    run_dir: Path = Path("runs/offline")
    """Folder of the run. The same command again resumes it."""
    snapshots: tuple[int, ...] = (10_000, 50_000, 100_000, 200_000)
    """Updates after which the agent is saved for good, in snapshots/. [ours]"""

    @property
    def command(self) -> str:
        return "offline"

    def agent_config(self) -> AgentConfig:
        """What decides the networks."""
        return AgentConfig(model=self.model, imagination=self.imagination, skills=self.skills)


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(OnlineConfig):
    """Options of `choreo finetune`."""

    frames: int = 100_000
    """Simulator steps in total. [paper]"""
    run_dir: Path = Path("runs/finetune")
    """Folder of the run. The same command again resumes it."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Pre-trained run, snapshot or pack whose model and skills are taken. [paper]"""
    start: Start | None = None
    """What begins: the pre-trained skills under a meta-controller; the explorer's actor, fine-tuned
    by itself; a fresh policy on the pre-trained model; or scratch, the architecture of skills with
    nothing pre-trained: with --from, the sizes, settings and scale of observations of that run.
    None is skills. [paper: skills; the others are controls]"""
    from_scratch: bool = False
    """The same as --start scratch. [ours]"""
    freeze_skills: bool = False
    """Train the selector alone and leave the skill policy as it is. [paper]"""
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)

    @property
    def command(self) -> str:
        return "finetune"

    def resolved(self) -> "FinetuneConfig":
        """The same with `start` and `from_scratch` in agreement; refuses what contradicts.

        Turns of the search are left to the skills where there is no explorer beside them.
        """
        if self.from_scratch and self.start not in (None, "scratch"):
            raise UsageError(
                f"--start {self.start} and --from-scratch contradict one another; give one of them"
            )
        start: Start = "scratch" if self.from_scratch else self.start or "skills"
        if self.freeze_skills and start in ("explorer", "model"):
            raise UsageError(
                f"--freeze-skills with --start {start}: no skill acts or learns there; leave it "
                "out, or give --start skills"
            )
        adaptation, search = self.adaptation, self.adaptation.search_with
        may = ("skills", "turns", "random") if start == "scratch" else ("skills", "turns")
        if start != "skills" and search not in may:
            raise UsageError(
                f"--adaptation.search-with {search} with --start {start}: it takes the place of "
                "random skills, and the explorer is there beside pre-trained ones alone; leave it "
                "out, or give --start skills"
            )
        if start != "skills" and search == "turns":
            adaptation = replace(adaptation, search_with="skills")
        return replace(self, start=start, from_scratch=start == "scratch", adaptation=adaptation)

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
    "updates",
    "threads",
    "mode",
    "run_dir",
    "snapshots",
    "logging",
    "training.parallel",
    "training.evaluate_every",
    "training.evaluate_episodes",
)
"""Options that may differ when a run is resumed; every other one is refused by name."""

LATER_OPTIONS = {
    "precision": "fp32",
    "skills.kind": "codebook",
    "exploration.neighbours": 12,
    "training.sequences": "stream",
    "max_steps": 0,
    "keys": [],
    "map": [],
    "clip": False,
    "rescale": False,
    "adaptation.reward_gradient": True,
    "adaptation.reward_weight": 1.0,
    "adaptation.model_waits": False,
    "adaptation.before_reward": "selector",
    "adaptation.search_with": "skills",
    "adaptation.clamp_stops": False,
    "imagination.clamp_stops": False,
    "model.standardize_floor": 0.05,
}
"""Options that older runs do not have, and what those did."""
