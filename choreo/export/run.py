"""Replays parity.npz, the agent's own steps, and compares: run me in this folder."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-4  # of the state, and of actions as a share of half their range
TIE = 1e-4  # gap between the two likeliest below which rounding may decide


def replay(policy: Any, parity: dict[str, np.ndarray]) -> dict[str, Any]:
    """Largest differences of a step, each from the state the agent was in, and the near ties.

    By single steps, as a model can make roundings grow; what is remembered is compared as well.
    Raises ValueError where anything but a near tie is decided otherwise or differs too much.
    """
    ends, worst, ties = policy.contract["action"], {"action": 0.0, "deter": 0.0}, []
    half = (np.array(ends["high"]) - np.array(ends["low"])) / 2
    given = {name[6:]: parity[name] for name in parity if name.startswith("input/")}
    for step, margin in enumerate(parity["margin"]):  # (N, choices)
        found = policy.step(**{name: values[step] for name, values in given.items()})
        wanted = {name: parity[f"wanted/{name}"][step] for name in ("action", "deter", "chosen")}
        chosen, kept = found["next_stoch"].argmax(-1), policy.state
        if "skill" in found:
            chosen = np.concatenate([chosen, found["skill"][:, None]], 1)
        other = chosen != wanted["chosen"]
        if (other & (margin >= TIE)).any():
            raise ValueError(f"step {step}: another class or skill is the likeliest, and no tie")
        same = ~other.any(1)
        ties += [[step, int(row)] for row in np.flatnonzero(~same)]
        _, variables, classes = found["next_stoch"].shape
        stoch = np.eye(classes, dtype="float32")[wanted["chosen"][:, :variables]]
        if not (np.abs(kept["stoch"] - stoch)[same] <= TOLERANCE).all():
            raise ValueError(f"step {step}: the classes remembered are not the likeliest")
        action = np.stack([found["action"], kept["previous_action"]], 1) - wanted["action"][:, None]
        deter = kept["deter"] - wanted["deter"]
        for name, gap in (("action", action[same] / half), ("deter", deter)):
            worst[name] = float(np.maximum(worst[name], np.abs(gap).max(initial=0.0)))
        kept |= {"stoch": stoch, "deter": wanted["deter"], "previous_action": wanted["action"]}
    for name, value in worst.items():
        if not value <= TOLERANCE:
            raise ValueError(f"{name} differs by up to {value:.2g}; allowed is {TOLERANCE}")
    steps = [*parity["margin"].shape[:2]]
    return {"steps": steps, "largest_difference": worst, "near_ties": ties}


if __name__ == "__main__":
    try:
        from act import Policy, read_contract  # type: ignore

        folder = Path(__file__).parent
        read_contract(folder)  # compares all hashes, also of what is read next
        parity = dict(np.load(folder / "parity.npz"))
        rows = parity["margin"].shape[1]
        sys.stdout.write(f"as exported: {replay(Policy(folder, rows), parity)}\n")
    except (ValueError, KeyError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
