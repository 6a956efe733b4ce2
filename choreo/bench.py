"""What an update costs: time by part, memory, and the distance to the machine's matrix rate."""

import resource
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from choreo.agent import Agent
from choreo.config import FinetuneConfig, PresetName, PretrainConfig
from choreo.envs.spaces import ArraySpec, EnvSpec, Obs
from choreo.learner import Learner, adaptation_learner, pretraining_learner
from choreo.presets import apply_preset
from choreo.runtime import choose_device, set_threads
from choreo.world_model import Batch


@dataclass(frozen=True)
class BenchConfig:
    """Options of `choreo bench update`."""

    preset: PresetName = "cpu"
    """Sizes to measure."""
    phase: Literal["pretrain", "finetune"] = "pretrain"
    """Which update: of pre-training, or of fine-tuning with the meta-controller."""
    updates: int = 10
    """Updates that count, after one that warms up."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks live."""
    threads: int = 0
    """CPU threads; 0 is what the preset says."""
    observation_size: int = 24
    """Entries of the random vectors that presets from states look at (walker has 24)."""
    image_size: int = 64
    """Height and width of the random images that presets from pixels look at."""
    action_size: int = 6
    """Entries of the random actions (walker has 6)."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class UpdateCost:
    """Medians of one run. Times in milliseconds, memory in 10^9 bytes, rates in 10^9 FLOP/s."""

    preset: str
    phase: str
    device: str
    precision: str
    mode: str
    threads: int
    updates: int
    ms_per_update: float
    updates_per_second: float
    samples_per_second: float
    parts: dict[str, float]
    peak_memory_gb: float
    flops_per_update: float
    matrix_gflops: float
    fraction_of_limit: float
    sizes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All fields as plain values."""
        return asdict(self)


class PartTimer:
    """Collects the time of every named part of every update, in seconds."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def medians(self) -> dict[str, float]:
        """Median milliseconds of every part; the entropy reward is taken out of the skills."""
        parts = {name: 1000 * statistics.median(times) for name, times in self.seconds.items()}
        if "entropy_reward" in parts:
            parts["skills"] -= parts["entropy_reward"]
        return parts


def bench_update(config: BenchConfig) -> UpdateCost:
    """Measure updates on random batches of the preset's size."""
    run = _run_config(config)
    threads = set_threads(config.threads or run.threads)
    device = choose_device(config.device)
    learner = _learner(config, run, device)
    batch = _batch(config, run, device)
    learner.update(batch)  # warm-up: allocations, caches
    timer = PartTimer(device)
    learner.timer = timer
    for _ in range(config.updates):
        with timer("update"):
            learner.update(batch)
    medians = timer.medians()
    total = medians.pop("update")
    flops, rate = _flops(learner, batch), matrix_gflops(device)
    steps = run.training.batch * run.training.length
    return UpdateCost(
        preset=config.preset,
        phase=config.phase,
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        precision="fp32",
        mode="eager",
        threads=threads,
        updates=config.updates,
        ms_per_update=total,
        updates_per_second=1000 / total,
        samples_per_second=1000 * steps / total,
        parts=medians,
        peak_memory_gb=_peak_memory_gb(device),
        flops_per_update=flops,
        matrix_gflops=rate,
        fraction_of_limit=flops / 1e6 / total / rate,
        sizes={
            "batch": run.training.batch,
            "length": run.training.length,
            "horizon": run.imagination.horizon,
            "particles": (run.imagination.starts or steps) * (run.imagination.horizon + 1),
            "codes": run.skills.codes,
        },
    )


def matrix_gflops(device: torch.device, size: int = 2048, repeats: int = 5) -> float:
    """The machine's rate for a square product in the update's precision: the limit to aim at."""
    a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    timer = PartTimer(device)
    for _ in range(repeats + 1):
        with timer("product"):
            torch.mm(a, b)
    return 2 * size**3 / min(timer.seconds["product"]) / 1e9


def _run_config(config: BenchConfig) -> PretrainConfig | FinetuneConfig:
    kind = PretrainConfig if config.phase == "pretrain" else FinetuneConfig
    return apply_preset(kind(env="random"), config.preset)


def _observations(config: BenchConfig, obs: Obs) -> dict[str, ArraySpec]:
    """What the preset's agent looks at: a vector, an image, or both."""
    size = config.image_size
    vector = {"observation": ArraySpec((config.observation_size,), "float32")}
    image = {"image": ArraySpec((3, size, size), "uint8")}
    return {"states": vector, "pixels": image, "both": vector | image}[obs]


def _learner(
    config: BenchConfig, run: PretrainConfig | FinetuneConfig, device: torch.device
) -> Learner:
    actions = config.action_size
    spec = EnvSpec(
        id="random",
        observations=_observations(config, run.obs),
        action_size=actions,
        action_low=(-1.0,) * actions,
        action_high=(1.0,) * actions,
        action_repeat=1,
        episode_steps=1000,
        coordinates=(),
        step_seconds=None,
        obs=run.obs,
    )
    pretraining = config.phase == "pretrain"
    agent = Agent(spec, run.agent_config(), "pretraining" if pretraining else "adaptation")
    make = pretraining_learner if pretraining else adaptation_learner
    return make(agent.to(device), run.optimizer, torch.Generator(device).manual_seed(0))


def _batch(
    config: BenchConfig, run: PretrainConfig | FinetuneConfig, device: torch.device
) -> Batch:
    shape = (run.training.batch, run.training.length)
    random = torch.Generator(device).manual_seed(0)
    flags = torch.zeros(shape, dtype=torch.bool, device=device)
    is_first = flags.clone()
    is_first[:, 0] = True
    observation = {
        key: _noise(array, shape, random) for key, array in _observations(config, run.obs).items()
    }
    action = torch.rand(*shape, config.action_size, generator=random, device=device) * 2 - 1
    reward = torch.zeros(shape, device=device)
    return Batch(observation, action, reward, is_first, flags)


def _noise(array: ArraySpec, shape: tuple[int, int], random: torch.Generator) -> torch.Tensor:
    full = (*shape, *array.shape)
    if array.is_image:
        options = {"dtype": torch.uint8, "device": random.device, "generator": random}
        return torch.randint(0, 256, full, **options)
    return torch.randn(full, generator=random, device=random.device)


def _flops(learner: Learner, batch: Batch) -> float:
    """Dense floating-point operations of one update, counted in the products it asks for.

    The counter sees every product, also those that chunks do for their gradients as they go.
    """
    counter = FlopCounterMode(display=False)
    with counter:
        learner.update(batch)
    return float(counter.get_total_flops())


def _peak_memory_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
