"""Random streams with names, all from one seed, that can be saved and put back."""

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from choreo.errors import CheckpointError, UsageError


def derive_seed(seed: int, *path: str | int) -> int:
    """A seed of 63 bits for what `path` names; the same on every machine and in every process.

    Raises:
        UsageError: the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"The seed is {seed}; wanted is 0 or more.")
    entropy = [seed, *(_number(part) for part in path)]
    low, high = np.random.SeedSequence(entropy).generate_state(2, np.uint32).tolist()
    return (high << 32 | low) >> 1


def episode_seed(seed: int, *path: str | int) -> int:
    """A seed for an episode of an environment, below 2**31.

    Many simulators hold seeds in 32 bits, some of them with a sign.
    """
    return derive_seed(seed, *path) % 2**31


class Streams:
    """Named random generators; asking twice for a name gives the same object.

    What one name draws never depends on which other names exist or were asked for first.
    """

    def __init__(self, seed: int) -> None:
        derive_seed(seed)  # refuses a bad seed now
        self.seed = seed
        self._numpy: dict[str, np.random.Generator] = {}
        self._torch: dict[str, torch.Generator] = {}

    def numpy(self, name: str) -> np.random.Generator:
        """The numpy generator called `name`."""
        if name not in self._numpy:
            bits = np.random.PCG64(derive_seed(self.seed, "numpy", name))
            self._numpy[name] = np.random.Generator(bits)
        return self._numpy[name]

    def torch(self, name: str, device: str | torch.device = "cpu") -> torch.Generator:
        """The torch generator called `name`, on `device`.

        Raises:
            CheckpointError: it exists already, on another kind of device.
        """
        if name not in self._torch:
            generator = torch.Generator(device)
            self._torch[name] = generator.manual_seed(derive_seed(self.seed, "torch", name))
        generator = self._torch[name]
        if generator.device.type != torch.device(device).type:
            raise CheckpointError(
                f"The random stream '{name}' lives on {generator.device.type} and was asked for on "
                f"{torch.device(device).type}. Go on with the device the run was started with."
            )
        return generator

    def state(self) -> dict[str, Any]:
        """Everything about the streams as JSON values."""
        return {
            "seed": self.seed,
            "numpy": {name: rng.bit_generator.state for name, rng in self._numpy.items()},
            "torch": {name: _torch_state(rng) for name, rng in self._torch.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put every stream where `state` has it; those it does not name start anew.

        Objects handed out before stay valid and change in place.

        Raises:
            CheckpointError: the state is of another seed or of a device that is not here.
        """
        if state["seed"] != self.seed:
            raise CheckpointError(
                f"The recorded random streams are of seed {state['seed']}, the run's seed is "
                f"{self.seed}. Give the seed the run was started with."
            )
        for name, rng in self._numpy.items():
            rng.bit_generator.state = np.random.PCG64(derive_seed(self.seed, "numpy", name)).state
        for name, generator in self._torch.items():
            generator.manual_seed(derive_seed(self.seed, "torch", name))
        for name, recorded in state["numpy"].items():
            self.numpy(name).bit_generator.state = recorded
        for name, recorded in state["torch"].items():
            self._restore_torch(name, recorded)

    def _restore_torch(self, name: str, recorded: Mapping[str, str]) -> None:
        if recorded["device"] != "cpu" and not torch.cuda.is_available():
            raise CheckpointError(
                f"The random stream '{name}' was recorded on {recorded['device']}, which is not "
                "here. Go on with the run on a machine with that kind of device."
            )
        data = np.frombuffer(base64.b64decode(recorded["state"]), np.uint8).copy()
        self.torch(name, recorded["device"]).set_state(torch.from_numpy(data))


def _number(part: str | int) -> int:
    """A number for one part of a path; "1" and 1 give different ones."""
    text = f"{type(part).__name__}:{part}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")


def _torch_state(generator: torch.Generator) -> dict[str, str]:
    data = generator.get_state().numpy().tobytes()
    return {"device": generator.device.type, "state": base64.b64encode(data).decode("ascii")}
