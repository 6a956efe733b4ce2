"""Agents of every kind that can be exported, with recorded steps of theirs."""

import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from toy_agents import CONFIG, SPEC

from choreo.agent import Agent, Parts
from choreo.envs.spaces import ArraySpec
from choreo.export import Extras, Settings, Source, record
from choreo.export.folder import export
from choreo.export.recorded import Recorded
from choreo.export.skills import skills_file
from choreo.export.step import ExportPolicy
from choreo.replay import Replay

SOURCE = Source("toy", "frames_000000080", "ab" * 32)
VECTOR, IMAGE = ArraySpec((4,), "float32"), ArraySpec((3, 32, 32), "uint8")


@dataclass(frozen=True)
class Kind:
    """What an agent sees, what it comes from, and what of it is exported."""

    observations: dict[str, ArraySpec]
    parts: Parts
    policy: ExportPolicy
    standardised: bool = False
    sampled: bool = False

    def agent(self) -> Agent:
        """One with random weights, and actions in units that are not those of agents."""
        spec = replace(
            SPEC, observations=self.observations, action_low=(-2.0, 10.0), action_high=(0.5, 30.0)
        )
        model = replace(CONFIG.model, image_depth=4)
        agent = Agent(spec, replace(CONFIG, model=model), self.parts, seed=3).eval()
        with torch.no_grad():
            for parameter in agent.parameters():  # so that decisions depend on what is seen
                parameter.mul_(2.0 if parameter.dim() > 1 else 1.0)
        if self.standardised:
            vectors = {k: a for k, a in self.observations.items() if not a.is_image}
            random = torch.Generator().manual_seed(0)
            shown = {k: torch.randn(50, *a.shape, generator=random) for k, a in vectors.items()}
            agent.world_model.standardizer.fit({k: v * 5 + 3 for k, v in shown.items()})
        return agent


KEYS = {"skill": VECTOR, "arm/joint.angles": ArraySpec((2,), "float32"), "self": VECTOR}
KINDS = {
    "states": Kind({"observation": VECTOR}, "pretraining", "skill"),
    "states, standardised": Kind({"observation": VECTOR}, "offline", "skill", standardised=True),
    "pixels": Kind({"image": IMAGE}, "pretraining", "skill"),
    "both": Kind({"state": VECTOR, "image": IMAGE}, "adaptation", "task", standardised=True),
    "several keys": Kind(KEYS | {"front": IMAGE, "back": IMAGE}, "adaptation", "skill"),
    "one policy": Kind(KEYS, "task", "task", standardised=True),
    "sampled skills": Kind({"observation": VECTOR}, "pretraining", "skill", sampled=True),
    "sampled choice": Kind({"image": IMAGE}, "adaptation", "task", sampled=True),
}


def toy_recorded(agent: Agent, folder: Path, steps: int = 150) -> Recorded:
    """Random observations of two streams, an episode every 60 steps."""
    arrays, random = agent.spec.observations, np.random.default_rng(1)
    keys = {key: (array.shape, array.dtype) for key, array in arrays.items()}
    replay = Replay(folder, keys | {"is_first": ((), "bool")}, streams=2)
    for stream in range(2):
        taken: dict[str, np.ndarray] = {
            key: random.integers(0, 256, (steps, *array.shape)).astype(np.uint8)
            if array.is_image
            else random.normal(3, 5, (steps, *array.shape)).astype(np.float32)
            for key, array in arrays.items()
        }
        replay.extend(stream, taken | {"is_first": np.arange(steps) % 60 == 0})
    return record(agent, replay, None)


ALONE = """
import runpy, sys
from importlib.abc import MetaPathFinder

class Blocker(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "choreo", "onnx", "scipy"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, sys.argv[1])
runpy.run_path(sys.argv[1] + "/run.py", run_name="__main__")
"""


def run_alone(folder: Path) -> subprocess.CompletedProcess[str]:
    """`python run.py` on a machine that has numpy and onnxruntime alone."""
    command = [sys.executable, "-c", ALONE, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def toy_export(kind: Kind, folder: Path, **settings: Any) -> tuple[Agent, dict[str, Any]]:
    """The agent and the contract of a kind that was exported to `folder`."""
    agent = kind.agent()
    recorded = toy_recorded(agent, folder.with_name(f"{folder.name} replay"))
    extras = Extras(skills_file(SOURCE, agent.num_skills, None))
    told = Settings(kind.policy, kind.sampled, **settings)
    return agent, export(agent, SOURCE, recorded, extras, folder, told)
