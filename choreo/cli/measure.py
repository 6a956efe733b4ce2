"""`choreo evaluate` and `choreo skills`."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from choreo.agent import Agent, PolicyName, Posterior, load
from choreo.envs.vector import VectorEnv
from choreo.errors import RendererUnavailable, StorageError, UsageError
from choreo.evaluation.choices import Choices
from choreo.evaluation.evaluate import Evaluation
from choreo.evaluation.evaluate import evaluate as run_evaluation
from choreo.evaluation.health import SkillReport
from choreo.evaluation.rollouts import Actor
from choreo.evaluation.subject import (
    environment_of,
    fitting_vector,
    knows_no_environment,
    replay_of,
)
from choreo.export import Exported, is_exported
from choreo.record.progress import Stages
from choreo.report.data_report import data_report
from choreo.report.each_skill import each_skill_table
from choreo.report.provenance import Provenance, provenance_of, report_folder
from choreo.report.skill_report import skill_report
from choreo.report.verdicts import (
    choice_verdict,
    codebook_verdict,
    critic_verdict,
    headline_table,
    model_verdicts,
    percent,
)
from choreo.runtime import choose_device, keep_memory, set_threads
from choreo.viz import Table as PageTable
from choreo.viz import Tone
from choreo.viz.film import encode_video

VIDEO_FRAMES = 250  # frames of a video at most
VIDEO_SUFFIXES = (".mp4", ".m4v")
TIMELINE = 40  # columns of the line that shows when a skill was chosen [ours]
MARKS = "·░▒▓█"  # from never to always


@dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    """What every measurement of an agent needs."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, checkpoint, snapshot or pack; hf://OWNER/NAME@REVISION is a pack on a hub."""
    env: str | None = None
    """Environment; None is the one the agent was trained on."""
    trust: bool = False
    """Run the code that the run names as its environment (module:factory): only for runs of your
    own. Not needed with --env, nor where you have trained with the same code."""
    time_limit: int | None = None
    """Agent steps per episode; None is the limit the agent was trained with."""
    seed: int = 0
    """Seed of the episodes: equal seeds meet equal starts."""
    threads: int = 0
    """CPU threads; 0 is one, as acting on a CPU gains nothing from more, and from pixels one per
    core."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where networks live."""
    json: bool = False
    """Print JSON instead of a table."""

    def agent(self) -> Agent:
        """The agent of the run, on the device."""
        keep_memory()
        agent = load(self.run, str(choose_device(self.device)))
        set_threads(self.threads or (0 if agent.spec.images else 1))
        return agent

    def actor(self) -> Actor:
        """The agent, or what was exported of one."""
        if is_exported(self.run):
            return Exported(self.run, self.threads)
        return self.agent()

    def vector(self, agent: Actor, num: int) -> VectorEnv:
        """`num` environments that fit the agent."""
        return fitting_vector(agent, self.env, num, self.run, self.time_limit, self.trust)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(MeasureOptions):
    """Returns per episode of a policy, with mean and 95% interval."""

    policy: Literal["task", "skill", "explore", "random"] | None = None
    """Who acts: the policy of the task, skills, the explorer, or chance; None is the task's policy
    of a fine-tuned agent, and all skills of a pre-trained one."""
    skill: int | None = None
    """Evaluate this skill alone."""
    episodes: int = 10
    """Episodes, of every skill where all are evaluated."""
    sample: bool = False
    """Sample from policies instead of taking their mean."""
    posterior: Posterior = "sample"
    """What of the model's belief the agent goes on with: a sample, as in training, or its likeliest
    state, as an export does. An exported folder has this in it."""
    video: Path | None = None
    """Write a video (mp4) of one more episode, from the first start."""


@dataclass(frozen=True, kw_only=True)
class ReportOptions(MeasureOptions):
    """What a skill report is made with."""

    episodes: int = 4
    """Episodes of every skill in the report."""
    steps: int | None = None
    """Agent steps of every episode; None is 250, and from pixels as many as make 250 frames."""
    pictures: bool = True
    """Draw the simulator: films of all skills, and the film of a pack. Without, it is done
    sooner."""

    def report(
        self,
        agent: Agent,
        vector: VectorEnv,
        folder: Path,
        about: Provenance,
        film: Path | None = None,
    ) -> SkillReport:
        """The skill report in `folder`; see `skill_report`."""
        with Stages() as tell:
            return skill_report(
                agent,
                vector,
                folder,
                self.episodes,
                self.steps,
                self.seed,
                replay_of(self.run),
                about=about,
                pictures=self.pictures,
                tell=tell,
                film=film,
            )


@dataclass(frozen=True, kw_only=True)
class SkillsOptions(ReportOptions):
    """Report on what the skills are, next to random actions and the untrained agent."""

    out: Path | None = None
    """Folder of report.html and skills.json; None is skills/ in the run folder, and for a snapshot
    skills/ and its name."""


def evaluate(arguments: list[str]) -> None:
    """`choreo evaluate RUN`."""
    options = tyro.cli(EvaluateOptions, args=arguments, prog="choreo evaluate")
    _check_video(options.video)
    agent = options.actor()
    if isinstance(agent, Agent):
        agent.posterior = options.posterior
    policy, skills = _who(options, agent)
    _check_episodes(options.episodes)
    count = options.episodes * (len(skills) if skills else 1)
    with options.vector(agent, min(count, 16)) as vector:
        result = run_evaluation(
            agent, vector, policy, options.episodes, options.seed, skills, options.sample
        )
    if options.json:
        print(json.dumps(_of_what(options, agent) | result.to_json()))
    else:
        console = Console(file=sys.stdout)
        console.print(_evaluation_table(result))
        if result.choices is not None:
            console.print(_choice_table(result.choices))
        if (critic := result.critic) is not None:
            console.print(critic_verdict(critic).sentence)
    if options.video is not None:
        _film(options, agent, policy, skills)
        print(f"video: {options.video}", file=sys.stderr if options.json else sys.stdout)


def skills(arguments: list[str]) -> None:
    """`choreo skills RUN`."""
    options = tyro.cli(SkillsOptions, args=arguments, prog="choreo skills")
    agent = options.agent()
    folder = options.out or report_folder(options.run)
    about = provenance_of(options.run, agent)
    if options.env is None and knows_no_environment(agent):
        _report_on_data(options, agent, folder, about)
        return
    with options.vector(agent, min(agent.num_skills, 16)) as vector:
        report = options.report(agent, vector, folder, about)
    if options.json:
        print(json.dumps({"about": about.to_json(), **report.to_json()}))
        return
    console = Console(file=sys.stdout)
    console.print(printed_table(headline_table(report)))
    console.print(printed_table(each_skill_table(report), "Skill by skill"))
    print(f"{folder / 'report.html'}\n{folder / 'skills.json'}")


def _report_on_data(options: SkillsOptions, agent: Agent, folder: Path, about: Provenance) -> None:
    """The figures that recorded data alone can tell."""
    replay = replay_of(options.run)
    if replay is None:
        raise UsageError(
            f"{options.run} holds no recorded data, and knows no environment: give the run "
            "folder, or an environment with --env"
        )
    report = data_report(agent, replay, folder, options.seed, about)
    if options.json:
        print(json.dumps({"about": about.to_json(), **report.to_json()}))
        return
    for verdict in (
        *model_verdicts(report.model_error),
        codebook_verdict(report.code_use, "the data", report.resampled),
    ):
        print(verdict.sentence)
    print(f"{folder / 'report.html'}\n{folder / 'skills.json'}")


COLOURS: dict[Tone, str] = {"good": "green", "neutral": "yellow", "bad": "red"}


def printed_table(source: PageTable, title: str | None = None) -> Table:
    """A table of a page for the terminal."""
    look = box.SIMPLE_HEAD if source.sortable else box.HEAVY_HEAD  # many columns: fewer lines
    table = Table(title=title, caption=source.note, box=look, pad_edge=False)
    table.collapse_padding = source.sortable
    for number, name in enumerate(source.columns):
        column = [name, *(row[number] for row in (*source.rows, *source.totals))]
        word = max(len(word) for cell in column for word in cell.split())
        table.add_column(name, width=word if source.sortable else None)
    for number, row in enumerate(source.rows):
        cells: list[str | Text] = list(row)
        if source.tones and source.strong is not None:
            cells[source.strong + 1] = Text(row[source.strong + 1], COLOURS[source.tones[number]])
        table.add_row(*cells, end_section=number == len(source.rows) - 1)
    for row in source.totals:
        table.add_row(*row)
    return table


def _of_what(options: EvaluateOptions, agent: Actor) -> dict[str, Any]:
    """What an evaluation is of: the same for the same agent and episodes, so without times."""
    env, _ = environment_of(agent, options.env, options.run, options.trust)
    if isinstance(agent, Exported):
        told = {name: agent.contract["checkpoint"][name] for name in ("run", "checkpoint")}
        return {"env": env, "seed": options.seed, "about": {**told, "environment": agent.spec.id}}
    about = provenance_of(options.run, agent).to_json()
    names = ("run", "checkpoint", "environment", "counted", "count", "updates", "seed")
    return {"env": env, "seed": options.seed, "about": {name: about[name] for name in names}}


def _check_video(path: Path | None) -> None:
    """Refuse what cannot become a film before anything is played for it."""
    if path is not None and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise UsageError(
            f"--video {path}: videos are written as mp4. Give a name that ends with .mp4"
        )
    if path is not None and path.is_dir():
        raise UsageError(f"--video {path} is a folder. Give the name of a file in it")


def _check_episodes(episodes: int) -> None:
    if episodes < 1:
        raise UsageError(f"--episodes {episodes}: at least 1 episode is needed")


def _who(options: EvaluateOptions, agent: Actor) -> tuple[PolicyName, list[int] | None]:
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
    default = "task" if agent.plays_task else "skill"
    policy: PolicyName = options.policy or default
    return policy, list(range(agent.num_skills)) if policy == "skill" else None


def _film(
    options: EvaluateOptions, agent: Actor, policy: PolicyName, skills: list[int] | None
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


def _choice_table(choices: Choices) -> Table:
    """Which skills the meta-controller chose: how often, and when in the first episode."""
    sentence = choice_verdict(choices).sentence
    table = Table("skill", "share of the steps", "first episode, start to end", caption=sentence)
    for skill in choices.most_used:
        line = "".join(_mark(part == skill) for part in np.array_split(choices.chosen[0], TIMELINE))
        table.add_row(str(skill), percent(float(choices.share[skill])), line)
    return table


def _mark(chosen: np.ndarray) -> str:
    """How much of a stretch of an episode was this skill's."""
    share = chosen.mean() if chosen.size else 0.0
    return MARKS[int(np.ceil(share * (len(MARKS) - 1)))]


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
