"""README.md of an exported folder: what it is, how to run it, what was and was not tried."""

from collections.abc import Mapping
from typing import Any

ONNX = """## Run it

On any machine with Python, numpy and onnxruntime:

```bash
pip install numpy onnxruntime
python run.py
```

`run.py` replays `parity.npz`, the agent's own steps, and compares. In a control loop:

```python
from act import Policy

policy = Policy(".")  # checks the hashes of all files
while True:
    given = {{{given}}}  # see "inputs" in contract.json
    action = policy.step(**given)["action"]  # in the environment's own units
```

`policy.reset()` begins an episode. What is refused (a missing input, another shape, NaN) leaves the
policy as it was.
"""
TORCH = """## Run it

`policy.pt2` is a program of `torch.export`. It takes and returns tensors in the order of "inputs"
and "outputs" in `contract.json`, each with a first axis of any length:

```python
import torch

step = torch.export.load("policy.pt2").module()
```

Inputs of the role "state" are zeros at first and `is_first` is true; then they are the outputs that
"feedback" names, and `is_first` is false.
"""


def readme(contract: Mapping[str, Any], skills: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    source, run = contract["checkpoint"], ONNX if contract["opset"] else TORCH
    given = ", ".join(
        f'"{port["name"]}": ...'
        for port in contract["inputs"]
        if port["role"] not in ("state", "is_first")
    )
    who = "what was fine-tuned on a task" if contract["policy"] == "task" else "its skills"
    return "\n".join(
        [
            f"# A policy for {contract['environment']['id']}",
            "",
            f"Exported by choreo {contract['versions']['choreo']} from the checkpoint "
            f"`{source['checkpoint']}` of the run `{source['run']}`; {who}, one step with explicit "
            "state. `contract.json` names every input and output, `skills.json` what is known of "
            "every skill.",
            "",
            run.format(given=given) if contract["opset"] else run,
            "## What was tried",
            "",
            *_tried(contract),
            "",
            "## What was not tried",
            "",
            *_not_tried(contract, skills),
            "",
        ]
    )


def _tried(contract: Mapping[str, Any]) -> list[str]:
    parity, times = contract["parity"], contract["latency_ms"]
    steps, rows = parity["steps"]
    worst, ties = parity["largest_difference"], parity["near_ties"]
    shown = {
        name: f"{t['p50']:.2f} ms (median), {t['p99']:.2f} ms (p99)" for name, t in times.items()
    }
    runtime = "onnxruntime" if contract["opset"] else "the exported program"
    return [
        f"* PyTorch and {runtime} on {steps} steps of {rows} rows, from {parity['source']}, with "
        f"{parity['resets']} resets and {parity['skill_switches']} skill switches, each step from "
        f"equal states: actions differ by at most {worst['action']:.1e} of half their range, the "
        f"state by {worst['deter']:.1e}; allowed are {parity['tolerance']:.0e}.",
        f"* {together(parity)}",
        f"* The likeliest classes and skills were equal in all steps but {len(ties)} near ties "
        f"(gap below {parity['tie']:.0e})."
        if ties
        else "* The likeliest classes and skills were equal in all steps.",
        f"* One call with one row and one thread, on the machine that exported: "
        f"{shown['exported']}; `Session.act` there: {shown['Session.act']}.",
    ]


def together(parity: Mapping[str, Any]) -> str:
    """How long the policy acts as the agent when both carry on their own state, in words."""
    kept, apart = parity["steps_together"], f"{parity['apart']:.0%} of half their range"
    if kept is None:
        return f"With its own state carried on, its actions stay within {apart} of the agent's."
    return (
        f"With its own state carried on, its actions are the agent's for {kept} steps or more, and "
        f"then can be more than {apart} away: in the loop of state and action roundings grow. Both "
        "are right. Episodes differ; compare means."
    )


def _not_tried(contract: Mapping[str, Any], skills: Mapping[str, Any]) -> list[str]:
    state = (
        "The agent samples its state in training and in `choreo evaluate`; this policy goes on "
        "with the likeliest one. How well it plays so was not measured here: `choreo evaluate` "
        "on this folder does that."
    )
    measured = "" if skills["measured"] else f"* Skills: {skills['how']}.\n"
    return [
        *([] if contract["sampled"] else [f"* {state}"]),
        "* Any runtime, processor or precision but the one above: GPUs, ARM, TensorRT, float16.",
        "* Any robot. Nothing here limits force, speed or place; see `skills.json` for what is "
        "known of falls and limits in the simulator.",
        *([measured.rstrip()] if measured else []),
        "* Observations that differ from those of training: other cameras, delays, noise.",
    ]
