"""Acts with the policy in this folder; needs numpy and onnxruntime alone.

>>> policy = Policy("folder")
>>> action = policy.step(observation=vector, skill=3)["action"]
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

SUMS = "SHA256SUMS"  # the hash of contract.json, which holds those of the other files


class Policy:
    """Takes one step after the other for `rows` robots and remembers what is between them."""

    def __init__(
        self,
        folder: str | Path,
        rows: int = 1,
        threads: int = 1,
        load: Callable[[Path, int], Callable[[Arrays], Arrays]] | None = None,
    ) -> None:
        self.folder, self.rows = Path(folder), rows
        self.contract = read_contract(self.folder)
        self.call = (load or load_onnx)(self.folder / self.contract["model"], threads)
        self.state: Arrays = {}
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next step begins an episode in every row."""
        for port in self.contract["inputs"]:
            if port["role"] == "state":
                shape = (self.rows, *port["shape"])
                self.state[port["name"]] = np.zeros(shape, port["dtype"])
        self.state["is_first"] = np.ones(self.rows, bool)

    def step(self, /, **given: Any) -> Arrays:
        """All outputs for the inputs that are no state, each (rows, shape), or (shape) for one row.

        `is_first` says in which rows an episode begins; after `reset` all do. Raises ValueError for
        what does not fit or is not finite; the policy then is as it was before.
        """
        inputs = {**self.state, **given}
        unknown = given.keys() - {port["name"] for port in self.contract["inputs"]}
        if unknown:
            raise ValueError(f"this policy has no input {', '.join(map(repr, sorted(unknown)))}")
        outputs = self.call({p["name"]: self.checked(inputs, p) for p in self.contract["inputs"]})
        if not np.isfinite(outputs["action"]).all():
            raise ValueError(f"the action {outputs['action'].tolist()} is not finite")
        self.state = {name: outputs[of] for name, of in self.contract["feedback"].items()}
        self.state["is_first"] = np.zeros(self.rows, bool)
        return outputs

    def checked(self, inputs: Mapping[str, Any], port: Mapping[str, Any]) -> np.ndarray:
        """An input as the model takes it."""
        name, shape, dtype = port["name"], tuple(port["shape"]), np.dtype(port["dtype"])
        if name not in inputs:
            raise ValueError(f"the input {name!r} is missing; found {', '.join(sorted(inputs))}")
        value = np.asarray(inputs[name])
        value = value[None] if self.rows == 1 and value.shape == shape else value
        if value.shape != (self.rows, *shape):
            raise ValueError(f"{name!r} has shape {value.shape}; wanted is {(self.rows, *shape)}")
        if not np.can_cast(value.dtype, dtype, "safe" if dtype.itemsize == 1 else "same_kind"):
            raise ValueError(f"{name!r} is {value.dtype}; wanted is {dtype}")
        if port["role"] == "skill" and not 0 <= value.min() <= value.max() < port["below"]:
            raise ValueError(f"skill {value.tolist()} does not exist; there are {port['below']}")
        with np.errstate(over="ignore"):
            value = np.ascontiguousarray(value, dtype)
        if not np.isfinite(value).all():
            raise ValueError(f"{name!r} holds NaN or infinity")
        return value


def read_contract(folder: Path) -> dict[str, Any]:
    """contract.json; raises ValueError where a file of the folder is not what was exported."""
    text = (folder / "contract.json").read_bytes()
    if (folder / SUMS).read_text(encoding="utf-8").split()[:1] != [
        hashlib.sha256(text).hexdigest()
    ]:
        raise ValueError(f"{folder / 'contract.json'} is not what was exported; see {SUMS}")
    contract = json.loads(text)
    skills = json.loads((folder / "skills.json").read_text(encoding="utf-8"))
    try:
        of, files = contract["checkpoint"]["sha256"], contract["files"].items()
        other = skills["checkpoint"]["sha256"] != of
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"contract.json or skills.json in {folder} is not what was exported"
        ) from error
    if other:
        raise ValueError(f"{folder / 'skills.json'} is of another checkpoint than contract.json")
    for name, wanted in files:
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != wanted:
            raise ValueError(f"{folder / name} is not what was exported: its hash is another one")
    return contract


def load_onnx(path: Path, threads: int) -> Callable[[Arrays], Arrays]:
    """An ONNX file as a function of its inputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def call(feed: Arrays) -> Arrays:
        return {name: np.asarray(one) for name, one in zip(names, session.run(names, feed))}

    return call
