"""`choreo export`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from PIL import Image

from choreo.agent import Agent, find_checkpoint, load
from choreo.cli.measure import environment_of, fitting_vector, knows_no_environment, replay_of
from choreo.envs.vector import VectorEnv
from choreo.errors import ChoreoError, RendererUnavailable, UsageError
from choreo.evaluation.rollouts import run_episodes
from choreo.export import ExportPolicy, Extras, Settings, Source, check_new, check_policy
from choreo.export import export as write_export
from choreo.export.graph import To, check_target
from choreo.export.readme import together
from choreo.export.recorded import Recorded, record
from choreo.export.skills import NOT_MEASURED, check_report, skills_file
from choreo.record import checkpoint, pack
from choreo.replay import Replay
from choreo.report.provenance import provenance_of, report_folder, run_folder_of
from choreo.runtime import set_threads
from choreo.schema import read_json
from choreo.viz.drawing import png

PICTURE_STEPS = 50  # agent steps after which a skill is drawn [ours]
PICTURE = (96, 96)  # height and width in pixels [ours]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Write a policy as a folder that runs with numpy and onnxruntime alone."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder, checkpoint or snapshot."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """New folder to write."""
    policy: ExportPolicy | None = None
    """Who acts: the skill that each step is given, or what was fine-tuned on a task, with its
    meta-controller inside; None is the task's policy of a fine-tuned agent, else skills."""
    sampled: bool = False
    """Sample state, choice and action at noise that is given as inputs. Without, nothing is random:
    the likeliest state and the policy's mean."""
    to: To = "onnx"
    """ONNX (policy.onnx), or a program of torch.export (policy.pt2)."""
    opset: int = 18
    """Version of ONNX's operators, 18 to 23."""
    report: Path | None = None
    """Folder or skills.json of `choreo skills`, for the figures of every skill; None is where that
    command puts it, if it is of this checkpoint."""
    pictures: bool = True
    """Draw every skill once, where the environment is known and can be drawn."""
    env: str | None = None
    """Environment for pictures, and for steps to compare on where there is no replay; None is the
    one the agent was trained on."""
    trust: bool = False
    """Run the code that the run names as its environment (module:factory): only for runs of your
    own."""
    json: bool = False
    """Print the contract instead of a summary."""


def export(arguments: list[str]) -> None:
    """`choreo export RUN OUT`."""
    options = tyro.cli(ExportOptions, args=arguments, prog="choreo export")
    check_target(options.to, options.opset)
    check_new(options.out)
    set_threads(1)
    agent, source = _agent(options.run)
    policy: ExportPolicy = options.policy or ("task" if agent.plays_task else "skill")
    check_policy(agent, policy)
    figures, why_not = _figures(options, agent, source)
    recorded, pictures, undrawn = _seen(options, agent)
    names = undrawn or sorted(pictures)
    extras = Extras(skills_file(source, agent.num_skills, figures, why_not, names), pictures)
    limit = _time_limit(options, agent)
    settings = Settings(policy, options.sampled, options.to, options.opset, limit)
    contract = write_export(agent, source, recorded, extras, options.out, settings)
    print(json.dumps(contract) if options.json else _summary(contract, options.out, extras))


def _agent(run: Path) -> tuple[Agent, Source]:
    """The agent, on the CPU, and of what checkpoint it is."""
    found = checkpoint.steady(lambda: find_checkpoint(run), lambda path: path)
    agent = load(found)
    return agent, Source(run_folder_of(found).name, found.name, checkpoint.identity(found))


def _figures(
    options: ExportOptions, agent: Agent, source: Source
) -> tuple[dict[str, Any] | None, str]:
    """The figures of a skill report of this checkpoint, or why there are none.

    A pack has its own. Raises UsageError for a report that was named and is of another checkpoint.
    """
    found = find_checkpoint(options.run)
    path = options.report or (found if pack.is_pack(found) else report_folder(options.run))
    path = path / "skills.json" if path.is_dir() else path
    try:
        if not path.is_file():
            raise UsageError(f"there is no skills.json at {path}. Make it with `choreo skills`")
        figures = read_json(path)
        if not isinstance(figures, dict) or "settings" not in figures:
            raise UsageError(f"{path} holds no figures of skills. Make it with `choreo skills`")
        weights = provenance_of(options.run, agent).weights_sha256
        check_report(figures, weights, source, str(path))
    except (UsageError, OSError, ValueError) as error:
        if options.report is None:
            return None, NOT_MEASURED
        raise UsageError(str(error)) from error
    return figures, ""


def _seen(options: ExportOptions, agent: Agent) -> tuple[Recorded, dict[str, bytes], str]:
    """Steps to compare on; pictures of all skills by file name, or why there are none."""
    replay = _replay(options)
    try:
        if replay is not None and not options.pictures:
            return record(agent, replay, None), {}, "not drawn: --no-pictures"
        with fitting_vector(agent, options.env, 1, options.run, trust=options.trust) as vector:
            recorded = record(agent, replay, vector)
            if not options.pictures:
                return recorded, {}, "not drawn: --no-pictures"
            return recorded, _pictures(agent, vector), ""
    except RendererUnavailable as error:
        why = f"not drawn: {error}"
    except ChoreoError as error:
        if replay is None or options.env is not None:
            raise
        why = f"not drawn: {error}"
    return record(agent, replay, None), {}, why


def _replay(options: ExportOptions) -> Replay | None:
    """The run's experience; None where it is gone and an environment can take its place."""
    try:
        return replay_of(options.run)
    except ChoreoError:
        if options.env is None:
            raise
        return None


def _pictures(agent: Agent, vector: VectorEnv) -> dict[str, bytes]:
    """Every skill after some steps from the same start, as PNG."""
    skills = list(range(agent.num_skills))
    played = run_episodes(
        agent,
        vector,
        "skill",
        len(skills),
        seed=0,
        skills=skills,
        steps=PICTURE_STEPS,
        frames_every=PICTURE_STEPS,
        frame_size=PICTURE,
        starts=[0] * len(skills),
    )
    return {
        f"thumbnails/skill_{skill:03d}.png": png(Image.fromarray(episode.frames[-1]))
        for skill, episode in zip(skills, played, strict=True)
    }


def _time_limit(options: ExportOptions, agent: Agent) -> int | None:
    if knows_no_environment(agent):
        return None
    return environment_of(agent, options.env, options.run, trust=True)[1].get("time_limit")


def _summary(contract: dict[str, Any], out: Path, extras: Extras) -> str:
    parity, times = contract["parity"], contract["latency_ms"]
    (steps, rows), worst = parity["steps"], parity["largest_difference"]
    one = "\n".join(
        f"{name:<12} {time['p50']:.2f} ms (median), {time['p99']:.2f} ms (p99), one row, one thread"
        for name, time in times.items()
    )
    skills = "" if extras.skills["measured"] else f"\nskills: {extras.skills['how']}"
    return (
        f"compared on {steps} steps of {rows} rows ({parity['resets']} resets, "
        f"{parity['skill_switches']} skill switches): actions differ by at most "
        f"{worst['action']:.1e} of half their range, the state by {worst['deter']:.1e}, "
        f"{len(parity['near_ties'])} near ties. {together(parity)}\n{one}{skills}\n{out}"
    )
