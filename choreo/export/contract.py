"""contract.json: everything that whoever calls the exported policy has to know."""

from dataclasses import asdict, dataclass
from typing import Any

from choreo import __version__
from choreo.agent import Agent
from choreo.export.graph import FILES, To
from choreo.export.step import FEEDBACK, PolicyStep, Port
from choreo.record.machine import versions_of

FORMAT = 1
PACKAGES = ("torch", "numpy", "onnx", "onnxscript", "onnxruntime")
RESET = (
    "Where an episode begins, is_first is true for that row; deter, stoch and previous_action of "
    "that row then do not count, but they must be finite: zeros will do."
)
ORDER = "(rows, C, H, W): channels first, uint8 from 0 to 255"
OWN_IMAGES = "red, green, blue of each camera in turn, the upper row first, as the simulator draws"
THEIR_IMAGES = "channels and rows as the environment gave them in training"
OUTSIDE = (
    "the camera and its resizing to the size asked for",
    "filters of sensors, and joining them to the vectors asked for",
    "repeating an action for `action_repeat` simulator steps",
    "any limit of safety beyond the action bounds",
)


@dataclass(frozen=True)
class Source:
    """Which agent was exported: names of run and checkpoint, and the hash of its weights."""

    run: str
    checkpoint: str
    sha256: str


def contract(
    step: PolicyStep, source: Source, to: To, opset: int, time_limit: int | None
) -> dict[str, Any]:
    """The contract as plain values, without hashes of files and what was measured."""
    agent = step.agent
    return {
        "format": FORMAT,
        "model": FILES[to],
        "opset": opset if to == "onnx" else None,
        "checkpoint": asdict(source),
        "policy": step.policy,
        "sampled": step.sampled,
        "skills": agent.num_skills,
        "inputs": [_described(port, step) for port in step.inputs],
        "outputs": [_described(port, step) for port in step.outputs],
        "feedback": FEEDBACK,
        "reset": RESET,
        "action": _action(agent),
        "control": _control(agent),
        "observation": _observation(agent),
        "inside": _inside(step),
        "outside": list(OUTSIDE),
        "environment": {"id": agent.spec.id, "time_limit": time_limit},
        "spec": agent.spec.to_json(),
        "versions": {"choreo": __version__, **versions_of(PACKAGES)},
    }


def _described(port: Port, step: PolicyStep) -> dict[str, Any]:
    """A port with what its values may be."""
    described = {**asdict(port), "shape": list(port.shape)}
    keys = {name: key for key, name in step.names.items()}
    if port.name in keys:
        described["key"] = keys[port.name]
    if port.role == "skill":
        described["below"] = step.agent.num_skills
    return described


def _action(agent: Agent) -> dict[str, Any]:
    spec = agent.spec
    return {
        "size": spec.action_size,
        "low": list(spec.action_low),
        "high": list(spec.action_high),
        "unit": None,
        "note": "the environment's own units, whose names it does not tell; scaling is inside",
    }


def _control(agent: Agent) -> dict[str, Any]:
    """How long an action is held: seconds, None where the simulator tells no time."""
    seconds, repeat = agent.spec.step_seconds, agent.spec.action_repeat
    return {
        "seconds_per_action": seconds,
        "actions_per_second": None if not seconds else 1 / seconds,
        "action_repeat": repeat,
        "simulator_seconds": None if not seconds else seconds / repeat,
    }


def _observation(agent: Agent) -> dict[str, Any]:
    spec = agent.spec
    if not spec.images:
        return {"sees": spec.obs, "image_order": None, "cameras": []}
    drawn = spec.obs != "states"
    return {
        "sees": spec.obs,
        "image_order": ORDER,
        "image_content": OWN_IMAGES if drawn else THEIR_IMAGES,
        "cameras": list(spec.cameras),
        "image_size": spec.image_size if drawn else None,
    }


def _inside(step: PolicyStep) -> list[str]:
    """What the model does itself."""
    agent = step.agent
    standardised = bool(agent.world_model.standardizer.fitted)
    chooser = any(port.role == "skill" for port in step.outputs)
    state = "samples at the noise that is given" if step.sampled else "its likeliest class"
    parts = {
        "scaling of images from 0 to 255": bool(agent.spec.images),
        "standardisation of vectors with the statistics of training": standardised,
        f"the model's filter; of every variable of the state {state}": True,
        "the meta-controller, which chooses a skill in every step": chooser,
        "the policy: a sample at the noise that is given": step.sampled,
        "the policy's mean": not step.sampled,
        "scaling of actions from and to the environment's own units, cut at its bounds": True,
    }
    return [name for name, there in parts.items() if there]
