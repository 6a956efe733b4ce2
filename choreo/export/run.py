"""Replays parity.npz, the agent's own steps, and compares: run me in this folder."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # of the state, and of actions as a share of half their range
TIE = 1e-4  # gap between the two likeliest below which rounding may decide


def replay(policy: Any, parity: dict[str, np.ndarray]) -> dict[str, Any]:
    """Largest differences and the near ties; the policy carries its own state all along.

    Where rounding decided a near tie otherwise, the policy goes on from the agent's own state.
    Raises ValueError where anything else is decided otherwise.
    """
    ends = policy.contract["action"]
    half = (np.array(ends["high"]) - np.array(ends["low"])) / 2
    given = [name for name in parity if name.startswith("input/")]
    worst, ties = {"action": 0.0, "deter": 0.0}, []
    for step, margin in enumerate(parity["margin"]):  # (N, choices)
        found = policy.step(**{name.removeprefix("input/"): parity[name][step] for name in given})
        wanted = {name: parity[f"wanted/{name}"][step] for name in ("action", "deter", "chosen")}
        chosen = found["next_stoch"].argmax(-1)
        if "skill" in found:
            chosen = np.concatenate([chosen, found["skill"][:, None]], 1)
        other = chosen != wanted["chosen"]
        if (other & (margin >= TIE)).any():
            raise ValueError(f"step {step}: another class or skill is the likeliest, and no tie")
        same = ~other.any(1)
        ties += [[step, int(row)] for row in np.flatnonzero(~same)]
        gaps = np.abs(found["action"] - wanted["action"])[same] / half
        worst["action"] = float(np.maximum(worst["action"], gaps.max(initial=0.0)))
        gaps = np.abs(found["next_deter"] - wanted["deter"])
        worst["deter"] = float(np.maximum(worst["deter"], gaps.max()))
        classes = np.arange(found["next_stoch"].shape[-1])
        likeliest = wanted["chosen"][:, : found["next_stoch"].shape[1], None] == classes
        policy.state["stoch"][~same] = likeliest[~same]
        policy.state["previous_action"][~same] = wanted["action"][~same]
    for name, value in worst.items():
        if not value <= TOLERANCE:
            raise ValueError(f"{name} differs by up to {value:.2g}; allowed is {TOLERANCE}")
    steps = list(parity["margin"].shape[:2])
    return {"steps": steps, "largest_difference": worst, "near_ties": ties}


if __name__ == "__main__":
    try:
        from act import Policy, read_contract  # type: ignore

        folder = Path(__file__).parent
        read_contract(folder)  # compares all hashes, also of what is read next
        parity = dict(np.load(folder / "parity.npz"))
        rows = parity["margin"].shape[1]
        sys.stdout.write(f"as exported: {replay(Policy(folder, rows), parity)}\n")
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
