"""An exported folder that plays in environments as an agent does."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from choreo.agent import RowStreams
from choreo.envs.spaces import EnvSpec
from choreo.errors import CheckpointError, NotFinite, UsageError
from choreo.export.act import Policy
from choreo.export.contract import FORMAT
from choreo.export.load import loader_of
from choreo.record.pack import CONTRACT
from choreo.runtime import usable_cores


def is_exported(folder: Path) -> bool:
    """Whether a folder is one that `export` wrote."""
    return (Path(folder) / CONTRACT).is_file()


class Exported:
    """What stands for the agent: its spec, skills and sessions. It has no codebook.

    `threads` 0 is one, and from pixels one per core. Raises CheckpointError where a file is not
    what was exported, by its name, and UsageError where onnxruntime is missing.
    """

    skills = None

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.folder = Path(folder)
        try:
            self.contract = json.loads((self.folder / CONTRACT).read_text(encoding="utf-8"))
            if self.contract["format"] != FORMAT:
                raise ValueError(f"its format is {self.contract['format']}, known is {FORMAT}")
            self.spec = EnvSpec.from_json(self.contract["spec"])
            self.threads = threads or (usable_cores() if self.spec.images else 1)
            self._load = loader_of(self.contract)
            self._policy(1)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{folder} is no intact export: {error}. Export again") from error

    @property
    def num_skills(self) -> int:
        """Number of skills."""
        return int(self.contract["skills"])

    @property
    def plays_task(self) -> bool:
        """Whether the policy "task" acts; otherwise a skill does."""
        return self.contract["policy"] == "task"

    @property
    def sampled(self) -> bool:
        """Whether states and actions are drawn from noise."""
        return bool(self.contract["sampled"])

    def session(self, num: int) -> "ExportedSession":
        """Start acting in `num` environments."""
        return ExportedSession(self, self._policy(num))

    def _policy(self, rows: int) -> Policy:
        return Policy(self.folder, rows, self.threads, self._load)


class ExportedSession:
    """Acts as a session of the agent does: actions in [-1, 1] for environments of this house."""

    def __init__(self, exported: Exported, policy: Policy) -> None:
        self.exported, self.policy = exported, policy
        ports = {port["name"]: port for port in policy.contract["inputs"]}
        self._names = {p["key"]: p["name"] for p in ports.values() if p["role"] == "observation"}
        self._noise = [name for name, port in ports.items() if port["role"] == "noise"]
        variables, actions = ports["stoch"]["shape"][0], ports["previous_action"]["shape"][0]
        self._streams = RowStreams(policy.rows, variables, actions)
        self._ends = [np.array(policy.contract["action"][end]) for end in ("low", "high")]
        self.choice: np.ndarray | None = None

    def seed_row(self, row: int, seed: int) -> None:
        """Start a row's stream of noise anew; without effect where nothing is drawn."""
        self._streams.begin(row, seed)

    def act(
        self,
        observation: dict[str, np.ndarray],
        skill: np.ndarray | None,
        policy: str,
        sample: bool,
        is_first: np.ndarray,
    ) -> np.ndarray:
        """Actions (num, A) float32 in [-1, 1]; see `Session.act`.

        Raises UsageError for a policy other than the exported one, NotFinite for NaN.
        """
        contract = self.policy.contract
        if policy != contract["policy"] or (sample and not self.exported.sampled):
            raise UsageError(
                f"{self.exported.folder} holds the policy {contract['policy']!r}, "
                f"{'sampled' if self.exported.sampled else 'its mean'}; asked for was {policy!r}"
            )
        given: dict[str, Any] = {name: observation[key] for key, name in self._names.items()}
        drawn = self._streams.draw().by_name()
        given |= {name: drawn[name].numpy() for name in self._noise}
        given |= {"skill": skill} if policy == "skill" else {}
        try:
            outputs = self.policy.step(is_first=is_first, **given)
        except ValueError as error:
            raise NotFinite(f"{self.exported.folder}: {error}") from error
        self.choice = outputs.get("skill")
        low, high = self._ends
        return np.clip((outputs["action"] - low) / (high - low) * 2 - 1, -1, 1).astype(np.float32)
