"""`choreo evaluate` and `choreo skills`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.table import Table

from choreo.agent import Agent, PolicyName, load, load_state
from choreo.data import open_dataset
from choreo.data.card import CARD
from choreo.envs.make import names_code
from choreo.envs.vector import VectorEnv, make_vector
from choreo.errors import EnvironmentMismatch, RendererUnavailable, StorageError, UsageError
from choreo.evaluation.evaluate import Evaluation
from choreo.evaluation.evaluate import evaluate as run_evaluation
from choreo.record import RunFolder
from choreo.replay import Replay
from choreo.report.data_report import data_report
from choreo.report.skill_report import skill_report
from choreo.report.verdicts import codebook_verdict, headline_table, model_verdict
from choreo.runtime import choose_device, keep_memory, set_threads, usable_cores
from choreo.viz.film import encode_video

VIDEO_FRAMES = 250  # frames of a video at most


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What every measurement of an agent needs."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, checkpoint or snapshot."""
    env: str | None = None
    """Environment; None is the one the agent was trained on."""
    trust: bool = False
    """Run the code that the run names as its environment (module:factory): only for runs of your
    own. With --env it is you who names it."""
    time_limit: int | None = None
    """Agent steps per episode; None is the limit the agent was trained with."""
    seed: int = 0
    """Seed of the episodes: equal seeds meet equal starts."""
    threads: int = 0
    """CPU threads; 0 is one per core."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks live."""
    json: bool = False
    """Print JSON instead of a table."""

    def agent(self) -> Agent:
        """The agent of the run, on the device."""
        set_threads(self.threads)
        keep_memory()
        return load(self.run, str(choose_device(self.device)))

    def vector(self, agent: Agent, num: int) -> VectorEnv:
        """`num` environments that fit the agent."""
        return fitting_vector(agent, self.env, num, self.run, self.time_limit, self.trust)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(MeasureOptions):
    """Returns per episode of a policy, with mean and 95% interval."""

    policy: Literal["task", "skill", "explore", "random"] | None = None
    """Who acts: the meta-controller, skills, the explorer, or chance; None is the meta-controller
    of a fine-tuned agent, and all skills of a pre-trained one."""
    skill: int | None = None
    """Evaluate this skill alone."""
    episodes: int = 10
    """Episodes, of every skill where all are evaluated."""
    sample: bool = False
    """Sample from policies instead of taking their mean."""
    video: Path | None = None
    """Write a video (mp4) of one more episode, from the first start."""


@dataclass(frozen=True, kw_only=True)
class SkillsOptions(MeasureOptions):
    """Report on what the skills are, next to random actions and the untrained agent."""

    out: Path | None = None
    """Folder of report.html and skills.json; None is skills/ in the run folder."""
    episodes: int = 4
    """Episodes of every skill."""
    steps: int | None = None
    """Agent steps of every episode; None is 250, and from pixels as many as make 250 frames."""


def evaluate(arguments: list[str]) -> None:
    """`choreo evaluate RUN`."""
    options = tyro.cli(EvaluateOptions, args=arguments, prog="choreo evaluate")
    agent = options.agent()
    policy, skills = _who(options, agent)
    _check_episodes(options.episodes)
    count = options.episodes * (len(skills) if skills else 1)
    with options.vector(agent, min(count, 16)) as vector:
        result = run_evaluation(
            agent, vector, policy, options.episodes, options.seed, skills, options.sample
        )
    if options.json:
        print(json.dumps(result.to_json()))
    else:
        Console(file=sys.stdout).print(_evaluation_table(result))
    if options.video is not None:
        _film(options, agent, policy, skills)


def skills(arguments: list[str]) -> None:
    """`choreo skills RUN`."""
    options = tyro.cli(SkillsOptions, args=arguments, prog="choreo skills")
    agent = options.agent()
    folder = options.out or _folder_of(options.run) / "skills"
    if options.env is None and knows_no_environment(agent):
        _report_on_data(options, agent, folder)
        return
    with options.vector(agent, min(agent.num_skills, 16)) as vector:
        report = skill_report(
            agent,
            vector,
            folder,
            options.episodes,
            options.steps,
            options.seed,
            replay_of(options.run),
        )
    if options.json:
        print(json.dumps(report.to_json()))
        return
    source = headline_table(report)
    table = Table(*source.columns, caption=source.note)
    for row in source.rows:
        table.add_row(*row)
    Console(file=sys.stdout).print(table)
    print(f"{folder / 'report.html'}\n{folder / 'skills.json'}")


def _report_on_data(options: SkillsOptions, agent: Agent, folder: Path) -> None:
    """The figures that recorded data alone can tell."""
    replay = replay_of(options.run)
    if replay is None:
        raise UsageError(
            f"{options.run} is a snapshot without its data, and knows no environment: give the run "
            "folder, or an environment with --env"
        )
    report = data_report(agent, replay, folder, options.seed)
    if options.json:
        print(json.dumps(report.to_json()))
        return
    for verdict in (
        model_verdict(report.model_error),
        codebook_verdict(report.code_use, "the data", report.resampled),
    ):
        print(verdict.sentence)
    print(f"{folder / 'report.html'}\n{folder / 'skills.json'}")


def _check_episodes(episodes: int) -> None:
    if episodes < 1:
        raise UsageError(f"--episodes {episodes}: at least 1 episode is needed")


def environment_of(
    agent: Agent, env: str | None, run: Path, trust: bool = False
) -> tuple[str, dict[str, Any]]:
    """Environment id and options: those of the run, unless another environment is named.

    Raises:
        UsageError: there is none, or the id is from the files of the run, would have code
            imported, and the run is not trusted.
    """
    folder = _folder_of(run)
    options = agent.spec.make_options()
    if (folder / "config.json").exists():
        options["time_limit"] = RunFolder(folder).config()["training"].get("time_limit")
    if env is None and knows_no_environment(agent):
        raise UsageError(
            f"this agent learned from recorded data ({agent.spec.id}) and knows no environment; "
            "name one with --env"
        )
    if env is None and names_code(agent.spec.id) and not trust:
        raise UsageError(
            f"{run} names the code {agent.spec.id} as its environment, which whoever made that "
            f"folder chose. Give --env {agent.spec.id} if that is what you want to run, or --trust "
            "for a run of your own"
        )
    return env or agent.spec.id, options


def knows_no_environment(agent: Agent) -> bool:
    """Whether the agent comes from recorded data alone."""
    return agent.spec.id.startswith("data:")


def fitting_vector(
    agent: Agent,
    env: str | None,
    num: int,
    run: Path,
    time_limit: int | None = None,
    trust: bool = False,
) -> VectorEnv:
    """Environments for the agent; refuses those it was not made for."""
    env_id, options = environment_of(agent, env, run, trust)
    if time_limit is not None:
        options["time_limit"] = time_limit
    drawn = agent.spec.obs != "states"  # which takes most of the time: a process for every core
    num = min(num, usable_cores()) if drawn else num
    vector = make_vector(env_id, num, parallel=drawn and num > 1, **options)
    try:
        who = f"this agent, which was trained on {agent.spec.id}"
        agent.spec.require_fit(vector.spec, f"{env_id} does not fit {who}")
    except EnvironmentMismatch:
        vector.close()
        raise
    return vector


def replay_of(run: Path) -> Replay | None:
    """The experience of a run as of its checkpoint, or None for a snapshot without one."""
    folder, state = _folder_of(run), load_state(run)
    config = RunFolder(folder).config() if (folder / "config.json").exists() else {}
    if config.get("command") == "offline":  # whose data are the same at any time
        imported = folder / "data" / CARD
        return open_dataset(imported.parent if imported.exists() else Path(config["data"])).replay
    if "replay" not in state or not (folder / "replay").is_dir():
        return None
    return Replay.open(folder / "replay", state["replay"])


def _folder_of(run: Path) -> Path:
    """The run folder that a run, checkpoint or snapshot path lies in."""
    run = Path(run).resolve()
    return next((p for p in (run, *run.parents[:2]) if (p / "config.json").exists()), run)


def _who(options: EvaluateOptions, agent: Agent) -> tuple[PolicyName, list[int] | None]:
    if options.skill is not None:
        if options.policy not in (None, "skill"):
            raise UsageError(
                f"--skill {options.skill} and --policy {options.policy} contradict one another; "
                "give one of them"
            )
        if not 0 <= options.skill < agent.num_skills:
            raise UsageError(
                f"--skill {options.skill}: this agent has {agent.num_skills} skills, 0 to "
                f"{agent.num_skills - 1}"
            )
        return "skill", [options.skill]
    default = "task" if agent.controller is not None else "skill"
    policy: PolicyName = options.policy or default
    return policy, list(range(agent.num_skills)) if policy == "skill" else None


def _film(
    options: EvaluateOptions, agent: Agent, policy: PolicyName, skills: list[int] | None
) -> None:
    assert options.video is not None
    try:
        with options.vector(agent, 1) as vector:
            steps = VIDEO_FRAMES
            first = skills[:1] if skills else None
            played = run_evaluation(
                agent, vector, policy, 1, options.seed, first, options.sample, steps, 1
            )
    except RendererUnavailable as error:
        raise RendererUnavailable(f"no video: {error}") from error
    frames = played.episodes[0].frames
    step = agent.spec.step_seconds or 0.05
    try:
        options.video.parent.mkdir(parents=True, exist_ok=True)
        options.video.write_bytes(encode_video(frames, fps=min(50.0, max(1.0, 1 / step))))
    except OSError as error:
        raise StorageError(f"{options.video} could not be written: {error.strerror}") from error


def _evaluation_table(result: Evaluation) -> Table:
    counted = f"{result.steps} steps, {result.frames} frames"
    table = Table("who", "episodes", "mean return", "95% interval", "returns", caption=counted)
    parts = {f"skill {k}": result.of_skill(k) for k in result.skills()}
    for name, part in (parts or {result.policy: result}).items():
        interval = part.interval95
        shown = "-" if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"
        returns = " ".join(f"{value:.1f}" for value in part.returns[:10])
        table.add_row(name, str(len(part.returns)), f"{part.mean:.1f}", shown, returns)
    return table
