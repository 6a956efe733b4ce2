"""How many joints of a MuJoCo model stand at their limits."""

import math
from typing import Any

import numpy as np

NEAR = 0.01  # share of a joint's range within which it is at its limit [ours]
ONE_VALUE = (2, 3)  # MuJoCo's types of joints with one position: slide and hinge


def share_at_limits(model: Any, data: Any) -> float:
    """Share of the limited joints within 1% of a limit or beyond; NaN where none is limited."""
    limited = (np.asarray(model.jnt_limited) != 0) & np.isin(model.jnt_type, ONE_VALUE)
    if not limited.any():
        return math.nan
    low, high = np.asarray(model.jnt_range)[limited].T
    place = np.asarray(data.qpos)[np.asarray(model.jnt_qposadr)[limited]]
    margin = NEAR * (high - low)
    return float(((place <= low + margin) | (place >= high - margin)).mean())


def share_at_limits_of(owner: Any) -> float:
    """The same of anything with MuJoCo's `model` and `data`; NaN for anything else."""
    model, data = getattr(owner, "model", None), getattr(owner, "data", None)
    known = (
        getattr(model, "jnt_range", None) is not None and getattr(data, "qpos", None) is not None
    )
    return share_at_limits(model, data) if known else math.nan
