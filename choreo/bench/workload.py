"""What is measured: an agent of a preset's sizes, its learner, and random numbers for it."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from choreo.adaptation import AdaptationConfig
from choreo.agent import Agent, AgentConfig
from choreo.bench.machine import at_least, device_name, machine
from choreo.config import LoggingConfig, PresetName, RunConfig
from choreo.envs.spaces import IMAGE_SIZES, ArraySpec, EnvSpec, Obs
from choreo.errors import UsageError
from choreo.exploration import ExplorationConfig
from choreo.learning.learner import Learner, adaptation_learner, pretraining_learner
from choreo.learning.modes import Mode, choose_mode
from choreo.runtime import choose_device
from choreo.training.run import check_least
from choreo.world_model import Batch

PhaseName = Literal["pretrain", "finetune"]


@dataclass(frozen=True, kw_only=True)
class BenchConfig(RunConfig):
    """Options of every measurement of an agent: the sizes of a run, whatever preset they are of."""

    preset: PresetName = "cpu"
    """Sizes to measure; the other options change them."""
    phase: PhaseName = "pretrain"
    """Whose agent and update: of pre-training, or of fine-tuning with the meta-controller."""
    obs: Obs = "states"
    """What the agent sees: random vectors, random images, or both."""
    observation_size: int = 24
    """Entries of the random vectors (walker has 24)."""
    image_size: int = 64
    """Height and width of the random images: 32, 64 or 128."""
    action_size: int = 6
    """Entries of the random actions (walker has 6)."""
    exploration: ExplorationConfig = field(default_factory=ExplorationConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    run_dir: Annotated[Path, tyro.conf.Suppress] = Path()
    """Not used: a measurement keeps nothing."""
    logging: Annotated[LoggingConfig, tyro.conf.Suppress] = field(default_factory=LoggingConfig)
    json: bool = False
    """Print JSON instead of a table."""

    def agent_config(self) -> AgentConfig:
        """What decides the networks."""
        return AgentConfig(
            model=self.model,
            imagination=self.imagination,
            exploration=self.exploration,
            skills=self.skills,
            adaptation=self.adaptation,
        )

    @property
    def sizes(self) -> dict[str, int]:
        """The sizes that the cost of an update hangs on, by name."""
        steps, starts = self.training.batch * self.training.length, self.imagination.starts
        starts = min(starts or steps, steps)
        return {
            "batch": self.training.batch,
            "length": self.training.length,
            "horizon": self.imagination.horizon,
            "starts": starts,
            "particles": starts * (self.imagination.horizon + 1),
            "codes": self.skills.codes,
        }

    def check(self) -> None:
        """Raise UsageError for sizes that leave nothing to measure, and modes that cannot be."""
        check_least(self)
        choose_mode(self.mode, choose_device(self.device))
        at_least("observation-size", self.observation_size, 1)
        at_least("action-size", self.action_size, 1)
        if self.image_size not in IMAGE_SIZES:
            known = ", ".join(map(str, IMAGE_SIZES))
            raise UsageError(f"--image-size {self.image_size}: wanted is one of {known}")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was measured, and on what: `device` is "cpu" or the name of a CUDA device."""

    preset: str
    phase: str
    obs: str
    sizes: dict[str, int]
    device: str
    machine: str
    precision: str
    mode: str
    threads: int

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


def settings(config: BenchConfig, device: torch.device, threads: int) -> dict[str, Any]:
    """The entries of a `Report` that the configuration and the machine tell."""
    return {
        "preset": config.preset,
        "phase": config.phase,
        "obs": config.obs,
        "sizes": config.sizes,
        "device": device_name(device),
        "machine": machine(),
        "precision": config.precision,
        "mode": choose_mode(config.mode, device),
        "threads": threads,
    }


def make_agent(config: BenchConfig, device: torch.device, phase: PhaseName | None = None) -> Agent:
    """An untrained agent of the sizes in `config`, of its phase or of another."""
    parts = "pretraining" if (phase or config.phase) == "pretrain" else "adaptation"
    return Agent(random_spec(config), config.agent_config(), parts, config.seed).to(device)


def make_learner(config: BenchConfig, device: torch.device, mode: Mode | None = None) -> Learner:
    """The learner of a fresh agent, in the mode of `config` or another."""
    make = pretraining_learner if config.phase == "pretrain" else adaptation_learner
    generator = torch.Generator(device).manual_seed(config.seed)
    agent = make_agent(config, device)
    return make(
        agent, config.optimizer, generator, mode=mode or config.mode, precision=config.precision
    )


def random_spec(config: BenchConfig) -> EnvSpec:
    """An environment that there is not, which shows what `config` says."""
    actions, size = config.action_size, config.image_size
    vector = {"observation": ArraySpec((config.observation_size,), "float32")}
    image = {"image": ArraySpec((3, size, size), "uint8")}
    return EnvSpec(
        id="random",
        observations={"states": vector, "pixels": image, "both": vector | image}[config.obs],
        action_size=actions,
        action_low=(-1.0,) * actions,
        action_high=(1.0,) * actions,
        action_repeat=1,
        episode_steps=1000,
        coordinates=(),
        step_seconds=None,
        obs=config.obs,
        image_size=size,
    )


def random_batch(config: BenchConfig, device: torch.device) -> Batch:
    """A batch (B, T, ...) of noise on the device, every sequence the start of an episode."""
    shape = (config.training.batch, config.training.length)
    random = torch.Generator(device).manual_seed(config.seed)
    flags = torch.zeros(shape, dtype=torch.bool, device=device)
    is_first = flags.clone()
    is_first[:, 0] = True
    action = torch.rand(*shape, config.action_size, generator=random, device=device) * 2 - 1
    reward = torch.zeros(shape, device=device)
    return Batch(random_observation(config, shape, random), action, reward, is_first, flags)


def random_observation(
    config: BenchConfig, shape: tuple[int, ...], random: torch.Generator
) -> dict[str, torch.Tensor]:
    """Noise for every observation of the agent, (*shape, ...), where `random` is."""
    arrays = random_spec(config).observations
    return {key: _noise(array, shape, random) for key, array in arrays.items()}


def _noise(array: ArraySpec, shape: tuple[int, ...], random: torch.Generator) -> torch.Tensor:
    full = (*shape, *array.shape)
    if array.is_image:
        options: dict[str, Any] = {"dtype": torch.uint8, "device": random.device}
        return torch.randint(0, 256, full, generator=random, **options)
    return torch.randn(full, generator=random, device=random.device)
