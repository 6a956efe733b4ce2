"""Opens the model of an exported folder, of whichever kind it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from choreo.export.act import Arrays, load_onnx
from choreo.export.graph import FILES, To, need

Load = Callable[[Path, int], Callable[[Arrays], Arrays]]


def loader(to: To) -> Load:
    """What opens a model written for `to`; raises UsageError where its library is missing."""
    if to == "onnx":
        need("onnxruntime")
    return load_onnx if to == "onnx" else load_torch


def loader_of(contract: dict[str, Any]) -> Load:
    """What opens the model that a contract names."""
    return loader("torch" if contract["model"] == FILES["torch"] else "onnx")


def load_torch(path: Path, threads: int) -> Callable[[Arrays], Arrays]:
    """A program of `torch.export` as a function of its inputs by name, in the contract's order."""
    module = torch.export.load(path).module()
    names = ("action", "next_deter", "next_stoch", "skill")

    @torch.no_grad()
    def call(feed: Arrays) -> Arrays:
        outputs = module(*[torch.from_numpy(np.ascontiguousarray(one)) for one in feed.values()])
        return {name: output.numpy() for name, output in zip(names, outputs)}

    return call
