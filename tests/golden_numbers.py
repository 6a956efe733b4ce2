"""Golden numbers: files in tests/golden, and how their weights map onto this project's modules."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, Tensor]:
    """All arrays of a golden file as tensors."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as data:
        return {key: torch.as_tensor(data[key]) for key in data.files}


def put(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights, every one of them and no other."""
    module.load_state_dict(weights, strict=True)


def mlp_weights(
    data: dict[str, Tensor], prefix: str, layers: int, output: str
) -> dict[str, Tensor]:
    """Weights of an authors' MLP (dense0, norm0._layer, ...) under this project's names."""
    weights = {}
    for i in range(layers):
        for kind in ("weight", "bias"):
            weights[f"linears.{i}.{kind}"] = data[f"{prefix}.dense{i}.{kind}"]
            norm = f"{prefix}.norm{i}._layer.{kind}"
            if norm in data:
                weights[f"norms.{i}.{kind}"] = data[norm]
    if output:
        for kind in ("weight", "bias"):
            weights[f"output.{kind}"] = data[f"{prefix}.{output}.{kind}"]
    return weights


def sequential_weights(data: dict[str, Tensor], prefix: str, layers: int) -> dict[str, Tensor]:
    """Weights of an authors' sequence of [linear, norm, ELU] under this project's names."""
    weights = {}
    for i in range(layers):
        for kind in ("weight", "bias"):
            weights[f"linears.{i}.{kind}"] = data[f"{prefix}.{3 * i}.{kind}"]
            weights[f"norms.{i}.{kind}"] = data[f"{prefix}.{3 * i + 1}._layer.{kind}"]
    return weights
