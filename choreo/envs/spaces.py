"""What an environment shows and accepts, as plain data that a checkpoint can hold."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from choreo.errors import EnvironmentMismatch, UsageError
from choreo.schema import Listed, Maybe, Named, Whole, problem

ROUNDING = 1e-6  # share by which bounds that agree may differ, as single precision does [ours]
IMAGE_SIZES = (32, 64, 128)  # pixels: what the world model's convolutions take (ours)

# What a step holds beside its observations; an observation of such a name is "observation_NAME".
RESERVED = ("action", "reward", "discount", "is_first", "is_last", "is_terminal")

Obs = Literal["states", "pixels", "both"]
"""What an agent sees: the environment's own observations, pictures of it, or both."""


MOST_VALUES = 2**28  # of one observation [ours]
SPEC = {
    "id": str,
    "observations": Named({"shape": Listed(Whole(1, 2**20), 8), "dtype": ("float32", "uint8")}),
    "action_size": Whole(1, 2**16),
    "action_low": Listed(float),
    "action_high": Listed(float),
    "action_repeat": Whole(1),
    "episode_steps": Maybe(Whole(1)),
    "coordinates": Listed(str),
    "step_seconds": Maybe(float),
    "obs": Maybe(get_args(Obs)),
    "cameras": Maybe(Listed(str)),
    "keys": Maybe(Listed(str)),
    "image_size": Maybe(Whole(1, 2**12)),
}
"""The form of what `EnvSpec.to_json` gives."""


@dataclass(frozen=True)
class ArraySpec:
    """Shape and dtype of one observation: a float32 vector (D,) or a uint8 image (C, H, W)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def is_image(self) -> bool:
        """Whether it is an image and not a vector."""
        return self.dtype == "uint8"

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class EnvSpec:
    """Everything an agent, a replay and a checkpoint need to know of an environment.

    `action_low` and `action_high` are the environment's own bounds; agents act in [-1, 1].
    `episode_steps` is the time limit in agent steps and `step_seconds` the simulated time of one
    agent step; both are None when unknown. `coordinates` names the entries of
    `Environment.coordinates()`. `obs` is what was asked of `make`: the environment's own
    observations ("states"), pictures of `image_size` pixels from `cameras` ("pixels"), or "both";
    `keys` were asked for, all when empty.
    """

    id: str
    observations: dict[str, ArraySpec]
    action_size: int
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    action_repeat: int
    episode_steps: int | None
    coordinates: tuple[str, ...]
    step_seconds: float | None
    obs: Obs = "states"
    cameras: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    image_size: int = 64

    @property
    def images(self) -> dict[str, ArraySpec]:
        """The observations that are images."""
        return {key: array for key, array in self.observations.items() if array.is_image}

    def make_options(self) -> dict[str, Any]:
        """What `make` takes beside the id to give this environment again, apart from its limit."""
        options: dict[str, Any] = {"action_repeat": self.action_repeat}
        if self.obs != "states":
            options |= {"obs": self.obs, "cameras": self.cameras, "image_size": self.image_size}
        return options | {"keys": self.keys}

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, numbers and strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "EnvSpec":
        """Return the spec that `to_json` wrote, also after a round trip through text.

        Raises ValueError for anything else.
        """
        wrong = problem(data, SPEC, "spec") or _uneven(data)
        if wrong:
            raise ValueError(wrong)
        observations = {
            key: ArraySpec(tuple(spec["shape"]), spec["dtype"])
            for key, spec in data["observations"].items()
        }
        names = ("action_low", "action_high", "coordinates", "cameras", "keys")
        tuples = {name: tuple(data[name]) for name in names if name in data}
        return cls(**{**data, **tuples, "observations": observations})

    def require_fit(self, other: "EnvSpec", subject: str) -> None:
        """Refuse an environment whose observations or actions an agent of this spec cannot take.

        `subject` says in a few words what does not fit what. Raises `EnvironmentMismatch`.
        """
        differences = self.compatible_with(other)
        if differences:
            raise EnvironmentMismatch(f"{subject}: {' '.join(differences)}")

    def compatible_with(self, other: "EnvSpec") -> list[str]:
        """Return a sentence for each difference in observations or actions; empty when they fit."""
        return [*self._observation_differences(other), *self._action_differences(other)]

    def _observation_differences(self, other: "EnvSpec") -> list[str]:
        sentences = []
        for key in sorted(self.observations.keys() | other.observations.keys()):
            mine, theirs = self.observations.get(key), other.observations.get(key)
            if mine is None:
                sentences.append(f"{other.id} has the observation '{key}', {self.id} has not.")
            elif theirs is None:
                sentences.append(f"{self.id} has the observation '{key}', {other.id} has not.")
            elif mine != theirs:
                sentences.append(
                    f"The observation '{key}' is {mine} in {self.id} and {theirs} in {other.id}."
                )
        return sentences

    def _action_differences(self, other: "EnvSpec") -> list[str]:
        if self.action_size != other.action_size:
            return [
                f"{self.id} takes {self.action_size} action values, "
                f"{other.id} takes {other.action_size}."
            ]
        sentences = []
        mine, theirs = (one.action_low + one.action_high for one in (self, other))
        if not all(math.isclose(a, b, rel_tol=ROUNDING) for a, b in zip(mine, theirs)):
            sentences.append(
                f"The action bounds of {self.id} and {other.id} differ: {_span(self)} and"
                f" {_span(other)}."
            )
            if self.id.startswith("data:"):
                sentences.append("Learn from the data anew with a --spec that tells the bounds.")
        if self.action_repeat != other.action_repeat:
            sentences.append(
                f"{self.id} repeats each action {self.action_repeat} times, "
                f"{other.id} {other.action_repeat} times."
            )
        return sentences


def _uneven(data: Mapping[str, Any]) -> str | None:
    """What sizes of a spec contradict one another, or are none that memory has."""
    size = data["action_size"]
    for name in ("action_low", "action_high"):
        if len(data[name]) != size:
            return f"spec.{name} has {len(data[name])} entries, action_size is {size}"
    for name, array in data["observations"].items():
        if math.prod(array["shape"]) > MOST_VALUES:
            return f"spec.observations.{name} has more than {MOST_VALUES} values"
    return None


def _span(spec: EnvSpec) -> str:
    """Its action bounds in few words."""
    spans = [f"[{a:.4g}, {b:.4g}]" for a, b in zip(spec.action_low, spec.action_high)]
    return spans[0] if len(set(spans)) == 1 else " x ".join(spans)


def name_nearest_size(size: int) -> int:
    """Return the legal image size (pixels) that is nearest to `size`, the smaller of two."""
    return min(IMAGE_SIZES, key=lambda legal: (abs(legal - size), legal))


def check_image_size(size: int) -> None:
    """Raise `UsageError` with the nearest legal size unless images may be `size` pixels square."""
    if size not in IMAGE_SIZES:
        raise UsageError(
            f"images cannot be {size} x {size}: the world model's convolutions take 32, 64 or 128;"
            f" the nearest is {name_nearest_size(size)}"
        )
